/* What every comparison and every number that comes from outside rests on. */
#include "test.h"

static void order_is_by_byte_then_length(void **state)
{
	(void)state;
	assert_true(str_cmp(S("a"), S("b")) < 0);
	assert_true(str_cmp(S("a"), S("aa")) < 0);
	assert_true(str_cmp(S("b"), S("aa")) > 0);
	assert_int_equal(str_cmp(S(""), STR_NONE), 0);
	/* Bytes are unsigned: U+00E9 (c3 a9) sorts after 'z', or canonical JSON's order breaks. */
	assert_true(str_cmp(S("\xc3\xa9"), S("z")) > 0);
	assert_true(str_cmp(S("a\0b"), S("a\0c")) < 0);
}

static void none_is_not_empty(void **state)
{
	(void)state;
	assert_true(str_is_none(STR_NONE));
	assert_false(str_is_none(S("")));
	assert_true(str_is_empty(STR_NONE));
	assert_true(str_eq(STR_NONE, S("")));
	assert_true(str_is_none(str_c(NULL)));
}

static void searching(void **state)
{
	(void)state;
	assert_int_equal(str_find(S("@a:b:c"), ':'), 2);
	assert_int_equal(str_rfind(S("@a:b:c"), ':'), 4);
	assert_int_equal(str_find(S("abc"), 'x'), 3);
	assert_int_equal(str_rfind(S("abc"), 'x'), 3);
	assert_int_equal(str_find(STR_NONE, 'x'), 0);
	assert_int_equal(str_find(S("a\0b"), 'b'), 2);
	assert_true(str_contains(S("hello"), S("ll")));
	assert_true(str_contains(S("hello"), S("")));
	assert_true(str_contains(S("hello"), S("hello")));
	assert_false(str_contains(S("hell"), S("hello")));
	assert_false(str_contains(STR_NONE, S("a")));
	assert_true(str_starts(S("abc"), S("ab")));
	assert_false(str_starts(S("a"), S("ab")));
	assert_true(str_ends(S("abc"), S("bc")));
	assert_false(str_ends(S("c"), S("bc")));
}

static void case_folds_ascii_only(void **state)
{
	(void)state;
	assert_true(str_eq_nocase(S("Content-TYPE"), S("content-type")));
	assert_false(str_eq_nocase(S("content-typ"), S("content-type")));
	assert_true(str_starts_nocase(S("BEARER x"), S("Bearer ")));
	assert_false(str_starts_nocase(S("B"), S("Bearer ")));
	/* '@' and '`' differ by the case bit, and so do É and é in Latin-1: neither is a letter here. */
	assert_false(str_eq_nocase(S("@"), S("`")));
	assert_false(str_eq_nocase(S("\xc9"), S("\xe9")));
}

static void trimming(void **state)
{
	(void)state;
	same_str(str_trim(S(" \t\r\n a b \n")), S("a b"));
	same_str(str_trim(S(" \n ")), S(""));
	same_str(str_trim(S("a")), S("a"));
}

static void integers_are_whole_and_fit(void **state)
{
	static const struct {
		str text;
		bool good;
		int64_t value;
	} cases[] = {
		{ STR("0"), true, 0 },
		{ STR("-0"), true, 0 },
		{ STR("007"), true, 7 },
		{ STR("9223372036854775807"), true, INT64_MAX },
		{ STR("9223372036854775808"), false, 0 },
		{ STR("-9223372036854775808"), true, INT64_MIN },
		{ STR("-9223372036854775809"), false, 0 },
		{ STR("18446744073709551616"), false, 0 },
		{ STR("99999999999999999999999"), false, 0 },
		{ STR(""), false, 0 },
		{ STR("-"), false, 0 },
		{ STR("+1"), false, 0 },
		{ STR("--1"), false, 0 },
		{ STR(" 1"), false, 0 },
		{ STR("1 "), false, 0 },
		{ STR("1\0"), false, 0 },
		{ STR("1x"), false, 0 },
		{ STR("0x1"), false, 0 },
		{ STR("1.0"), false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t v = 42;

		ok(str_to_i64(cases[i].text, &v) == cases[i].good, "%.*s", STR_ARG(cases[i].text));
		/* Written only on success. */
		ok(v == (cases[i].good ? cases[i].value : 42), "%.*s: %" PRId64, STR_ARG(cases[i].text), v);
	}
}

static void unsigned_integers(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(str_to_u64(S("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
	assert_false(str_to_u64(S("18446744073709551616"), &v));
	assert_false(str_to_u64(S("-1"), &v));
	assert_false(str_to_u64(STR_NONE, &v));
}

static void splitting_keeps_empty_pieces(void **state)
{
	static const str want[] = { STR("a"), STR(""), STR("b"), STR("") };
	str rest = S("a,,b,"), piece;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(str_split_next(&rest, ',', &piece));
		same_str(piece, want[i]);
	}
	assert_false(str_split_next(&rest, ',', &piece));
	rest = S("");
	assert_true(str_split_next(&rest, ',', &piece));
	same_str(piece, S(""));
	assert_false(str_split_next(&rest, ',', &piece));
}

static void secrets(void **state)
{
	(void)state;
	assert_true(str_eq_secret(S("token"), S("token")));
	assert_false(str_eq_secret(S("token"), S("tokeN")));
	assert_false(str_eq_secret(S("Token"), S("token")));
	assert_false(str_eq_secret(S("token"), S("tokens")));
	assert_true(str_eq_secret(S(""), STR_NONE));
}

TEST_MAIN(cmocka_unit_test(order_is_by_byte_then_length), cmocka_unit_test(none_is_not_empty),
	  cmocka_unit_test(searching), cmocka_unit_test(case_folds_ascii_only), cmocka_unit_test(trimming),
	  cmocka_unit_test(integers_are_whole_and_fit), cmocka_unit_test(unsigned_integers),
	  cmocka_unit_test(splitting_keeps_empty_pieces), cmocka_unit_test(secrets))
