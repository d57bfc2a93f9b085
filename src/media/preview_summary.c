/* preview_summary.c - a few lines out of a long text. */
#include "media/preview_opengraph.h"

#include "base/utf8.h"

enum { ENOUGH = 200, MOST = 500 }; /* characters */

static size_t count_chars(str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* The first n characters. */
static str head_chars(str s, size_t n)
{
	size_t i = 0;

	while (i < s.n && (n > 0 || ((unsigned char)s.p[i] & 0xc0) == 0x80)) {
		n -= ((unsigned char)s.p[i] & 0xc0) != 0x80;
		i++;
	}
	return str_head(s, i);
}

bool summary_add(void *summary, str piece)
{
	struct summary *s = summary;

	if (piece.n == 0)
		return true;
	piece = head_chars(piece, 4 * MOST); /* no more of it is ever shown */
	s->text = s->chars > 0 ? arena_join3(s->a, s->text, S("\n\n"), piece) : arena_keep(s->a, piece);
	s->chars += count_chars(piece) + 2;
	return s->chars < ENOUGH;
}

/* Ends before the word that would be too much; a single long word is cut. */
static str cut(struct arena *a, str text)
{
	const str most = head_chars(text, MOST - 1);
	size_t n = most.n;

	while (n > 0 && !memchr(" \n", text.p[n], 2))
		n--;
	if (count_chars(str_head(text, n)) < ENOUGH)
		n = most.n;
	return arena_join2(a, str_trim(str_head(text, n)), S("\xe2\x80\xa6"));
}

str summary_end(struct summary *s)
{
	const str text = s->chars > 0 ? str_trim(s->text) : S("");

	if (text.n == 0)
		return STR_NONE;
	return count_chars(text) > MOST ? cut(s->a, text) : text;
}
