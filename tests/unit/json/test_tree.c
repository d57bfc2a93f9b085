/* Looking into trees and changing them: what is asked of a wrong kind is absent, what is copied is not changed. */
#include "test.h"

#include "json/writer.h"

static struct json *parse(struct arena *a, str text)
{
	struct json *j = NULL;

	good(json_parse(a, text, &json_limits_request, &j));
	return j;
}

static str written(struct arena *a, const struct json *j)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);

	jw_json(&w, NULL, j);
	assert_true(jw_good(&w));
	return arena_keep(a, buf_str(&b));
}

/* A string that is among the items, and nothing that merely looks like one. */
static void lists_strings(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct json *list = parse(a, S("[\"a\",5,null,[\"b\"],\"\\u0063\"]"));

	(void)state;
	assert_true(json_lists(list, S("a")));
	assert_true(json_lists(list, S("c")));
	assert_false(json_lists(list, S("b")));
	assert_false(json_lists(list, S("5")));
	assert_false(json_lists(list, S("")));
	assert_false(json_lists(parse(a, S("{\"a\":\"a\"}")), S("a")));
	assert_false(json_lists(NULL, S("a")));
}

static void look_ups_chain(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct json *j = parse(a, S("{\"o\":{\"s\":\"x\",\"i\":5,\"b\":true,\"l\":[1],\"n\":null,\"f\":1.5}}"));
	const struct json *o = json_get_object(j, S("o"));
	int64_t v = 7;

	(void)state;
	same_str(json_get_str(o, S("s")), S("x"));
	assert_true(json_get_int(o, S("i"), &v));
	assert_int_equal(v, 5);
	assert_true(json_get_bool(o, S("b"), false));
	assert_int_equal(json_get_array(o, S("l"))->array.n, 1);
	assert_true(json_is(json_get(o, S("n")), JSON_NULL));
	/* Absent, or of another kind. */
	assert_true(str_is_none(json_get_str(o, S("i"))));
	assert_true(str_is_none(json_get_str(o, S("n"))));
	assert_false(json_get_int(o, S("s"), &v));
	assert_false(json_get_int(o, S("f"), &v));
	assert_int_equal(v, 5);
	assert_true(json_get_bool(o, S("i"), true));
	assert_false(json_get_bool(o, S("i"), false));
	assert_null(json_get_object(o, S("l")));
	assert_null(json_get_array(o, S("s")));
	assert_null(json_get(json_get(json_get(j, S("x")), S("y")), S("z")));
	assert_null(json_get(json_get(o, S("l")), S("0")));
	assert_null(json_get(NULL, S("a")));
	JSON_EACH (json_get(o, S("l")), m)
		fail_msg("an array has no members: %.*s", STR_ARG(m->key));
	JSON_ITEMS (o, i)
		fail_msg("an object has no items: %zu", i);
}

static void building(void **state)
{
	AUTO_ARENA a = arena_new();
	struct json *o = json_new_object(a), *l = json_new_array(a);

	(void)state;
	same_str(written(a, o), S("{}"));
	same_str(written(a, l), S("[]"));
	for (int64_t i = 0; i < 6; i++)
		json_append(a, l, json_new_int(a, i - 3));
	json_set(a, o, S("list"), l);
	json_set(a, o, S("s"), json_new_str(a, S("a\"b")));
	json_set(a, o, S("b"), json_new_bool(a, false));
	json_set(a, o, S("n"), json_new_null(a));
	json_set(a, o, S("none"), json_new_str(a, STR_NONE));
	json_set(a, o, S("key \"\n"), json_new_object(a));
	same_str(written(a, o), S("{\"list\":[-3,-2,-1,0,1,2],\"s\":\"a\\\"b\",\"b\":false,\"n\":null,\"none\":\"\","
				  "\"key \\\"\\n\":{}}"));
	json_set(a, o, S("s"), json_new_int(a, INT64_MIN));
	json_del(o, S("list"));
	json_del(o, S("not there"));
	same_str(written(a, o),
		 S("{\"s\":-9223372036854775808,\"b\":false,\"n\":null,\"none\":\"\",\"key \\\"\\n\":{}}"));
}

static void a_changed_value_is_written_anew(void **state)
{
	AUTO_ARENA a = arena_new();
	struct json *j = parse(a, S("{ \"b\" : [ 1 ], \"a\" : 2 }"));

	(void)state;
	same_str(written(a, j), S("{ \"b\" : [ 1 ], \"a\" : 2 }"));
	json_set(a, j, S("c"), json_new_int(a, 3));
	assert_true(str_is_none(j->raw));
	/* What was not changed keeps its bytes. */
	same_str(written(a, j), S("{\"b\":[ 1 ],\"a\":2,\"c\":3}"));
	j = parse(a, S("{\"a\":1}"));
	json_del(j, S("b"));
	same_str(j->raw, S("{\"a\":1}"));
	json_del(j, S("a"));
	same_str(written(a, j), S("{}"));
	j = parse(a, S("[1, 2]"));
	json_append(a, j, json_new_int(a, 3));
	same_str(written(a, j), S("[1,2,3]"));
}

static void a_copy_leaves_the_original(void **state)
{
	AUTO_ARENA a = arena_new();
	const str text = S("{\"a\":1,\"b\":{\"c\":2}}");
	const struct json *j = parse(a, text);
	struct json *c = json_copy(a, j);

	(void)state;
	same_str(written(a, c), text);
	json_set(a, c, S("a"), json_new_str(a, S("x")));
	json_set(a, c, S("d"), json_new_int(a, 4));
	json_del(c, S("b"));
	same_str(written(a, c), S("{\"a\":\"x\",\"d\":4}"));
	same_str(written(a, j), text);
	assert_int_equal(j->object.n, 2);
	assert_int_equal(json_get(j, S("a"))->i, 1);
	assert_null(json_get(j, S("d")));
	c = json_copy(a, parse(a, S("{}")));
	json_set(a, c, S("a"), json_new_int(a, 1));
	same_str(written(a, c), S("{\"a\":1}"));
}

static void changing_settles_duplicates(void **state)
{
	AUTO_ARENA a = arena_new();
	const str text = S("{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"b\":5}");
	struct json *j = json_copy(a, parse(a, text));

	(void)state;
	assert_true(j->dup);
	json_set(a, j, S("d"), json_new_int(a, 6));
	assert_false(j->dup);
	same_str(written(a, j), S("{\"a\":3,\"c\":4,\"b\":5,\"d\":6}"));
	j = json_copy(a, parse(a, text));
	json_del(j, S("a"));
	same_str(written(a, j), S("{\"c\":4,\"b\":5}"));
	assert_null(json_get(j, S("a")));
}

static uint32_t step(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

#define KEYS 60

/* Sets, deletes and copies at random, with and without an index, against an array that says what must be there. */
static void random_changes(void **state)
{
	AUTO_ARENA a = arena_new();
	str keys[KEYS];
	int64_t want[KEYS] = { 0 };
	struct json *j = json_new_object(a);
	uint32_t x = 7;

	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		keys[i] = arena_printf(a, "k%zu", i);
	for (int n = 0; n < 4000; n++) {
		const size_t i = step(&x) % KEYS;
		size_t there = 0;

		if (step(&x) % 100 < (n / 500 % 2 ? 35u : 65u)) {
			want[i] = 1 + n;
			json_set(a, j, keys[i], json_new_int(a, want[i]));
		} else {
			want[i] = 0;
			json_del(j, keys[i]);
		}
		if (n % 50 == 0) {
			const struct json *before = j;

			j = json_copy(a, j);
			json_set(a, j, S("extra"), json_new_null(a));
			assert_null(json_get(before, S("extra")));
			json_del(j, S("extra"));
		}
		for (size_t k = 0; k < KEYS; k++) {
			int64_t v = 0;

			json_get_int(j, keys[k], &v);
			ok(v == want[k], "step %d, key %zu: %" PRId64 " instead of %" PRId64, n, k, v, want[k]);
			there += want[k] != 0;
		}
		assert_int_equal(j->object.n, there);
	}
}

static void a_large_object_is_built_in_little_time(void **state)
{
	AUTO_ARENA a = arena_new();
	struct json *j = json_new_object(a);

	(void)state;
	/* Quadratic, this would be 10^10 comparisons of keys. */
	for (int i = 0; i < 100000; i++)
		json_set(a, j, arena_printf(a, "%d", i), json_new_int(a, i));
	for (int i = 0; i < 100000; i++)
		assert_int_equal(json_get(j, arena_printf(a, "%d", i))->i, i);
}

static void equality(void **state)
{
	static const struct {
		str a, b;
		bool equal;
	} cases[] = {
		{ STR("{\"a\":1,\"b\":[2,3]}"), STR(" { \"b\":[2, 3],\"a\":1}"), true },
		{ STR("\"\\u0061\""), STR("\"a\""), true },
		{ STR("-0"), STR("0"), true },
		{ STR("1.0"), STR("1.0"), true },
		{ STR("1.0"), STR("1.00"), false },
		{ STR("1"), STR("1.0"), false },
		{ STR("1"), STR("\"1\""), false },
		{ STR("null"), STR("false"), false },
		{ STR("true"), STR("false"), false },
		{ STR("[1,2]"), STR("[2,1]"), false },
		{ STR("[1]"), STR("[1,1]"), false },
		{ STR("{\"a\":1}"), STR("{\"a\":1,\"b\":null}"), false },
		{ STR("{\"a\":null}"), STR("{\"b\":null}"), false },
		{ STR("{}"), STR("[]"), false },
		/* The last of duplicates counts. */
		{ STR("{\"a\":1,\"a\":2}"), STR("{\"a\":2}"), true },
		{ STR("{\"a\":1,\"a\":2}"), STR("{\"a\":1}"), false },
		{ STR("{\"a\":1,\"a\":2}"), STR("{\"a\":2,\"b\":2}"), false },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *x = parse(a, cases[i].a), *y = parse(a, cases[i].b);

		ok(json_equal(x, y) == cases[i].equal, "%.*s %.*s", STR_ARG(cases[i].a), STR_ARG(cases[i].b));
		ok(json_equal(y, x) == cases[i].equal, "%.*s %.*s", STR_ARG(cases[i].b), STR_ARG(cases[i].a));
		assert_true(json_equal(x, x));
	}
	assert_false(json_equal(NULL, parse(a, S("null"))));
	assert_true(json_equal(NULL, NULL));
}

TEST_MAIN(cmocka_unit_test(lists_strings), cmocka_unit_test(look_ups_chain), cmocka_unit_test(building),
	  cmocka_unit_test(a_changed_value_is_written_anew), cmocka_unit_test(a_copy_leaves_the_original),
	  cmocka_unit_test(changing_settles_duplicates), cmocka_unit_test(random_changes),
	  cmocka_unit_test(a_large_object_is_built_in_little_time), cmocka_unit_test(equality))
