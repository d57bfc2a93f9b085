/* test_tries.c - tries run out, come back with time, and are counted by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/tries.h"

static void tries_run_out_and_come_back(void **state)
{
	struct tries *t = tries_new(0.5, 3);
	AUTO_ARENA a = arena_new();
	const err *e;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_null(tries_check(t, a, S("@a:x"), 1000));
		tries_take(t, S("@a:x"), 1000);
	}
	e = tries_check(t, a, S("@a:x"), 1000);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_LIMIT_EXCEEDED);
	assert_true(str_eq(e->extra, S("\"retry_after_ms\":2001")));
	assert_null(tries_check(t, a, S("@b:x"), 1000)); /* somebody else */
	assert_non_null(tries_check(t, a, S("@a:x"), 2999));
	assert_null(tries_check(t, a, S("@a:x"), 3000)); /* one try is back after two seconds */
	tries_take(t, S("@a:x"), 3000);
	assert_non_null(tries_check(t, a, S("@a:x"), 3001));
	tries_free(&t);
}

static void no_limit_limits_nothing(void **state)
{
	struct tries *t = tries_new(0, 0);
	AUTO_ARENA a = arena_new();

	(void)state;
	for (int i = 0; i < 100; i++)
		tries_take(t, S("@a:x"), 1);
	assert_null(tries_check(t, a, S("@a:x"), 1));
	tries_free(&t);
}

static void names_without_end_take_memory_with_an_end(void **state)
{
	struct tries *t = tries_new(0.001, 1);
	AUTO_ARENA a = arena_new();

	(void)state;
	tries_take(t, S("first"), 0);
	for (int i = 0; i < TRIES_MAX - 1; i++)
		tries_take(t, arena_printf(a, "%d", i), 1);
	assert_non_null(tries_check(t, a, S("first"), 1));
	tries_take(t, S("one more"), 2);
	assert_null(tries_check(t, a, S("first"), 2)); /* tried longest ago: forgotten */
	assert_non_null(tries_check(t, a, S("one more"), 2));
	tries_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tries_run_out_and_come_back),
		cmocka_unit_test(no_limit_limits_nothing),
		cmocka_unit_test(names_without_end_take_memory_with_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
