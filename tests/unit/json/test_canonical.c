/* Canonical JSON: one byte off, and every signature and event id is another. */
#include "test.h"

#include "json/json.h"

static struct json *parse(struct arena *a, str text)
{
	struct json *j = NULL;

	good(json_parse(a, text, &json_limits_request, &j));
	return j;
}

static str canonical(struct arena *a, const struct json *j, bool strict)
{
	str s = STR_NONE;

	good(json_canonical(a, j, strict, &s));
	return s;
}

/* https://spec.matrix.org/latest/appendices/#examples, in its order. */
static void the_appendix(void **state)
{
	static const struct {
		str text, canonical;
	} cases[] = {
		{ STR("{}"), STR("{}") },
		{ STR("{\n    \"one\": 1,\n    \"two\": \"Two\"\n}"), STR("{\"one\":1,\"two\":\"Two\"}") },
		{ STR("{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}"), STR("{\"a\":\"1\",\"b\":\"2\"}") },
		{ STR("{\"b\":\"2\",\"a\":\"1\"}"), STR("{\"a\":\"1\",\"b\":\"2\"}") },
		{ STR("{\n    \"auth\": {\n        \"success\": true,\n        \"mxid\": \"@john.doe:example.com\",\n"
		      "        \"profile\": {\n            \"display_name\": \"John Doe\",\n"
		      "            \"three_pids\": [\n                {\n                    \"medium\": \"email\",\n"
		      "                    \"address\": \"john.doe@example.org\"\n                },\n                {\n"
		      "                    \"medium\": \"msisdn\",\n                    \"address\": \"123456789\"\n"
		      "                }\n            ]\n        }\n    }\n}"),
		  STR("{\"auth\":{\"mxid\":\"@john.doe:example.com\",\"profile\":{\"display_name\":\"John Doe\","
		      "\"three_pids\":[{\"address\":\"john.doe@example.org\",\"medium\":\"email\"},{\"address\":"
		      "\"123456789\",\"medium\":\"msisdn\"}]},\"success\":true}}") },
		{ STR("{\n    \"a\": \"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"\n}"),
		  STR("{\"a\":\"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\"}") },
		{ STR("{\n    \"\xe6\x9c\xac\": 2,\n    \"\xe6\x97\xa5\": 1\n}"),
		  STR("{\"\xe6\x97\xa5\":1,\"\xe6\x9c\xac\":2}") },
		{ STR("{\n    \"a\": \"\\u65E5\"\n}"), STR("{\"a\":\"\xe6\x97\xa5\"}") },
		{ STR("{\n    \"a\": null\n}"), STR("{\"a\":null}") },
		{ STR("{\n    \"a\": -0,\n    \"b\": 1e10\n}"), STR("{\"a\":0,\"b\":10000000000}") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		same_str(canonical(a, parse(a, cases[i].text), false), cases[i].canonical);
	/* All but the last, which has a float's form, are canonical for every room version. */
	for (size_t i = 0; i < ARRAY_LEN(cases) - 1; i++)
		same_str(canonical(a, parse(a, cases[i].text), true), cases[i].canonical);
}

static void escapes(void **state)
{
	static const struct {
		str text, canonical;
	} cases[] = {
		{ STR("\"\\u0008\\u0009\\u000A\\u000c\\u000D\\u0022\\u005c\""), STR("\"\\b\\t\\n\\f\\r\\\"\\\\\"") },
		{ STR("\"\\u0000\\u0001\\u000B\\u000E\\u001F\""), STR("\"\\u0000\\u0001\\u000b\\u000e\\u001f\"") },
		{ STR("\"\\/\\u002f\\u007f\\u00e9\""), STR("\"//\x7f\xc3\xa9\"") },
		{ STR("\"\\u2028\\u2029\\ufeff\""), STR("\"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf\"") },
		{ STR("\"\\ud83d\\ude00\""), STR("\"\xf0\x9f\x98\x80\"") },
		{ STR("{\"\\u000a\\u0061\":1}"), STR("{\"\\na\":1}") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		same_str(canonical(a, parse(a, cases[i].text), true), cases[i].canonical);
}

/* By code point, which UTF-16's order is not: U+FF5E (ef bd 9e) comes before U+10000 (f0 90 80 80). */
static void order_of_keys(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	same_str(
		canonical(a,
			  parse(a, S("{\"\\ud800\\udc00\":1,\"\xef\xbd\x9e\":2,\"b\":3,\"\":4,\"aa\":5,\"a\":6,\"B\":7,"
				     "\"a\\u0000\":8,\"\xc3\xa9\":9}")),
			  true),
		S("{\"\":4,\"B\":7,\"a\":6,\"a\\u0000\":8,\"aa\":5,\"b\":3,\"\xc3\xa9\":9,\"\xef\xbd\x9e\":2,"
		  "\"\xf0\x90\x80\x80\":1}"));
}

static void strict_numbers(void **state)
{
	static const struct {
		str text;
		bool strict; /* taken when strict */
		str loose;   /* what is written otherwise */
	} cases[] = {
		{ STR("9007199254740991"), true, STR("9007199254740991") },
		{ STR("-9007199254740991"), true, STR("-9007199254740991") },
		{ STR("9007199254740992"), false, STR("9007199254740992") },
		{ STR("-9007199254740992"), false, STR("-9007199254740992") },
		{ STR("9223372036854775808"), false, STR("9223372036854775808") },
		{ STR("-0"), true, STR("0") },
		{ STR("1.0"), false, STR("1.0") },
		{ STR("-0.0"), false, STR("-0.0") },
		{ STR("1e10"), false, STR("10000000000") },
		{ STR("1E+2"), false, STR("100") },
		{ STR("-12e003"), false, STR("-12000") },
		{ STR("-0e5"), false, STR("0") },
		{ STR("0e99999999999999999999"), false, STR("0e99999999999999999999") },
		{ STR("9e15"), false, STR("9000000000000000") },
		{ STR("9007199254740991e0"), false, STR("9007199254740991") },
		{ STR("9007199254740992e0"), false, STR("9007199254740992e0") },
		{ STR("1e16"), false, STR("1e16") },
		{ STR("1e18446744073709551615"), false, STR("1e18446744073709551615") },
		{ STR("9223372036854775808e1"), false, STR("9223372036854775808e1") },
		{ STR("1e-1"), false, STR("1e-1") },
		{ STR("1.5e1"), false, STR("1.5e1") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *j = parse(a, arena_join3(a, S("{\"deep\":[{\"n\":"), cases[i].text, S("}]}")));
		err *e;
		str s;

		same_str(canonical(a, j, false), arena_join3(a, S("{\"deep\":[{\"n\":"), cases[i].loose, S("}]}")));
		e = json_canonical(a, j, true, &s);
		ok((e == NULL) == cases[i].strict, "%.*s", STR_ARG(cases[i].text));
		ok(!e || e->code == ERR_BAD_JSON, "%.*s", STR_ARG(cases[i].text));
	}
	/* The text that grows the most, many times. */
	same_str(canonical(a, parse(a, S("[1e9,1e9,1e9,1e9,1e9,1e9,1e9,1e9]")), false),
		 S("[1000000000,1000000000,1000000000,1000000000,1000000000,1000000000,1000000000,1000000000]"));
}

static void integers_that_were_made(void **state)
{
	AUTO_ARENA a = arena_new();
	str s;

	(void)state;
	same_str(canonical(a, json_new_int(a, ((int64_t)1 << 53) - 1), true), S("9007199254740991"));
	fails_with(json_canonical(a, json_new_int(a, (int64_t)1 << 53), true, &s), ERR_BAD_JSON);
	same_str(canonical(a, json_new_int(a, INT64_MIN), false), S("-9223372036854775808"));
}

static void duplicates(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(10000);
	str s;

	(void)state;
	same_str(canonical(a, parse(a, S("{\"b\":1,\"a\":2,\"b\":3,\"\\u0061\":4,\"b\":5}")), false),
		 S("{\"a\":4,\"b\":5}"));
	fails_with(json_canonical(a, parse(a, S("{\"b\":1,\"b\":1}")), true, &s), ERR_BAD_JSON);
	fails_with(json_canonical(a, parse(a, S("[{\"x\":{\"b\":1,\"b\":1}}]")), true, &s), ERR_BAD_JSON);
	/* Many keys, each twice: the later ones count, whatever sorts them. */
	for (int i = 0; i < 100; i++)
		buf_printf(&b, "%s\"k%02d\":%d", i ? "," : "{", i % 50, i);
	buf_byte(&b, '}');
	s = canonical(a, parse(a, buf_str(&b)), false);
	buf_reset(&b);
	for (int i = 0; i < 50; i++)
		buf_printf(&b, "%s\"k%02d\":%d", i ? "," : "{", i, i + 50);
	buf_byte(&b, '}');
	same_str(s, buf_str(&b));
}

/* What was changed is measured, what was not is taken by its bytes; both in one text. */
static void changed_trees(void **state)
{
	AUTO_ARENA a = arena_new();
	struct json *j =
		json_copy(a, parse(a, S("{\"signatures\":{},\"content\":{\"b\" : 1.0, \"a\":[ -0, \"\\u00e9\"]}}")));
	struct json *list = json_new_array(a);

	(void)state;
	json_del(j, S("signatures"));
	json_append(a, list, json_new_str(a, S("\x01\"\xc3\xa9\n")));
	json_append(a, list, json_new_bool(a, true));
	json_append(a, list, json_new_null(a));
	json_append(a, list, json_new_object(a));
	json_append(a, list, json_new_array(a));
	json_append(a, list, json_get(j, S("content")));
	json_set(a, j, S("a\nlist"), list);
	json_set(a, j, S("depth"), json_new_int(a, 7));
	same_str(canonical(a, j, false),
		 S("{\"a\\nlist\":[\"\\u0001\\\"\xc3\xa9\\n\",true,null,{},[],{\"a\":[0,\"\xc3\xa9\"],\"b\":1.0}],"
		   "\"content\":{\"a\":[0,\"\xc3\xa9\"],\"b\":1.0},\"depth\":7}"));
	/* Bytes that are no UTF-8 cannot have been parsed; made by mistake, they do not make another text invalid. */
	same_str(canonical(a, json_new_str(a, S("a\xff\xc3")), true), S("\"a\xef\xbf\xbd\xef\xbf\xbd\""));
}

static void canonical_stays_canonical(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(100000);
	str once;

	(void)state;
	buf_add(&b, S("{\"list\":["));
	for (int i = 0; i < 300; i++)
		buf_printf(&b, "%s{\"z%d\":\"\\u00%02x\",\"a\":[%d, {}]}", i ? " , " : "", i, (unsigned)i % 256, i);
	buf_add(&b, S("]}"));
	once = canonical(a, parse(a, buf_str(&b)), true);
	same_str(canonical(a, parse(a, once), true), once);
}

TEST_MAIN(cmocka_unit_test(the_appendix), cmocka_unit_test(escapes), cmocka_unit_test(order_of_keys),
	  cmocka_unit_test(strict_numbers), cmocka_unit_test(integers_that_were_made), cmocka_unit_test(duplicates),
	  cmocka_unit_test(changed_trees), cmocka_unit_test(canonical_stays_canonical))
