/* oEmbed's providers and answers; the operator's rules for addresses. */
#include "test.h"

#include "http/client_url.h"
#include "media/preview_html.h"
#include "media/preview_oembed.h"
#include "media/preview_rules.h"

static void test_providers(void **state)
{
	AUTO_ARENA a = arena_new();
	struct oembed_providers p = { 0 };

	(void)state;
	same_str(oembed_endpoint(a, &p, S("https://youtube.com/shorts/x")), STR_NONE);
	oembed_add_known(a, &p);
	same_str(oembed_endpoint(a, &p, S("https://www.youtube.com/shorts/x&y")),
		 S("https://www.youtube.com/oembed?url=https%3A%2F%2Fwww.youtube.com%2Fshorts%2Fx%26y&format=json"));
	same_str(oembed_endpoint(a, &p, S("https://www.youtube.com/watch?v=x")), STR_NONE);
	same_str(oembed_endpoint(a, &p, S("http://x.com/y")), STR_NONE);
}

static void test_lists_of_providers(void **state)
{
	static const struct {
		const char *json;
		bool good;
		const char *asked;
	} cases[] = {
		{ "[{\"endpoints\":[{\"schemes\":[\"http://a.example/*\"],\"url\":\"http://a.example/o.{format}\"}]}]",
		  true, "http://a.example/o.json?url=http%3A%2F%2Fa.example%2Fx&format=json" },
		{ "[{\"endpoints\":[{\"schemes\":[\"http://a.example/*\"],\"url\":\"http://a.example/o\",\"formats\":[\"json\"]}]}]",
		  true, "http://a.example/o?url=http%3A%2F%2Fa.example%2Fx&format=json" },
		{ "[{\"endpoints\":[{\"schemes\":[\"http://a.example/*\"],\"url\":\"http://a.example/o\",\"formats\":[\"xml\"]}]}]",
		  true, NULL },
		{ "[{\"endpoints\":[{\"schemes\":[\"http://a.example/*\"],\"url\":\"http://a.example/o.xml\"}]}]", true,
		  NULL },
		{ "[]", true, NULL },
		{ "{}", false, NULL },
		{ "[{}]", false, NULL },
		{ "[{\"endpoints\":[{\"url\":\"http://a.example/o\"}]}]", false, NULL },
		{ "[{\"endpoints\":[{\"schemes\":[\"spotify:*\"],\"url\":\"http://a.example/o\"}]}]", false, NULL },
		{ "[{\"endpoints\":[{\"schemes\":[\"http://a.example/*\"],\"url\":\"file:///etc/passwd\"}]}]", false,
		  NULL },
		{ "no JSON", false, NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oembed_providers p = { 0 };
		const err *e = oembed_add_list(a, &p, str_c(cases[i].json));

		ok((e == NULL) == cases[i].good, "%s", cases[i].json);
		if (!e)
			same_str(oembed_endpoint(a, &p, S("http://a.example/x")), str_c(cases[i].asked));
	}
}

static void test_discovery(void **state)
{
	static const char *const cases[][2] = {
		{ "<link rel=alternate type=application/json+oembed href=/o>", "/o" },
		{ "<link rel=alternative type=application/json+oembed href=/o>", "/o" },
		{ "<link rel=alternate type=text/xml+oembed href=/x><link rel=alternate type=application/json+oembed href=/o>",
		  "/o" },
		{ "<link rel=alternate type=application/json+oembed href=''>", NULL },
		{ "<link rel=stylesheet type=application/json+oembed href=/o>", NULL },
		{ "<p>", NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_HTML *h = html_read(str_c(cases[i][0]));

		same_str(oembed_discover(a, h), str_c(cases[i][1]));
	}
}

#define URL "\"og:url\":\"http://a.example/\""
static void test_answers(void **state)
{
	static const struct {
		const char *json, *og; /* NULL: none */
		const char *author;
		int64_t cache_ms;
	} cases[] = {
		{ "{\"version\":\"1.0\",\"type\":\"link\",\"title\":\"T &amp; <b>U</b>\",\"author_name\":\"A\",\"provider_name\":\"P\","
		  "\"thumbnail_url\":\"i\",\"cache_age\":10}",
		  "{" URL
		  ",\"og:title\":\"T & <b>U</b>\",\"og:site_name\":\"P\",\"og:image\":\"i\",\"og:type\":\"website\"}",
		  "A", 10000 },
		{ "{\"type\":\"photo\",\"url\":\"full\",\"thumbnail_url\":\"small\",\"cache_age\":\"7\"}",
		  "{" URL ",\"og:image\":\"full\"}", NULL, 7000 },
		{ "{\"version\":1,\"type\":\"rich\",\"html\":\"<p>Some <b>words</b></p><img src='i'><script>x</script>\"}",
		  "{" URL ",\"og:image\":\"i\",\"og:description\":\"Some\\n\\nwords\"}", NULL, -1 },
		{ "{\"version\":1.0,\"type\":\"video\",\"width\":640,\"height\":\"480\",\"html\":\"<video src='v'></video>\","
		  "\"cache_age\":-3}",
		  "{" URL ",\"og:video\":\"v\",\"og:type\":\"video.other\",\"og:video:width\":640}", NULL, -1 },
		{ "{\"type\":\"video\",\"html\":\"<embed src='v'>\",\"cache_age\":[]}",
		  "{" URL ",\"og:video\":\"v\",\"og:type\":\"video.other\"}", NULL, -1 },
		{ "{\"title\":1,\"author_name\":{},\"html\":2,\"type\":\"rich\"}", "{" URL "}", NULL, -1 },
		{ "{\"version\":\"2.0\",\"title\":\"T\"}", NULL, NULL, 0 },
		{ "[]", NULL, NULL, 0 },
		{ "", NULL, NULL, 0 },
		{ "{\"title\":\"\\ud800\"}", NULL, NULL, 0 },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct oembed o;

		ok(oembed_read(a, S("http://a.example/"), str_c(cases[i].json), &o) == (cases[i].og != NULL), "%s",
		   cases[i].json);
		if (!cases[i].og)
			continue;
		same_str(og_json(a, &o.og), str_c(cases[i].og));
		same_str(o.author, str_c(cases[i].author));
		assert_int_equal(o.cache_ms, cases[i].cache_ms);
	}
}

/* ---- rules ---- */

static void test_rules(void **state)
{
	static const struct {
		const char *rules, *url;
		bool refused;
	} cases[] = {
		{ "[]", "http://a.example/", false },
		{ "[{\"hostname\":\"a.example\"}]", "http://A.example:8080/x", true },
		{ "[{\"hostname\":\"a.example\"}]", "http://b.a.example/", false },
		{ "[{\"hostname\":\"*.example\"}]", "http://b.a.example/", true },
		{ "[{\"netloc\":\"a.example\"}]", "http://a.example:8080/", false },
		{ "[{\"netloc\":\"a.example:8080\"}]", "http://a.example:8080/", true },
		{ "[{\"netloc\":\"a.example\"}]", "http://A.Example/", true },
		{ "[{\"netloc\":\"a.example:8080\"}]", "http://A.Example.:8080/?:1", true },
		{ "[{\"netloc\":\"[[]::1]:80\"}]", "http://[::1]:80/", true },
		{ "[{\"hostname\":\"a.example\"}]", "http://a.example./", true },
		{ "[{\"port\":\"80\"}]", "http://a.example/", false },
		{ "[{\"port\":80}]", "http://a.example:80/", true },
		{ "[{\"scheme\":\"http\"}]", "https://a.example/", false },
		{ "[{\"scheme\":\"http\"}]", "HTTP://a.example/", true },
		{ "[{\"scheme\":\"http\",\"path\":\"/x*\"}]", "http://a.example/y", false },
		{ "[{\"scheme\":\"http\",\"path\":\"/x*\"}]", "http://a.example/xyz", true },
		{ "[{\"path\":\"/y\"},{\"path\":\"/x\"}]", "http://a.example/x", true },
		{ "[{\"query\":\"*secret*\"}]", "http://a.example/?a&secret=b", true },
		{ "[{\"fragment\":\"x\"}]", "http://a.example/#x", true },
		{ "[{\"username\":\"*\"}]", "http://a.example/", false },
		{ "[{\"netloc\":\"^[0-9]+\\\\.[0-9]+\\\\.[0-9]+\\\\.[0-9]+$\"}]", "http://1.2.3.4/", true },
		{ "[{\"netloc\":\"^\\\\d+\\\\.\\\\d+\"}]", "http://1.2.3.4/", true },
		{ "[{\"netloc\":\"^\\\\d+\\\\.\\\\d+\"}]", "http://a.example/", false },
		{ "[{\"netloc\":\"^[\\\\d.]+$\"}]", "http://1.2.3.4/", true },
		{ "[{\"hostname\":\"^\\\\w+$\"}]", "http://host/", true },
		{ "[{\"hostname\":\"^(a|b)\\\\.example$\"}]", "http://b.example/", true },
		{ "[{\"hostname\":\"^b\"}]", "http://a.b/", false },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client_url u;
		struct url_rules *rules;

		good(client_url_parse(a, str_c(cases[i].url), &u));
		good(url_rules_new(a, str_c(cases[i].rules), &rules));
		ok(url_rules_match(rules, &u) == cases[i].refused, "%s %s", cases[i].rules, cases[i].url);
		url_rules_free(&rules);
	}
}

/* A rule that is not understood must not be one that lets everything through. */
static void test_rules_that_are_none(void **state)
{
	static const char *const cases[] = {
		"{}",
		"[{\"host\":\"x\"}]",
		"[{\"path\":true}]",
		"[{\"path\":\"^(?i)x\"}]",
		"[{\"path\":\"^x.*?y\"}]",
		"[{\"path\":\"^\\\\bx\"}]",
		"[{\"path\":\"^(x)\\\\1\"}]",
		"[{\"path\":\"^(x\"}]",
		"[{\"path\":\"^[\\\\D]\"}]",
		"[{\"path\":\"^x\\\\\"}]",
		"[{\"path\":\"^fine\",\"netloc\":\"^[\"}]",
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct url_rules *rules;
		const err *e = url_rules_new(a, str_c(cases[i]), &rules);

		ok(e && e->code == ERR_CONFIG, "%s", cases[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_providers), cmocka_unit_test(test_lists_of_providers),
		cmocka_unit_test(test_discovery), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_rules),     cmocka_unit_test(test_rules_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
