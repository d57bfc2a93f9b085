/* The limit holds to the byte, and an overflow is seen at the end whatever is written after it. */
#include "test.h"

#include "base/buf.h"

static void writing(void **state)
{
	AUTO_BUF b = BUF_INIT(1000);

	(void)state;
	same_str(buf_str(&b), S(""));
	buf_add(&b, S("a\0b"));
	buf_add(&b, STR_NONE);
	buf_byte(&b, '-');
	buf_printf(&b, "%s%d", "x", 5);
	same_str(buf_str(&b), S("a\0b-x5"));
	buf_reset(&b);
	same_str(buf_str(&b), S(""));
}

static void integers(void **state)
{
	static const struct {
		int64_t v;
		str text;
	} cases[] = {
		{ 0, STR("0") },
		{ 7, STR("7") },
		{ -1, STR("-1") },
		{ INT64_MAX, STR("9223372036854775807") },
		{ INT64_MIN, STR("-9223372036854775808") },
	};
	AUTO_BUF b = BUF_INIT(100);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_reset(&b);
		buf_i64(&b, cases[i].v);
		same_str(buf_str(&b), cases[i].text);
	}
}

static void limit_is_exact_and_sticky(void **state)
{
	AUTO_BUF b = BUF_INIT(5);

	(void)state;
	buf_add(&b, S("12345"));
	assert_false(b.overflow);
	buf_byte(&b, '6');
	assert_true(b.overflow);
	/* Nothing further is taken, so that no hole is papered over by a short write. */
	buf_reset(&b);
	buf_add(&b, S("123456"));
	buf_add(&b, S("1"));
	assert_true(b.overflow);
	same_str(buf_str(&b), S(""));
	assert_null(buf_reserve(&b, 1));
	buf_reset(&b);
	buf_printf(&b, "%d", 12345);
	assert_false(b.overflow);
	buf_i64(&b, 1);
	assert_true(b.overflow);
}

static void long_printf(void **state)
{
	AUTO_BUF b = BUF_INIT(1000), exact = BUF_INIT(999);

	(void)state;
	buf_printf(&b, "%0999d", 1);
	assert_int_equal(b.n, 999);
	assert_int_equal(b.p[998], '1');
	buf_printf(&exact, "%0999d", 1);
	assert_false(exact.overflow);
	buf_printf(&exact, "%s", "");
	assert_false(exact.overflow);
}

static void reserving(void **state)
{
	AUTO_BUF b = BUF_INIT(10000);
	char *p = buf_reserve(&b, 5000);

	(void)state;
	assert_non_null(p);
	memset(p, 'x', 5000);
	buf_commit(&b, 3000);
	assert_int_equal(buf_str(&b).n, 3000);
	assert_null(buf_reserve(&b, 7001));
	assert_true(b.overflow);
}

static void many_small_writes(void **state)
{
	AUTO_BUF b = BUF_INIT(100000);

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_byte(&b, (char)('a' + i % 26));
	assert_false(b.overflow);
	for (int i = 0; i < 100000; i++)
		ok(b.p[i] == (char)('a' + i % 26), "byte %d", i);
}

static void taking(void **state)
{
	struct buf b = BUF_INIT(100);
	str s;

	(void)state;
	buf_add(&b, S("mine"));
	s = buf_take(&b);
	same_str(s, S("mine"));
	same_str(buf_str(&b), S(""));
	mem_free((void *)s.p);
	s = buf_take(&b);
	same_str(s, S(""));
	mem_free((void *)s.p);
	buf_done(&b);
	buf_done(&b);
}

TEST_MAIN(cmocka_unit_test(writing), cmocka_unit_test(integers), cmocka_unit_test(limit_is_exact_and_sticky),
	  cmocka_unit_test(long_printf), cmocka_unit_test(reserving), cmocka_unit_test(many_small_writes),
	  cmocka_unit_test(taking))
