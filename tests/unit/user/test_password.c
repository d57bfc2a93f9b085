/* test_password.c - what a password must be like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/password.h"

static const struct {
	const char *name;
	struct password_policy policy;
	str password;
	enum err_code want; /* ERR_NONE: good */
} cases[] = {
	{ "nothing is asked", { 0 }, STR("a"), ERR_NONE },
	{ "an empty one is none", { 0 }, STR(""), ERR_INVALID_PARAM },
	{ "a policy that is off asks nothing", { .minimum_length = 10 }, STR("a"), ERR_NONE },
	{ "long enough", { .enabled = true, .minimum_length = 3 }, STR("abc"), ERR_NONE },
	{ "too short", { .enabled = true, .minimum_length = 4 }, STR("abc"), ERR_WEAK_PASSWORD },
	{ "length in characters, not bytes",
	  { .enabled = true, .minimum_length = 4 },
	  STR("\xc3\xa4\xc3\xa4"),
	  ERR_WEAK_PASSWORD },
	{ "no digit", { .enabled = true, .require_digit = true }, STR("abc"), ERR_WEAK_PASSWORD },
	{ "a digit", { .enabled = true, .require_digit = true }, STR("ab1"), ERR_NONE },
	{ "no symbol", { .enabled = true, .require_symbol = true }, STR("abC1"), ERR_WEAK_PASSWORD },
	{ "a letter of another script is a symbol",
	  { .enabled = true, .require_symbol = true },
	  STR("\xc3\xa4"),
	  ERR_NONE },
	{ "no lower case", { .enabled = true, .require_lowercase = true }, STR("ABC1!"), ERR_WEAK_PASSWORD },
	{ "no upper case", { .enabled = true, .require_uppercase = true }, STR("abc1!"), ERR_WEAK_PASSWORD },
	{ "all of it", { true, 5, true, true, true, true }, STR("aB1!x"), ERR_NONE },
};

static void policies_ask_what_they_say(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = password_check_policy(&cases[i].policy, a, cases[i].password);

		if ((e ? e->code : ERR_NONE) != cases[i].want)
			fail_msg("%s", cases[i].name);
	}
}

static void a_password_has_an_end(void **state)
{
	const struct password_policy none = { 0 };
	AUTO_ARENA a = arena_new();
	char *p = arena_alloc(a, PASSWORD_MAX + 1);

	(void)state;
	memset(p, 'x', PASSWORD_MAX + 1);
	assert_null(password_check_policy(&none, a, (str){ p, PASSWORD_MAX }));
	assert_non_null(password_check_policy(&none, a, (str){ p, PASSWORD_MAX + 1 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies_ask_what_they_say),
		cmocka_unit_test(a_password_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
