/*
 * Globs come from users and from other servers' room state, and are matched against text that others choose. Trying
 * again from the last `*` takes pattern times text then; so all positions in the pattern are followed at once, as bits
 * of an array ("shift-and"): one pass over the text, a few words of work a byte.
 *
 * State i means: the tokens before i (literals and `?`) have matched. A `*` before token i lets state i stay on any
 * byte; after a `?` the state stays on the continuation bytes of the character that the `?` took.
 *
 * Most patterns do not match most texts, and that shows before: by the plain text at the pattern's ends, or by a piece
 * of it that the text does not hold. Letters are folded to lower case as they are met, which never changes their
 * length.
 */
#include "matrix/glob.h"

#include "base/utf8.h"

#define BITS      64
#define MAX_WORDS ((GLOB_MAX + BITS) / BITS)

struct glob {
	size_t n, words;                /* tokens, words of a set of states 0..n */
	uint8_t literal[GLOB_MAX + 1];  /* token's byte, folded */
	uint64_t any[MAX_WORDS];        /* states whose token is `?` */
	uint64_t stay[MAX_WORDS];       /* states before which stands a `*` */
	uint64_t inside[MAX_WORDS];     /* states after a `?` */
	bool known[256];                /* is takes[] made for this byte? For those of the literals it is at once */
	uint64_t takes[256][MAX_WORDS]; /* states whose token takes the byte */
};

static void set(uint64_t *states, size_t i) { states[i / BITS] |= UINT64_C(1) << (i % BITS); }
static bool has(const uint64_t *states, size_t i) { return states[i / BITS] >> (i % BITS) & 1; }
static char fold(char c) { return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }
static bool is_continuation(char c) { return ((uint8_t)c & 0xc0) == 0x80; }
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The character at s.p[i] in lower case; its length. */
static size_t fold_at(str s, size_t i, char out[4])
{
	str rest = str_from(s, i);

	if (!((uint8_t)s.p[i] & 0x80) || utf8_sequence(rest) == 0) {
		out[0] = fold(s.p[i]);
		return 1;
	}
	return utf8_put(out, utf8_fold(utf8_next(&rest)));
}

/* Texts of the same length: are they the same but for case? */
static bool same(str x, str y, bool exact)
{
	char in_x[4], in_y[4];

	if (exact)
		return str_eq(x, y);
	for (size_t i = 0, n; i < x.n; i += n) {
		n = 1;
		if (!((x.p[i] | y.p[i]) & 0x80)) {
			if (fold(x.p[i]) != fold(y.p[i]))
				return false;
			continue;
		}
		n = fold_at(x, i, in_x);
		if (fold_at(y, i, in_y) != n || memcmp(in_x, in_y, n) != 0)
			return false;
	}
	return true;
}

static bool is_wild(char c, bool exact) { return c == '*' || (c == '?' && !exact); }

/* --- the pattern as states --- */

/* A byte that no literal is, is taken by the `?` alone. */
static uint64_t *takes(struct glob *g, uint8_t byte)
{
	uint64_t *states = g->takes[byte];

	if (g->known[byte])
		return states;
	if (is_continuation((char)byte))
		memset(states, 0, g->words * sizeof(*states));
	else
		memcpy(states, g->any, g->words * sizeof(*states));
	g->known[byte] = true;
	return states;
}

/* False when the pattern is too long. */
static bool compile(struct glob *g, str pattern, bool exact)
{
	char folded[4];

	g->n = 0;
	memset(g->any, 0, sizeof(g->any));
	memset(g->stay, 0, sizeof(g->stay));
	memset(g->inside, 0, sizeof(g->inside));
	memset(g->known, 0, sizeof(g->known));
	for (size_t i = 0, n; i < pattern.n; i += n) {
		n = 1;
		if (pattern.p[i] == '*') {
			set(g->stay, g->n);
			continue;
		}
		if (exact)
			folded[0] = pattern.p[i];
		else
			n = fold_at(pattern, i, folded);
		if (g->n + n > GLOB_MAX)
			return false;
		if (is_wild(pattern.p[i], exact)) {
			set(g->any, g->n);
			set(g->inside, g->n + 1);
		}
		memcpy(g->literal + g->n, folded, n);
		g->n += n;
	}
	g->words = g->n / BITS + 1;
	for (size_t i = 0; i < g->n; i++)
		if (!has(g->any, i))
			set(takes(g, g->literal[i]), i);
	return true;
}

/* All states one byte further; false when none is left. */
static bool step(struct glob *g, uint64_t *states, char c)
{
	const uint64_t *takers = takes(g, (uint8_t)c);
	const uint64_t inside = is_continuation(c) ? UINT64_MAX : 0;
	uint64_t carry = 0, any = 0;

	for (size_t w = 0; w < g->words; w++) {
		const uint64_t moved = states[w] & takers[w];
		const uint64_t stayed = states[w] & (g->stay[w] | (g->inside[w] & inside));

		states[w] = moved << 1 | carry | stayed;
		carry = moved >> (BITS - 1);
		any |= states[w];
	}
	return any != 0;
}

static bool match(str pattern, str text, bool words, bool exact)
{
	struct glob g;
	uint64_t states[MAX_WORDS] = { 0 };

	if (!compile(&g, pattern, exact))
		return false;
	for (size_t i = 0, n = 0;; i += n) {
		const bool boundary_before = i == 0 || !is_word(text.p[i - 1]);
		const bool boundary_after = i == text.n || !is_word(text.p[i]);
		char folded[4];
		bool alive = false;

		if (i == 0 || (words && boundary_before))
			set(states, 0);
		if (has(states, g.n) && (words ? boundary_after : i == text.n))
			return true;
		if (i == text.n)
			return false;
		n = 1;
		if (exact)
			folded[0] = text.p[i];
		else
			n = fold_at(text, i, folded);
		for (size_t k = 0; k < n; k++)
			alive = step(&g, states, folded[k]);
		if (!alive && !words)
			return false;
	}
}

/* --- plain text --- */

/* In lower case, with what Knuth, Morris and Pratt need: after how many bytes to go on when the next one does not fit.
 */
struct needle {
	size_t n;
	char folded[GLOB_MAX];
	uint16_t back[GLOB_MAX];
};

/* False when it is too long (or empty). */
static bool needle_of(struct needle *nd, str text)
{
	if (text.n == 0 || text.n > GLOB_MAX)
		return false;
	for (size_t i = 0, n; i < text.n; i += n) {
		char c[4];

		n = fold_at(text, i, c);
		memcpy(nd->folded + i, c, n);
	}
	nd->n = text.n;
	nd->back[0] = 0;
	for (size_t i = 1, q = 0; i < nd->n; i++) {
		while (q > 0 && nd->folded[q] != nd->folded[i])
			q = nd->back[q - 1];
		q += nd->folded[q] == nd->folded[i];
		nd->back[i] = (uint16_t)q;
	}
	return true;
}

/* How far one may look for the first byte before any of it was met; next[2]: where its two cases are known to stand. */
static size_t skip(const struct needle *nd, str text, size_t from, size_t next[2])
{
	const char c = nd->folded[0], first[2] = { c, (char)(c >= 'a' && c <= 'z' ? c & ~0x20 : c) };

	if ((uint8_t)c & 0x80)
		return from;
	for (unsigned k = 0; k < 2; k++) {
		if (next[k] >= from && next[k] != SIZE_MAX)
			continue;
		const char *found = memchr(text.p + from, first[k], text.n - from);

		next[k] = found ? (size_t)(found - text.p) : text.n;
	}
	return MIN(next[0], next[1]);
}

enum ends { ANYWHERE, OUTSIDE, BETWEEN };

/* May what is found stand there? OUTSIDE: the characters around it are not of words; BETWEEN: at neither end are the
 * character outside and the one inside both of words. */
static bool stands(str text, size_t start, size_t end, enum ends ends)
{
	if (ends == ANYWHERE)
		return true;
	if (start > 0 && is_word(text.p[start - 1]) && !(ends == BETWEEN && !is_word(text.p[start])))
		return false;
	return end == text.n || !is_word(text.p[end]) || (ends == BETWEEN && !is_word(text.p[end - 1]));
}

static bool has_literal(str text, str literal, enum ends ends)
{
	size_t next[2] = { SIZE_MAX, SIZE_MAX };
	struct needle nd;

	if (!needle_of(&nd, literal))
		return false;
	for (size_t i = 0, q = 0, n; i < text.n; i += n) {
		char c[4];

		if (q == 0 && (i = skip(&nd, text, i, next)) == text.n)
			break;
		n = fold_at(text, i, c);
		for (size_t k = 0; k < n; k++) {
			while (q > 0 && nd.folded[q] != c[k])
				q = nd.back[q - 1];
			q += nd.folded[q] == c[k];
			if (q < nd.n)
				continue;
			if (stands(text, i + k + 1 - nd.n, i + k + 1, ends))
				return true;
			q = nd.back[q - 1];
		}
	}
	return false;
}

/* --- what can be told at once --- */

/* Of a pattern with wildcards: what the text must begin and end with; its longest piece without any. */
struct pieces {
	str head, tail, longest;
	bool one_star; /* the only wildcard is one `*` */
};

static struct pieces pieces_of(str pattern, bool exact)
{
	struct pieces e = { 0 };
	size_t wild = 0, stars = 0, start = 0;

	for (size_t i = 0; i <= pattern.n; i++) {
		if (i < pattern.n && !is_wild(pattern.p[i], exact))
			continue;
		const str piece = { pattern.p + start, i - start };

		if (piece.n > e.longest.n)
			e.longest = piece;
		if (wild == 0)
			e.head = piece;
		e.tail = piece;
		if (i == pattern.n)
			break;
		wild++;
		stars += pattern.p[i] == '*';
		start = i + 1;
	}
	e.one_star = wild == 1 && stars == 1;
	return e;
}

bool glob_is_wild(str pattern) { return str_find(pattern, '*') < pattern.n || str_find(pattern, '?') < pattern.n; }

static bool match_whole(str pattern, str text, bool exact)
{
	struct pieces e;

	if (!(exact ? str_find(pattern, '*') < pattern.n : glob_is_wild(pattern)))
		return pattern.n <= GLOB_MAX && text.n == pattern.n && same(pattern, text, exact);
	e = pieces_of(pattern, exact);
	if (text.n < e.head.n + e.tail.n || !same(e.head, str_head(text, e.head.n), exact) ||
	    !same(e.tail, str_from(text, text.n - e.tail.n), exact))
		return false;
	return (e.one_star && pattern.n <= GLOB_MAX) || match(pattern, text, false, exact);
}

bool glob_match(str pattern, str text) { return match_whole(pattern, text, false); }

bool glob_match_exact(str pattern, str text) { return match_whole(pattern, text, true); }

bool glob_match_word(str pattern, str text)
{
	struct pieces e;

	if (pattern.n > 0 && !glob_is_wild(pattern))
		return has_literal(text, pattern, OUTSIDE);
	e = pieces_of(pattern, false);
	if (e.longest.n > 0 && !has_literal(text, e.longest, ANYWHERE))
		return false;
	return match(pattern, text, true, false);
}

bool glob_has_words(str text, str name) { return has_literal(text, name, BETWEEN); }
