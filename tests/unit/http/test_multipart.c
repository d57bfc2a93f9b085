/* test_multipart.c - multipart bodies cut into any pieces, and names of files. */
#include "test.h"

#include "http/disposition.h"
#include "http/multipart.h"

struct seen {
	struct arena *a;
	struct buf text; /* "0[headers]bytes1[headers]bytes" */
};

static err *on_begin(void *ctx, size_t part, str headers)
{
	struct seen *s = ctx;

	buf_printf(&s->text, "%zu[%.*s]", part, STR_ARG(headers));
	return NULL;
}

static err *on_take(void *ctx, size_t part, str bytes)
{
	(void)part;
	buf_add(&((struct seen *)ctx)->text, bytes);
	return NULL;
}

/* What is seen of a body that comes in pieces of n bytes; STR_NONE: it is none. */
static str read_in_pieces(struct arena *a, str body, size_t n, bool *whole)
{
	struct seen s = { .a = a, .text = BUF_INIT(1 << 20) };
	struct multipart m;
	str out;
	err *e = NULL;

	multipart_init(&m, &(struct multipart_ops){ on_begin, on_take, &s });
	for (size_t i = 0; i < body.n && !e; i += n)
		e = multipart_take(&m, a, str_head(str_from(body, i), MIN(n, body.n - i)));
	*whole = multipart_is_whole(&m);
	out = e ? STR_NONE : arena_keep(a, buf_str(&s.text));
	multipart_done(&m);
	buf_done(&s.text);
	return out;
}

static void bodies_are_read_however_they_are_cut(void **state)
{
	static const struct {
		const char *body, *want; /* want NULL: refused */
		bool whole;
	} rows[] = {
		{ "--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nA: b\r\n\r\nfile\r\n--b--\r\n",
		  "0[Content-Type: application/json\r\n]{}1[A: b\r\n]file", true },
		{ "\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--", "0[]one1[]two", true },
		/* What looks like a delimiter, and is none. */
		{ "--bb\r\n\r\nx\r\r\n--b\r\n--bx\r\n-\r\n--bb--", "0[]x\r\r\n--b\r\n--bx\r\n-", true },
		{ "--b\r\n\r\n\r\n--b \t\r\n\r\n\r\n--b--", "0[]1[]", true },
		{ "--b\r\n\r\ncut off\r\n--", "0[]cut off", false },
		{ "--b\r\n\r\ncut off\r\n--b", "0[]cut off", false },
		{ "no boundary\r\n", NULL, false },
		{ "--b \t \r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--", "0[]one1[]two", true },
		{ "--a\rb\r\n\r\nx\r\n--a\rb--", NULL, false },
		{ "-- \r\n\r\nx\r\n---", NULL, false },
		{ "--b\r\n\r\nx\r\n--bXX\r\n", NULL, false },
		{ "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b\r\n\r\n4\r\n--b\r\n\r\n5\r\n--b\r\n\r\n6\r\n"
		  "--b\r\n\r\n7\r\n--b\r\n\r\n8\r\n--b\r\n\r\n9\r\n--b--",
		  NULL, false },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t n = 1; n <= strlen(rows[i].body); n++) {
			bool whole;
			const str got = read_in_pieces(a, str_c(rows[i].body), n, &whole);

			ok(str_is_none(got) == !rows[i].want && (!rows[i].want || str_eq(got, str_c(rows[i].want))),
			   "row %zu in pieces of %zu: %.*s", i, n, STR_ARG(got));
			ok(whole == rows[i].whole, "row %zu in pieces of %zu is whole", i, n);
		}
}

static void headers_have_an_end(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(1 << 20);
	bool whole;

	(void)state;
	buf_add(&b, S("--b\r\n"));
	while (b.n < 2 * MULTIPART_HEADERS_MAX)
		buf_add(&b, S("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"));
	assert_true(str_is_none(read_in_pieces(a, buf_str(&b), 1000, &whole)));
	buf_reset(&b);
	while (b.n < 1000)
		buf_byte(&b, '-');
	assert_true(str_is_none(read_in_pieces(a, (buf_add(&b, S("\r\n\r\n")), buf_str(&b)), 7, &whole)));
}

static void headers_are_found(void **state)
{
	const str lines = S("Content-Type: image/png\r\ncontent-DISPOSITION :  inline\r\nbroken\r\n");

	(void)state;
	same_str(multipart_header(lines, S("content-type")), S("image/png"));
	same_str(multipart_header(lines, S("Content-Disposition")), S("inline"));
	assert_true(str_is_none(multipart_header(lines, S("Location"))));
}

static void names_of_files(void **state)
{
	static const struct {
		const char *header, *want; /* NULL: none */
	} rows[] = {
		{ "inline; filename=\"a b.png\"", "a b.png" },
		{ "attachment; filename=plain.txt; size=4", "plain.txt" },
		{ "inline; filename=\"x\"; filename*=utf-8''na%C3%AFve%20.png", "na\xc3\xafve .png" },
		{ "inline; filename*=UTF-8'en'x%2ey", "x.y" },
		{ "inline; filename*=latin1''x; filename=y", "y" },
		{ "inline; filename=\"q\\\"uote\"", "q\"uote" },
		{ "inline; filename=\"../../etc/passwd\"", "passwd" },
		{ "inline; filename=\"c:\\\\x\\\\y.exe\"", "y.exe" },
		{ "inline; filename*=utf-8''%ff%fe", NULL },
		{ "inline; filename*=utf-8''%", "%" },
		{ "inline; filename=\"a\nb\"", NULL },
		{ "inline; filename=\"", NULL },
		{ "inline", NULL },
		{ "", NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const str got = disposition_filename(a, str_c(rows[i].header));

		ok(str_is_none(got) == !rows[i].want && (!rows[i].want || str_eq(got, str_c(rows[i].want))), "%s: %.*s",
		   rows[i].header, STR_ARG(got));
	}
}

TEST_MAIN(cmocka_unit_test(bodies_are_read_however_they_are_cut), cmocka_unit_test(headers_have_an_end),
	  cmocka_unit_test(headers_are_found), cmocka_unit_test(names_of_files))
