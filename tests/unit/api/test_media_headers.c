/* What a file is called and whether it is shown in place: names in all scripts, and hostile ones. */
#include "test.h"

#include "api/client/media_headers.h"

static const struct {
	const char *type, *name, *want;
} cases[] = {
	{ "image/png", "", "inline" },
	{ "IMAGE/PNG", "", "inline" },
	{ "text/plain; charset=utf-16", "", "inline" },
	{ "text/html", "", "attachment" },
	{ "image/svg+xml", "", "attachment" },
	{ "application/octet-stream", "", "attachment" },
	{ "application/xhtml+xml", "", "attachment" },
	{ "application/pdf", "", "attachment" },
	{ "image/png,text/html", "", "attachment" },
	{ "image/pngx", "", "attachment" },
	{ "image/png", "a.png", "inline; filename=a.png" },
	{ "text/html", "index.html", "attachment; filename=index.html" },
	{ "image/png", "War and Peace.pdf", "inline; filename*=utf-8''War%20and%20Peace.pdf" },
	{ "image/png", "\xc3\xa4\xe2\x82\xac.png", "inline; filename*=utf-8''%C3%A4%E2%82%AC.png" },
	{ "image/png", "\xf0\x9f\x90\x94.png", "inline; filename*=utf-8''%F0%9F%90%94.png" },
	{ "image/png", "a;b=c.png", "inline; filename*=utf-8''a%3Bb%3Dc.png" },
	{ "image/png", "a\"b.png", "inline; filename*=utf-8''a%22b.png" },
	{ "image/png", "50%25.png", "inline; filename*=utf-8''50%2525.png" },
	{ "image/png", "it's(1)*.png", "inline; filename*=utf-8''it%27s%281%29%2A.png" },
	{ "image/png", "a\r\nSet-Cookie: x=y", "inline; filename*=utf-8''a__Set-Cookie%3A%20x%3Dy" },
	{ "image/png", "../../etc/passwd", "inline; filename=.._.._etc_passwd" },
	{ "image/png", "C:\\autoexec.bat", "inline; filename*=utf-8''C%3A_autoexec.bat" },
	{ "image/png", "\x7f\xc2\x85.png", "inline; filename=__.png" },
	{ "image/png",
	  "gpj.\xe2\x80\xae"
	  "exe",
	  "inline; filename=gpj._exe" },
	{ "image/png", "\xd7\x90\xe2\x81\xa7.png", "inline; filename*=utf-8''%D7%90_.png" },
};

static void dispositions(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		same_str(media_disposition(a, str_c(cases[i].type), str_c(cases[i].name)), str_c(cases[i].want));
	same_str(media_disposition(a, S("image/png"), STR_NONE), S("inline"));
	same_str(media_disposition(a, S("image/png"), (str){ "a\0b", 3 }), S("inline; filename=a_b"));
}

/* The longest name there may be, all of it encoded. */
static void no_name_is_cut(void **state)
{
	AUTO_ARENA a = arena_new();
	char name[1024];

	(void)state;
	memset(name, ' ', sizeof(name));
	ok(media_disposition(a, S("image/png"), (str){ name, sizeof(name) }).n ==
		   sizeof("inline; filename*=utf-8''") - 1 + 3 * sizeof(name),
	   "cut");
}

static void text_is_utf8_unless_it_says_otherwise(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	same_str(media_content_type(a, S("text/plain")), S("text/plain; charset=utf-8"));
	same_str(media_content_type(a, S("text/plain; charset=utf-16")), S("text/plain; charset=utf-16"));
	same_str(media_content_type(a, S("text/plain;format=flowed")), S("text/plain;format=flowed"));
	same_str(media_content_type(a, S("image/png")), S("image/png"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dispositions),
		cmocka_unit_test(no_name_is_cut),
		cmocka_unit_test(text_is_utf8_unless_it_says_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
