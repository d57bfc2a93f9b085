/* The streaming writer: commas, nesting, errors that stick. */
#include "test.h"

#include "json/writer.h"

static void the_whole_of_it(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(1000);
	struct jw w = jw_to(&b);
	struct json *j;

	(void)state;
	good(json_parse(a, S("{ \"kept\" : 1.50 }"), &json_limits_request, &j));
	jw_object(&w, NULL);
	jw_str(&w, "s", S("a\"b"));
	jw_int(&w, "i", INT64_MIN);
	jw_bool(&w, "b", true);
	jw_null(&w, "n");
	jw_raw(&w, "r", S("[1,2]"));
	jw_json(&w, "j", j);
	jw_json(&w, "absent", NULL);
	jw_array(&w, "list");
	jw_str(&w, NULL, STR_NONE);
	jw_int(&w, NULL, -1);
	jw_object(&w, NULL);
	jw_end(&w);
	jw_array(&w, NULL);
	jw_end(&w);
	jw_object(&w, NULL);
	jw_key(&w, S("peer's \"\n"));
	jw_int(&w, NULL, 1);
	jw_key(&w, S("@u:x"));
	jw_object(&w, NULL);
	jw_bool(&w, "x", false);
	jw_end(&w);
	jw_int(&w, "after", 2);
	jw_end(&w);
	jw_end(&w);
	assert_false(jw_good(&w));
	jw_end(&w);
	assert_true(jw_good(&w));
	same_str(
		buf_str(&b),
		S("{\"s\":\"a\\\"b\",\"i\":-9223372036854775808,\"b\":true,\"n\":null,\"r\":[1,2],\"j\":{ \"kept\" : 1.50 },"
		  "\"absent\":null,\"list\":[\"\",-1,{},[],{\"peer's \\\"\\n\":1,\"@u:x\":{\"x\":false},\"after\":2}]}"));
}

static void single_values(void **state)
{
	AUTO_BUF b = BUF_INIT(1000);
	struct jw w = jw_to(&b);

	(void)state;
	assert_false(jw_good(&w));
	jw_str(&w, NULL, S("alone"));
	assert_true(jw_good(&w));
	same_str(buf_str(&b), S("\"alone\""));
}

static void nesting(void **state)
{
	(void)state;
	for (int depth = 60; depth < 70; depth++) {
		AUTO_BUF b = BUF_INIT(1000);
		struct jw w = jw_to(&b);

		for (int i = 0; i < depth; i++)
			jw_array(&w, NULL);
		jw_int(&w, NULL, 5);
		for (int i = 0; i < depth; i++)
			jw_end(&w);
		ok(jw_good(&w) == (depth <= 63), "%d levels", depth);
		if (depth <= 63)
			assert_int_equal(buf_str(&b).n, 2 * depth + 1);
	}
}

static void the_buffers_limit(void **state)
{
	AUTO_BUF b = BUF_INIT(20);
	struct jw w = jw_to(&b);

	(void)state;
	jw_object(&w, NULL);
	jw_str(&w, "long", S("01234567890123456789"));
	jw_int(&w, "i", 1);
	jw_end(&w);
	assert_false(jw_good(&w));
}

static void without_a_key(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_int(&w, NULL, 1);
}

static void key_in_an_array(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_array(&w, NULL);
	jw_int(&w, "k", 1);
}

static void two_keys(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_key(&w, S("a"));
	jw_int(&w, "b", 1);
}

static void key_without_value(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_key(&w, S("a"));
	jw_end(&w);
}

static void two_values(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_int(&w, NULL, 1);
	jw_int(&w, NULL, 2);
}

static void one_end_too_many(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_end(&w);
	jw_end(&w);
}

static void members_of_a_list(void)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_members(&w, S("[1]"));
}

static void members_stand_among_others(void **state)
{
	AUTO_BUF b = BUF_INIT(100);
	struct jw w = jw_to(&b);

	(void)state;
	jw_object(&w, NULL);
	jw_members(&w, S("{}"));
	jw_members(&w, S("{\"a\":1,\"b\":{}}"));
	jw_int(&w, "c", 2);
	jw_members(&w, S("{}"));
	jw_members(&w, S("{\"d\":3}"));
	jw_end(&w);
	assert_true(jw_good(&w));
	same_str(buf_str(&b), S("{\"a\":1,\"b\":{},\"c\":2,\"d\":3}"));
}

static void misuse_dies(void **state)
{
	(void)state;
	assert_true(dies(without_a_key));
	assert_true(dies(key_in_an_array));
	assert_true(dies(two_keys));
	assert_true(dies(key_without_value));
	assert_true(dies(two_values));
	assert_true(dies(one_end_too_many));
	assert_true(dies(members_of_a_list));
}

TEST_MAIN(cmocka_unit_test(the_whole_of_it), cmocka_unit_test(single_values), cmocka_unit_test(nesting),
	  cmocka_unit_test(the_buffers_limit), cmocka_unit_test(members_stand_among_others),
	  cmocka_unit_test(misuse_dies))
