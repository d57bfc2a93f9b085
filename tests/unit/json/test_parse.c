/* What is JSON and what is not, to the byte; each text lies alone in memory, so that a read beyond its end is seen. */
#include "test.h"

#include "json/json.h"

static const struct json_limits wide = { .max_bytes = 1 << 20, .max_depth = 64, .max_values = 100000 };

static err *parse_alone(struct arena *a, str text, const struct json_limits *limits, struct json **out)
{
	/* Exactly as long as the text: no NUL behind it. */
	char *p = arena_alloc(a, text.n);

	if (text.n)
		memcpy(p, text.p, text.n);
	return json_parse(a, (str){ p, text.n }, limits, out);
}

static struct json *parse(struct arena *a, str text)
{
	struct json *j = NULL;

	good(parse_alone(a, text, &wide, &j));
	return j;
}

static void accepted_and_refused(void **state)
{
	static const struct {
		str text;
		bool good;
	} cases[] = {
		/* values */
		{ STR("null"), true },
		{ STR("true"), true },
		{ STR("false"), true },
		{ STR("0"), true },
		{ STR("\"\""), true },
		{ STR("[]"), true },
		{ STR("{}"), true },
		{ STR(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n"), true },
		{ STR(""), false },
		{ STR(" "), false },
		{ STR("nul"), false },
		{ STR("nulL"), false },
		{ STR("True"), false },
		{ STR("NaN"), false },
		{ STR("Infinity"), false },
		{ STR("-Infinity"), false },
		{ STR("undefined"), false },
		{ STR("'a'"), false },
		{ STR("1 2"), false },
		{ STR("{}{}"), false },
		{ STR("null\0"), false },
		{ STR("\xef\xbb\xbf{}"), false }, /* a byte order mark is no white space */
		{ STR("\f{}"), false },
		{ STR("\v1"), false },
		{ STR("\xc2\xa0"
		      "1"),
		  false },
		{ STR("/* */ 1"), false },
		{ STR("1 // x"), false },
		/* numbers */
		{ STR("-0"), true },
		{ STR("-1"), true },
		{ STR("1.5"), true },
		{ STR("1e5"), true },
		{ STR("1E+05"), true },
		{ STR("0e0"), true },
		{ STR("0.0"), true },
		{ STR("-0.0e-0"), true },
		{ STR("00"), false },
		{ STR("01"), false },
		{ STR("-01"), false },
		{ STR("-"), false },
		{ STR("+1"), false },
		{ STR("1."), false },
		{ STR(".5"), false },
		{ STR("1.e5"), false },
		{ STR("1e"), false },
		{ STR("1e+"), false },
		{ STR("1e5.5"), false },
		{ STR("0x10"), false },
		{ STR("1_000"), false },
		{ STR("- 1"), false },
		{ STR("1a"), false },
		/* arrays and objects */
		{ STR("["), false },
		{ STR("]"), false },
		{ STR("[1"), false },
		{ STR("[1,"), false },
		{ STR("[1,]"), false },
		{ STR("[,1]"), false },
		{ STR("[1 2]"), false },
		{ STR("[1}"), false },
		{ STR("[}"), false },
		{ STR("{]"), false },
		{ STR("[1]]"), false },
		{ STR("{"), false },
		{ STR("{\"a\""), false },
		{ STR("{\"a\":"), false },
		{ STR("{\"a\":1"), false },
		{ STR("{\"a\":1,"), false },
		{ STR("{\"a\":1,}"), false },
		{ STR("{,\"a\":1}"), false },
		{ STR("{\"a\",1}"), false },
		{ STR("{\"a\" 1}"), false },
		{ STR("{a:1}"), false },
		{ STR("{1:1}"), false },
		{ STR("{\"a\":1 \"b\":2}"), false },
		{ STR("{\"a\":1]"), false },
		{ STR("{\"a\"}"), false },
		{ STR("{\"a\":}"), false },
		/* strings */
		{ STR("\"a"), false },
		{ STR("\""), false },
		{ STR("\"\\"), false },
		{ STR("\"\\\""), false },
		{ STR("\"\\a\""), false },
		{ STR("\"\\'\""), false },
		{ STR("\"\\x41\""), false },
		{ STR("\"\\U0041\""), false },
		{ STR("\"\\u\""), false },
		{ STR("\"\\u004\""), false },
		{ STR("\"\\u004g\""), false },
		{ STR("\"\\u 041\""), false },
		{ STR("\"\\\xc3\xa9\""), false },
		{ STR("\"\n\""), false },
		{ STR("\"\t\""), false },
		{ STR("\"\x1f\""), false },
		{ STR("\"\0\""), false },
		{ STR("\"\x7f\""), true },
		{ STR("\"\\u0000\""), true },
		{ STR("\"\\u007F\\u00e9\""), true },
		/* surrogates, escaped and not */
		{ STR("\"\\ud83d\\ude00\""), true },
		{ STR("\"\\uD83D\\uDE00\""), true },
		{ STR("\"\\ud83d\""), false },
		{ STR("\"\\ude00\""), false },
		{ STR("\"\\ude00\\ud83d\""), false },
		{ STR("\"\\ud83d\\ud83d\""), false },
		{ STR("\"\\ud83dx\""), false },
		{ STR("\"\\ud83d\\n\""), false },
		{ STR("\"\\ud83d\\u0041\""), false },
		{ STR("\"\\ud83d\\ude0\""), false },
		{ STR("\"\\ud83d\\"), false },
		{ STR("\"\xed\xa0\xbd\""), false },
		{ STR("\"\xed\xa0\xbd\xed\xb8\x80\""), false },
		/* UTF-8 */
		{ STR("\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\""), true },
		{ STR("\"\xc3\""), false },
		{ STR("\"\xc0\x80\""), false },
		{ STR("\"\xf4\x90\x80\x80\""), false },
		{ STR("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xff\""), false },
		{ STR("{\"\xff\":1}"), false },
		{ STR("[\xc3\xa9]"), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		struct json *j = NULL;
		err *e = parse_alone(a, cases[i].text, &wide, &j);

		ok((e == NULL) == cases[i].good, "%.*s", STR_ARG(cases[i].text));
		ok((j != NULL) == cases[i].good, "%.*s", STR_ARG(cases[i].text));
		ok(!e || e->code == ERR_NOT_JSON, "%.*s", STR_ARG(cases[i].text));
	}
}

static void numbers(void **state)
{
	static const struct {
		str text;
		enum json_kind kind;
		int64_t v;
	} cases[] = {
		{ STR("0"), JSON_INT, 0 },
		{ STR("-0"), JSON_INT, 0 },
		{ STR("-17"), JSON_INT, -17 },
		{ STR("9007199254740993"), JSON_INT, 9007199254740993 }, /* a double would say ...992 */
		{ STR("9223372036854775807"), JSON_INT, INT64_MAX },
		{ STR("-9223372036854775808"), JSON_INT, INT64_MIN },
		{ STR("9223372036854775808"), JSON_NUMBER, 0 },
		{ STR("-9223372036854775809"), JSON_NUMBER, 0 },
		{ STR("18446744073709551616"), JSON_NUMBER, 0 },
		{ STR("18446744073709551617"), JSON_NUMBER, 0 },
		{ STR("184467440737095516160000000000000000001"), JSON_NUMBER, 0 },
		{ STR("1.0"), JSON_NUMBER, 0 },
		{ STR("1e0"), JSON_NUMBER, 0 },
		{ STR("-0.0"), JSON_NUMBER, 0 },
		{ STR("1e400"), JSON_NUMBER, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const struct json *j = parse(a, cases[i].text);

		ok(j->kind == cases[i].kind, "%.*s", STR_ARG(cases[i].text));
		ok(j->i == cases[i].v, "%.*s", STR_ARG(cases[i].text));
		same_str(j->raw, cases[i].text);
	}
}

static void strings(void **state)
{
	static const struct {
		str text, value;
	} cases[] = {
		{ STR("\"\""), STR("") },
		{ STR("\"plain\""), STR("plain") },
		{ STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t") },
		{ STR("\"a\\u0000b\""), STR("a\0b") },
		{ STR("\"\\u00e9\\u65E5\\ud83d\\ude00\""), STR("\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80") },
		{ STR("\"\\uffff\\ud7ff\\ue000\""), STR("\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80") },
		{ STR("\"\\udbff\\udfff\\ud800\\udc00\""), STR("\xf4\x8f\xbf\xbf\xf0\x90\x80\x80") },
		{ STR("\"\\\\u0041\""), STR("\\u0041") },
		{ STR("\"0123456789abcdef0123456789abcde\\n0123456789abcdef\xc3\xa9\""),
		  STR("0123456789abcdef0123456789abcde\n0123456789abcdef\xc3\xa9") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const struct json *j = parse(a, cases[i].text);

		assert_int_equal(j->kind, JSON_STR);
		same_str(j->s, cases[i].value);
		same_str(j->raw, cases[i].text);
	}
}

/* Each byte that ends the fast path, at each place in and after a block of it. */
static void specials_at_every_place(void **state)
{
	static const struct {
		str text, value;
	} specials[] = { { STR("\\n"), STR("\n") }, { STR("\xc3\xa9"), STR("\xc3\xa9") }, { STR("\\\""), STR("\"") } };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(specials); s++) {
		for (size_t at = 0; at < 40; at++) {
			AUTO_ARENA a = arena_new();
			const str before = str_head(S("0123456789012345678901234567890123456789"), at);
			str text = arena_join3(a, S("\""), before, specials[s].text);

			text = arena_join2(a, text, S("tail\""));
			same_str(parse(a, text)->s, arena_join3(a, before, specials[s].value, S("tail")));
			/* Nothing shorter is a document. */
			for (size_t n = 0; n < text.n; n++) {
				struct json *j;

				fails_with(parse_alone(a, str_head(text, n), &wide, &j), ERR_NOT_JSON);
			}
		}
	}
}

static const str document = STR(" {\"a\":[1,-2.5e3,\"x\\ud83d\\ude00\",{\"b\":{}, \"c\":[[]]}],\n\"d\":true,\"\":null,"
				"\"\xc3\xa9\":9223372036854775808} ");

static void values_keep_their_bytes(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct json *j = parse(a, document), *list = json_get(j, S("a"));

	(void)state;
	same_str(j->raw, str_trim(document));
	assert_int_equal(j->object.n, 4);
	same_str(list->raw, S("[1,-2.5e3,\"x\\ud83d\\ude00\",{\"b\":{}, \"c\":[[]]}]"));
	assert_int_equal(list->array.n, 4);
	same_str(list->array.items[1]->raw, S("-2.5e3"));
	same_str(list->array.items[2]->raw, S("\"x\\ud83d\\ude00\""));
	same_str(list->array.items[3]->raw, S("{\"b\":{}, \"c\":[[]]}"));
	same_str(json_get(list->array.items[3], S("b"))->raw, S("{}"));
	same_str(json_get(list->array.items[3], S("c"))->array.items[0]->raw, S("[]"));
	same_str(json_get(j, S(""))->raw, S("null"));
	same_str(json_get(j, S("d"))->raw, S("true"));
	same_str(json_get(j, S("\xc3\xa9"))->raw, S("9223372036854775808"));
}

static void no_head_of_a_document_is_one(void **state)
{
	(void)state;
	for (size_t n = 0; n < document.n - 1; n++) {
		AUTO_ARENA a = arena_new();
		struct json *j;

		fails_with(parse_alone(a, str_head(document, n), &wide, &j), ERR_NOT_JSON);
	}
}

static void duplicates_are_flagged(void **state)
{
	static const struct {
		str text;
		bool dup;
		int64_t a;
	} cases[] = {
		{ STR("{\"a\":1,\"b\":2}"), false, 1 },
		{ STR("{\"a\":1,\"a\":2}"), true, 2 },
		{ STR("{\"b\":0,\"a\":1,\"c\":3,\"\\u0061\":5,\"d\":7}"), true, 5 },
		{ STR("{\"\":1,\"\":2,\"a\":3}"), true, 3 },
		{ STR("{\"a\":1,\"A\":2,\"a \":3}"), false, 1 },
		/* Inside a value: its own affair. */
		{ STR("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}"), false, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const struct json *j = parse(a, cases[i].text);
		int64_t v = 0;

		ok(j->dup == cases[i].dup, "%.*s", STR_ARG(cases[i].text));
		assert_true(json_get_int(j, S("a"), &v));
		ok(v == cases[i].a, "%.*s: %" PRId64, STR_ARG(cases[i].text), v);
	}
}

/* Around the number of members from which there is an index. */
static void large_objects(void **state)
{
	(void)state;
	for (size_t n = 1; n < 400; n += n < 40 ? 1 : 37) {
		for (size_t twice = 0; twice <= n; twice += MAX(1, n / 3)) {
			AUTO_ARENA a = arena_new();
			AUTO_BUF b = BUF_INIT(100000);
			const struct json *j;
			int64_t v;

			/* Member `twice` comes again at the end; with twice == n there is none. */
			for (size_t i = 0; i < n; i++)
				buf_printf(&b, "%s\"key%zu\":%zu", i ? "," : "{", i, i);
			if (twice < n)
				buf_printf(&b, ",\"key%zu\":-1", twice);
			buf_byte(&b, '}');
			j = parse(a, buf_str(&b));
			ok(j->dup == (twice < n), "%zu members, %zu twice", n, twice);
			for (size_t i = 0; i < n; i++) {
				assert_true(json_get_int(j, arena_printf(a, "key%zu", i), &v));
				ok(v == (i == twice ? -1 : (int64_t)i), "%zu members, key %zu", n, i);
			}
			assert_null(json_get(j, S("key")));
			assert_null(json_get(j, arena_printf(a, "key%zu", n)));
		}
	}
}

static str nested(struct arena *a, size_t depth, const char *open, const char *close)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	for (size_t i = 0; i < depth; i++)
		buf_add(&b, str_c(open));
	for (size_t i = 0; i < depth; i++)
		buf_add(&b, str_c(close));
	return arena_keep(a, buf_str(&b));
}

static void limits(void **state)
{
	const struct json_limits tight = { .max_bytes = 100, .max_depth = 3, .max_values = 5 };
	AUTO_ARENA a = arena_new();
	struct json *j;

	(void)state;
	good(parse_alone(a, S("[[[1]]]"), &tight, &j));
	fails_with(parse_alone(a, S("[[[[]]]]"), &tight, &j), ERR_TOO_LARGE);
	/* Depth is given back when a value is closed. */
	good(parse_alone(a, S("[[[]],[[]]]"), &tight, &j));
	good(parse_alone(a, S("[1,2,3,4]"), &tight, &j));
	fails_with(parse_alone(a, S("[1,2,3,4,5]"), &tight, &j), ERR_TOO_LARGE);
	fails_with(parse_alone(a, S("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}"), &tight, &j), ERR_TOO_LARGE);
	good(parse_alone(a, arena_printf(a, "\"%098d\"", 0), &tight, &j));
	fails_with(parse_alone(a, arena_printf(a, "\"%099d\"", 0), &tight, &j), ERR_TOO_LARGE);
	good(parse_alone(a, nested(a, 64, "[", "]"), &json_limits_request, &j));
	fails_with(parse_alone(a, nested(a, 65, "[", "]"), &json_limits_request, &j), ERR_TOO_LARGE);
	/* What came in as a request's body fits into an event. */
	good(parse_alone(a, nested(a, 1000, "[", "]"), &json_limits_event, &j));
	fails_with(parse_alone(a, nested(a, 1001, "[", "]"), &json_limits_event, &j), ERR_TOO_LARGE);
	/* What never ends is refused at the limit, not at the end. */
	fails_with(parse_alone(a, nested(a, 60000, "[", ""), &json_limits_request, &j), ERR_TOO_LARGE);
	fails_with(parse_alone(a, nested(a, 10000, "{\"a\":", "}"), &json_limits_request, &j), ERR_TOO_LARGE);
}

static void deep_where_it_is_allowed(void **state)
{
	const struct json_limits deep = { .max_bytes = 1 << 20, .max_depth = 100000, .max_values = 100001 };
	AUTO_ARENA a = arena_new();
	struct json *j;
	str s;

	(void)state;
	/* Neither reading nor writing recurses. */
	good(parse_alone(a, nested(a, 100000, "[", "]"), &deep, &j));
	good(json_canonical(a, j, true, &s));
	assert_int_equal(s.n, 200000);
}

static void many_values(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(1 << 20);
	const struct json *j;

	(void)state;
	buf_byte(&b, '[');
	for (int i = 0; i < 20000; i++)
		buf_printf(&b, "%s{\"i\":%d}", i ? "," : "", i);
	buf_byte(&b, ']');
	j = parse(a, buf_str(&b));
	assert_int_equal(j->array.n, 20000);
	JSON_ITEMS (j, i) {
		int64_t v;

		assert_true(json_get_int(j->array.items[i], S("i"), &v));
		assert_int_equal(v, i);
	}
}

/* A budget: the tree of an event takes a few times its size, strings without escapes nothing. */
static void memory_of_an_event(void **state)
{
	static const str event = STR(
		"{\"auth_events\":[\"$7Hn3GdX3a0zTzq0GdZ7Jm3a0zTzq0GdZ7Jm3a0zTzq0\"],\"content\":{\"body\":\"Hello, world\","
		"\"msgtype\":\"m.text\"},\"depth\":12,\"hashes\":{\"sha256\":\"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos\"},"
		"\"origin_server_ts\":1700000000000,\"prev_events\":[\"$7Hn3GdX3a0zTzq0GdZ7Jm3a0zTzq0GdZ7Jm3a0zTzq0\"],"
		"\"room_id\":\"!abcdefghijklmnopqr:example.org\",\"sender\":\"@bob:example.org\",\"signatures\":{\"example.org\":"
		"{\"ed25519:a\":\"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg\"}},"
		"\"type\":\"m.room.message\"}");
	AUTO_ARENA a = arena_new();
	struct json *j;

	(void)state;
	good(json_parse(a, event, &json_limits_event, &j));
	/* 18 values of 48 bytes, 15 members of 24, 2 items of 8, and nothing else. */
	ok(arena_used(a) <= 1300, "%zu bytes", arena_used(a));
	assert_true(json_get_str(j, S("type")).p > event.p && json_get_str(j, S("type")).p < event.p + event.n);
}

static void errors_say_where(void **state)
{
	AUTO_ARENA a = arena_new();
	struct json *j;
	err *e = parse_alone(a, S("{\"a\":1,\"b\" 2}"), &wide, &j);

	(void)state;
	same_str(e->msg, S("Not JSON at byte 11: a colon is missing"));
	e = parse_alone(a, S("[[["), &(const struct json_limits){ 10, 2, 10 }, &j);
	same_str(e->msg, S("Not JSON at byte 2: nested too deeply"));
}

TEST_MAIN(cmocka_unit_test(accepted_and_refused), cmocka_unit_test(numbers), cmocka_unit_test(strings),
	  cmocka_unit_test(specials_at_every_place), cmocka_unit_test(values_keep_their_bytes),
	  cmocka_unit_test(no_head_of_a_document_is_one), cmocka_unit_test(duplicates_are_flagged),
	  cmocka_unit_test(large_objects), cmocka_unit_test(limits), cmocka_unit_test(deep_where_it_is_allowed),
	  cmocka_unit_test(many_values), cmocka_unit_test(memory_of_an_event), cmocka_unit_test(errors_say_where))
