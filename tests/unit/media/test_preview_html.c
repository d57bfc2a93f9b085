/* What is read out of pages: encodings, Open Graph, words. */
#include "test.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "media/preview_charset.h"
#include "media/preview_html.h"
#include "media/preview_opengraph.h"

/* ---- encodings ---- */

static void test_charsets(void **state)
{
	static const struct {
		const char *name;
		str bytes;
		const char *type;
		str text;
	} cases[] = {
		{ "plain", STR("abc"), NULL, STR("abc") },
		{ "empty", STR(""), NULL, STR("") },
		{ "UTF-8 by itself", STR("K\xc3\xa4se"), NULL, STR("K\xc3\xa4se") },
		{ "no UTF-8", STR("K\xe4se"), NULL, STR("K\xc3\xa4se") },
		{ "windows-1252, whatever they call it", STR("\x80"), "text/html; charset=ISO-8859-1",
		  STR("\xe2\x82\xac") },
		{ "the header", STR("\xcf\xd2"), "text/html; Charset=\"KOI8-R\"", STR("\xd0\xbe\xd1\x80") },
		{ "the header before the page", STR("<meta charset=koi8-r>\xe4"), "text/html; charset=latin1",
		  STR("<meta charset=koi8-r>\xc3\xa4") },
		{ "the mark before the header", STR("\xef\xbb\xbfK\xc3\xa4"), "text/html; charset=latin1",
		  STR("K\xc3\xa4") },
		{ "UTF-16 by mark", STR("\xff\xfe\xe4\x00"), NULL, STR("\xc3\xa4") },
		{ "UTF-16, the other way", STR("\xfe\xff\x00\xe4"), NULL, STR("\xc3\xa4") },
		{ "a page that says so", STR("<META Charset = 'koi8-r' >\xcf"), NULL,
		  STR("<META Charset = 'koi8-r' >\xd0\xbe") },
		{ "an older way to say it", STR("<meta http-equiv=x content=\"text/html; charset=koi8-r\">\xcf"), NULL,
		  STR("<meta http-equiv=x content=\"text/html; charset=koi8-r\">\xd0\xbe") },
		{ "XML", STR("<?xml version='1.0' encoding='koi8-r'?>\xcf"), NULL,
		  STR("<?xml version='1.0' encoding='koi8-r'?>\xd0\xbe") },
		{ "a word in the text", STR("<p charset=koi8-r>\xe4"), NULL, STR("<p charset=koi8-r>\xc3\xa4") },
		{ "a page that says it is UTF-16, in ASCII", STR("<meta charset=utf-16>x"), NULL,
		  STR("<meta charset=utf-16>x") },
		{ "an unknown one is none", STR("K\xc3\xa4"), "text/html; charset=x-y-z", STR("K\xc3\xa4") },
		{ "one that no browser knows", STR("K\xc3\xa4"), "text/html; charset=UTF-7", STR("K\xc3\xa4") },
		{ "what means nothing", STR("a\xff\xc3"), "text/html; charset=utf-8",
		  STR("a\xef\xbf\xbd\xef\xbf\xbd") },
		{ "what means nothing, in Japanese", STR("a\xff\xffz"), "text/html; charset=euc-jp",
		  STR("a\xef\xbf\xbd\xef\xbf\xbdz") },
		{ "cut in the middle", STR("\x93\xfa\x96"), "text/html; charset=shift_jis",
		  STR("\xe6\x97\xa5\xef\xbf\xbd") },
		{ "NUL", STR("a\0b"), NULL, STR("a b") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str got = preview_utf8(a, cases[i].bytes, str_c(cases[i].type));

		ok(str_eq(got, cases[i].text), "%s: %.*s", cases[i].name, STR_ARG(got));
	}
}

/* ---- Open Graph ---- */

static const struct {
	const char *name, *html, *json;
} pages[] = {
	{ "title and text", "<html><head><title>Foo</title></head><body>Some text.</body></html>",
	  "{\"og:title\":\"Foo\",\"og:description\":\"Some text.\"}" },
	{ "no page at all", "just words", "{\"og:description\":\"just words\"}" },
	{ "comments", "<title>Foo</title><body><!-- one --> Some text.",
	  "{\"og:title\":\"Foo\",\"og:description\":\"Some text.\"}" },
	{ "scripts and styles", "<title>Foo</title><body><script>x</script><style>y</style>Text",
	  "{\"og:title\":\"Foo\",\"og:description\":\"Text\"}" },
	{ "what is beside the text",
	  "<title>Foo</title><body><header>a</header><nav>b</nav><aside>c</aside><footer>d</footer><svg><text>e</text></svg>"
	  "<div role=menu>f</div><iframe>g</iframe><noscript>h</noscript><p>Text</p>",
	  "{\"og:title\":\"Foo\",\"og:description\":\"Text\"}" },
	{ "no title", "<body><h2> The  largest\nheader </h2><h1>later</h1></body>",
	  "{\"og:title\":\"The largest header\",\"og:description\":\"The largest header\\n\\nlater\"}" },
	{ "an empty title", "<title> </title><h1>Foo</h1>", "{\"og:title\":\"Foo\",\"og:description\":\"Foo\"}" },
	{ "entities", "<title>a &amp; b &lt;c&gt; &#x4e2d; &eacute;</title>",
	  "{\"og:title\":\"a & b <c> \xe4\xb8\xad \xc3\xa9\"}" },
	{ "what the page declares",
	  "<meta property=og:title content=T><meta property=og:type content=article><meta property='article:author' content=A>"
	  "<meta property=profile:username content=U><meta name=author content=N><meta property=og:empty content=''>"
	  "<meta property=og:description content='D  d'>",
	  "{\"og:title\":\"T\",\"og:type\":\"article\",\"og:description\":\"D  d\",\"article:author\":\"A\",\"profile:username\":"
	  "\"U\"}" },
	{ "the first counts", "<meta property=og:title content=one><meta property=og:title content=two>",
	  "{\"og:title\":\"one\"}" },
	{ "names are as they are", "<meta property=OG:title content=x><META PROPERTY=og:title CONTENT=T>",
	  "{\"og:title\":\"T\"}" },
	{ "Twitter",
	  "<meta name=twitter:card content=c><meta name=twitter:site content=@s><meta name=twitter:title content=T>"
	  "<meta name=twitter:creator content=c><meta name=twitter:description content=D>",
	  "{\"og:site_name\":\"@s\",\"og:title\":\"T\",\"og:description\":\"D\"}" },
	{ "Open Graph before Twitter", "<meta name=twitter:title content=tw><meta property=og:title content=og>",
	  "{\"og:title\":\"og\"}" },
	{ "a description", "<title>T</title><meta name=Description content='What it is'><body>Text",
	  "{\"og:title\":\"T\",\"og:description\":\"What it is\"}" },
	{ "the picture that is marked", "<img src=a.png><meta itemprop=image content=b.png>",
	  "{\"og:image\":\"b.png\"}" },
	{ "the largest picture",
	  "<img src=tiny width=5 height=5><img src=some width=20 height=20><img src=most width=100 height=50>"
	  "<img src=odd width=9% height=100><img width=1000 height=1000>",
	  "{\"og:image\":\"most\"}" },
	{ "any picture", "<img src=''><img src=a><img src=b>", "{\"og:image\":\"a\"}" },
	{ "an icon", "<link rel=stylesheet href=x><link rel='shortcut icon' href=/i.ico><link rel=icon href=/j.ico>",
	  "{\"og:image\":\"/i.ico\"}" },
	{ "a picture before an icon", "<link rel=icon href=/i.ico><img src=a>", "{\"og:image\":\"a\"}" },
	{ "unclosed", "<title>T</title><body><div><p>one<p>two<b>three",
	  "{\"og:title\":\"T\",\"og:description\":\"one\\n\\ntwo\\n\\nthree\"}" },
	{ "quotes", "<title>\"T\"</title>", "{\"og:title\":\"\\\"T\\\"\"}" },
};

static str preview_of(struct arena *a, str html)
{
	struct html *h = html_read(html);
	struct og og = { 0 };

	if (h)
		og_from_html(a, h, &og);
	html_free(&h);
	return og_json(a, &og);
}

static void test_pages(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		const str got = preview_of(a, str_c(pages[i].html));

		ok(str_eq(got, str_c(pages[i].json)), "%s:\n  %.*s\n  %s", pages[i].name, STR_ARG(got), pages[i].json);
	}
	assert_null(html_read(S("")));
}

static str repeated(struct arena *a, const char *before, const char *piece, size_t n, const char *after)
{
	AUTO_BUF b = BUF_INIT(64 << 20);

	buf_add(&b, str_c(before));
	for (size_t i = 0; i < n; i++)
		buf_add(&b, str_c(piece));
	buf_add(&b, str_c(after));
	return arena_keep(a, buf_str(&b));
}

static void test_too_much_of_it(void **state)
{
	AUTO_ARENA a = arena_new();
	str got;

	(void)state;
	got = preview_of(a, repeated(a, "<title>T</title>", "<meta property=og:x content=y>", 51, ""));
	same_str(got, S("{\"og:title\":\"T\"}"));
	got = preview_of(a, repeated(a, "<title>T</title>", "<meta property=og:x content=y>", 50, ""));
	same_str(got, S("{\"og:x\":\"y\",\"og:title\":\"T\"}"));
	got = preview_of(a, repeated(a, "<title>T</title><meta property=og:x content='", "y", 1001, "'>"));
	same_str(got, S("{\"og:title\":\"T\"}"));
	got = preview_of(a, repeated(a, "<title>T</title><meta content=y property='og:", "y", 48, "'>"));
	same_str(got, S("{\"og:title\":\"T\"}"));
	got = preview_of(a, repeated(a, "<title>T</title>", "<div>", 100000, "deep"));
	same_str(got, S("{\"og:title\":\"T\"}"));
	got = preview_of(a, repeated(a, "<title>T</title><body>", "<b></b>", 300000, "<img src=late>"));
	same_str(got, S("{\"og:title\":\"T\"}"));
}

/* An element with n attributes costs the parser n * n steps: this one, as long as the test may take and longer. */
static void test_time_is_bounded(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(64 << 20);

	(void)state;
	buf_add(&b, S("<title>T</title><a "));
	for (unsigned i = 0; i < 250000; i++)
		buf_printf(&b, "a%x ", i);
	same_str(preview_of(a, buf_str(&b)), S("{\"og:title\":\"T\"}"));
}

/* ---- summaries ---- */

static size_t chars(str s)
{
	size_t n = 0;

	for (; s.n > 0; n++)
		(void)utf8_next(&s);
	return n;
}

static void test_summaries(void **state)
{
	AUTO_ARENA a = arena_new();
	const str word = S("w\xc3\xb6rd"), forty = repeated(a, "", "word word ", 4, "end");
	struct summary s = { .a = a };
	str text;

	(void)state;
	same_str(summary_end(&s), STR_NONE);
	for (int i = 0; i < 10 && summary_add(&s, forty); i++)
		assert_true(i < 5); /* whole pieces, until there are two hundred characters */
	text = summary_end(&s);
	assert_int_equal(chars(text), 5 * 43 + 4 * 2);
	s = (struct summary){ .a = a };
	summary_add(&s, S("short"));
	summary_add(&s, repeated(a, "", "w\xc3\xb6rd ", 200, ""));
	text = summary_end(&s);
	ok(chars(text) <= 501 && chars(text) > 480, "%zu characters", chars(text));
	ok(str_ends(text, arena_join2(a, word, S("\xe2\x80\xa6"))), "a whole word and an ellipsis: %.*s",
	   STR_ARG(text));
	ok(str_starts(text, S("short\n\nw")), "%.*s", STR_ARG(text));
	s = (struct summary){ .a = a };
	summary_add(&s, repeated(a, "", "\xc3\xb6", 2000, ""));
	text = summary_end(&s);
	ok(utf8_valid(text) && chars(text) == 500, "one word that is too long is cut: %zu", chars(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_charsets),       cmocka_unit_test(test_pages),
		cmocka_unit_test(test_too_much_of_it), cmocka_unit_test(test_time_is_bounded),
		cmocka_unit_test(test_summaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
