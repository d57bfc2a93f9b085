/* test_sql.c - where the two dialects part, and where they must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/driver/internal_sql.h"

static const struct sql_dialect marks = { "in<", ">", "not-in<", ">", "each<", ">", "zip<", "> AS zip(", true };

static const struct {
	const char *sql, *expected;
	int params;
} cases[] = {
	{ "SELECT 1", "SELECT 1", 0 },
	{ "SELECT $1, $12", "SELECT $1, $12", 12 },
	{ "a IN $1", "a in<$1>", 1 },
	{ "a in\n\t$2 AND b = $1", "a in<$2> AND b = $1", 2 },
	{ "a NOT IN $1", "a not-in<$1>", 1 },
	{ "NOT a IN $1", "NOT a in<$1>", 1 },
	{ "FROM EACH $3, t", "FROM each<$3>, t", 3 },
	{ "FROM ZIP ($2, $3,$1) WHERE $4", "FROM zip<$2, $3, $1> AS zip(c1, c2, c3) WHERE $4", 4 },
	{ "zip.c1, ZIP $1", "zip.c1, ZIP $1", 1 },
	{ "a IN ($1, $2)", "a IN ($1, $2)", 2 },
	{ "a IN (SELECT x FROM y)", "a IN (SELECT x FROM y)", 0 },
	{ "a NOT IN (SELECT x)", "a NOT IN (SELECT x)", 0 },
	{ "NOT EXISTS (SELECT 1)", "NOT EXISTS (SELECT 1)", 0 },
	{ "x IS NOT NULL", "x IS NOT NULL", 0 },
	{ "x = NOT $1", "x = NOT $1", 1 },
	{ "main.x, into $1", "main.x, into $1", 1 },
	{ "\"in\" $1 'IN $2' -- IN $3\n$4", "\"in\" $1 'IN $2' -- IN $3\n$4", 4 },
	{ "each.value IN $1", "each.value in<$1>", 1 },
	{ "DO NOTHING", "DO NOTHING", 0 },
	{ "ends IN", "ends IN", 0 },
};

static void every_case(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int params = -1;
		const str got = sql_translate(a, &marks, cases[i].sql, &params);
		const str expected = str_c(cases[i].expected);

		if (!str_eq(got, expected))
			fail_msg("%s: became \"%.*s\"", cases[i].sql, STR_ARG(got));
		assert_int_equal(params, cases[i].params);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_case) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
