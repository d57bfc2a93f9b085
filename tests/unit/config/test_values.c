/* Sizes and durations as operators write them. */
#include "test.h"

#include "base/buf.h"
#include "config/internal_options.h"

struct number_case {
	str text;
	int64_t value; /* -1: not one */
};

static void sizes(void **state)
{
	static const struct number_case cases[] = {
		{ STR("0"), 0 },
		{ STR("17"), 17 },
		{ STR("50M"), 50 << 20 },
		{ STR("1K"), 1024 },
		{ STR("3G"), INT64_C(3) << 30 },
		{ STR("2T"), INT64_C(2) << 40 },
		{ STR(""), -1 },
		{ STR("M"), -1 },
		{ STR("50 M"), -1 },
		{ STR("50MB"), -1 },
		{ STR("50m"), -1 },
		{ STR("-1"), -1 },
		{ STR("1.5M"), -1 },
		{ STR("99999999999999999999"), -1 },
		{ STR("9999999999999999T"), -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t value = -1;

		if (parse_size(cases[i].text, &value) != (cases[i].value >= 0) || value != cases[i].value)
			fail_msg("size \"%.*s\" gave %" PRId64, STR_ARG(cases[i].text), value);
	}
}

static void durations(void **state)
{
	static const struct number_case cases[] = {
		{ STR("300"), 300 },
		{ STR("300ms"), 300 },
		{ STR("5s"), 5000 },
		{ STR("5m"), 300000 },
		{ STR("2h"), 7200000 },
		{ STR("7d"), 604800000 },
		{ STR("1w"), 604800000 },
		{ STR("1y"), INT64_C(31536000000) },
		{ STR("5M"), -1 },
		{ STR("m5"), -1 },
		{ STR("5 m"), -1 },
		{ STR(""), -1 },
		{ STR("9999999999999999y"), -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t value = -1;

		if (parse_duration(cases[i].text, &value) != (cases[i].value >= 0) || value != cases[i].value)
			fail_msg("duration \"%.*s\" gave %" PRId64, STR_ARG(cases[i].text), value);
	}
}

static void numbers(void **state)
{
	double d;

	(void)state;
	assert_true(parse_number(S("0.17"), &d) && d > 0.169 && d < 0.171);
	assert_true(parse_number(S("1000000"), &d) && d > 999999);
	assert_true(parse_number(S("1e3"), &d) && d > 999 && d < 1001);
	assert_false(parse_number(S("-1"), &d));
	assert_false(parse_number(S("1x"), &d));
	assert_false(parse_number(S("inf"), &d));
	assert_false(parse_number(S("0x10"), &d));
	assert_false(parse_number(S(""), &d));
	assert_false(parse_number(S("1e300"), &d));
}

static void the_nearest_key(void **state)
{
	static const struct {
		str typed, meant;
	} cases[] = {
		{ STR("max_upload_siez"), STR("max_upload_size") },
		{ STR("sever_name"), STR("server_name") },
		{ STR("enable_registation"), STR("enable_registration") },
		{ STR("listener"), STR("listeners") },
		{ STR("rc_logn"), STR("rc_login") },
		{ STR("password_config.peper"), STR("password_config.pepper") },
		{ STR("zzzzzzzzzzz"), { NULL, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str found = nearest_key(config_options, config_options_n, cases[i].typed);

		if (!str_eq(found, cases[i].meant))
			fail_msg("%.*s: %.*s", STR_ARG(cases[i].typed), STR_ARG(found));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(numbers),
		cmocka_unit_test(the_nearest_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
