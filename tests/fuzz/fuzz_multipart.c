/*
 * fuzz_multipart.c - bodies of several parts, as other servers send files. The first byte says how the body is cut into
 * pieces: what is read of it is what a slow reader of the whole finds, however it is cut. A name that a
 * Content-Disposition gives a file is text without folders, and reads the same when it is written in the plain form.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "http/disposition.h"
#include "http/multipart.h"

enum { MOST = 8192 };

/* "0[headers]bytes1[headers]bytes" */
struct seen {
	struct arena *a;
	struct buf text;
	bool is_bad, is_whole;
};

static err *on_begin(void *ctx, size_t part, str headers)
{
	buf_printf(&((struct seen *)ctx)->text, "%zu[%.*s]", part, STR_ARG(headers));
	return NULL;
}

static err *on_take(void *ctx, size_t part, str bytes)
{
	(void)part;
	assert(bytes.n > 0);
	buf_add(&((struct seen *)ctx)->text, bytes);
	return NULL;
}

/* In pieces of `first` bytes, then `second`, then `first` again ... */
static void read_pieces(struct seen *s, str body, size_t first, size_t second)
{
	struct multipart m;

	multipart_init(&m, &(struct multipart_ops){ on_begin, on_take, s });
	for (size_t n = first; body.n > 0 && !s->is_bad; n = n == first ? second : first) {
		const str piece = str_head(body, MIN(n, body.n));

		s->is_bad = multipart_take(&m, s->a, piece) != NULL;
		body = str_from(body, piece.n);
	}
	s->is_whole = multipart_is_whole(&m);
	multipart_done(&m);
}

/*
 * The slow reader
 */
static size_t find(str in, str what)
{
	const char *at = in.n >= what.n && what.n > 0 ? memmem(in.p, in.n, what.p, what.n) : NULL;

	return at ? (size_t)(at - in.p) : in.n;
}

static bool is_delimiter(str line)
{
	if (!str_starts(line, S("--")) || line.n < 3 || line.n > MULTIPART_BOUNDARY_MAX + 2)
		return false;
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] == 127 || line.p[i] < ' ')
			return false;
	return true;
}

/* A part's bytes that nothing ends: but for what may be the beginning of a delimiter. */
static str without_beginning(str bytes, str border)
{
	const size_t cr = str_rfind(bytes, '\r');

	return cr < bytes.n && str_starts(border, str_from(bytes, cr)) ? str_head(bytes, cr) : bytes;
}

static void read_slowly(struct seen *s, str body)
{
	str line, border;

	do { /* empty lines may stand before it */
		if (find(body, S("\r\n")) == body.n)
			return;
		line = str_head(body, find(body, S("\r\n")));
		body = str_from(body, line.n + 2);
		while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
			line.n--;
	} while (line.n == 0);
	s->is_bad = !is_delimiter(line);
	if (s->is_bad)
		return;
	border = arena_join2(s->a, S("\r\n"), line);
	for (size_t part = 0;; part++) {
		const bool none = str_starts(body, S("\r\n"));
		const size_t headers = none ? 0 : find(body, S("\r\n\r\n")) + 2;
		size_t n;

		s->is_bad = part == MULTIPART_PARTS_MAX;
		if (s->is_bad || (!none && headers >= body.n))
			return;
		buf_printf(&s->text, "%zu[%.*s]", part, (int)headers, body.p);
		body = str_from(body, headers + 2);
		n = find(body, border);
		buf_add(&s->text, n < body.n ? str_head(body, n) : without_beginning(body, border));
		if (n == body.n)
			return;
		body = str_from(body, n + border.n);
		while (body.n > 0 && (*body.p == ' ' || *body.p == '\t'))
			body = str_from(body, 1);
		if (body.n < 2)
			return;
		s->is_whole = str_starts(body, S("--"));
		s->is_bad = !s->is_whole && !str_starts(body, S("\r\n"));
		if (s->is_whole || s->is_bad)
			return;
		body = str_from(body, 2);
	}
}

/*
 * Names
 */
static void check_name(struct arena *a, str header)
{
	const str name = disposition_filename(a, header);
	AUTO_BUF b = BUF_INIT(1 << 16);

	if (str_is_none(name))
		return;
	assert(name.n > 0 && name.n <= 1024 && utf8_valid(name));
	buf_add(&b, S("inline; filename=\""));
	for (size_t i = 0; i < name.n; i++) {
		assert(name.p[i] != '/' && name.p[i] != '\\' && name.p[i] != 127);
		assert((unsigned char)name.p[i] >= ' ');
		if (name.p[i] == '"')
			buf_byte(&b, '\\');
		buf_byte(&b, name.p[i]);
	}
	buf_byte(&b, '"');
	assert(str_eq(disposition_filename(a, buf_str(&b)), name));
}

static void check_headers(struct arena *a, str text)
{
	const str disposition = multipart_header(text, S("content-disposition"));

	check_name(a, text);
	if (str_is_none(disposition))
		return;
	assert(disposition.p >= text.p && disposition.p + disposition.n <= text.p + text.n);
	assert(str_eq(str_trim(disposition), disposition));
	assert(str_eq(multipart_header(text, S("Content-Disposition")), disposition));
	check_name(a, disposition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, MIN(size, MOST));
	const unsigned cut = feed_byte(&f);
	const size_t pieces[][2] = { { MOST, MOST }, { 1, 1 }, { 1 + cut % 16, 1 + cut / 16 } };
	const str body = feed_rest(&f);
	struct seen slow = { .a = a, .text = BUF_INIT(4 * MOST) };

	check_headers(a, body);
	read_slowly(&slow, body);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct seen s = { .a = a, .text = BUF_INIT(4 * MOST) };

		read_pieces(&s, body, pieces[i][0], pieces[i][1]);
		assert(s.is_bad == slow.is_bad && s.is_whole == slow.is_whole);
		assert(str_eq(buf_str(&s.text), buf_str(&slow.text)));
		buf_done(&s.text);
	}
	buf_done(&slow.text);
	return 0;
}
