/* Allowances: burst, then a steady rate; and the table stays bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/internal_http.h"

static const struct rate_limit limits[RATE_CLASSES] = {
	[RATE_MESSAGE] = { .per_second = 2, .burst = 3 },
	[RATE_LOGIN] = { .per_second = 0, .burst = 5 },
	[RATE_JOIN] = { .per_second = 0.1, .burst = 1 },
};
static const int64_t second = 1000000;

static void burst_then_rate(void **state)
{
	struct rates t;
	int64_t now = 1000 * second;

	(void)state;
	rates_init(&t, limits);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	assert_in_range(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 500, 501);
	/* Others, and other classes, have their own. */
	assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@b:x"), now), 0);
	assert_int_equal(rates_take(&t, RATE_JOIN, S("@a:x"), now), 0);
	assert_in_range(rates_take(&t, RATE_JOIN, S("@a:x"), now), 10000, 10001);
	/* What is refused costs nothing: after the time told, one more is there, and not two. */
	now += second / 2;
	assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	assert_in_range(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 499, 501);
	/* It never gets fuller than the burst. */
	now += 1000 * second;
	for (int i = 0; i < 3; i++)
		assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	assert_true(rates_take(&t, RATE_MESSAGE, S("@a:x"), now) > 0);
	rates_done(&t);
}

static void no_rate_refuses_and_no_burst_is_no_limit(void **state)
{
	struct rates t;

	(void)state;
	rates_init(&t, limits);
	assert_true(rates_take(&t, RATE_LOGIN, S("1.2.3.4"), second) > 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(rates_take(&t, RATE_INVITE, S("@a:x"), second), 0);
		assert_int_equal(rates_take(&t, RATE_NONE, S("@a:x"), second), 0);
	}
	rates_done(&t);
}

static void a_flood_of_keys_does_not_free_who_is_limited(void **state)
{
	struct rates t;
	AUTO_BUF key = BUF_INIT(100);
	const int64_t now = 1000 * second;

	(void)state;
	rates_init(&t, limits);
	for (int i = 0; i < 3; i++)
		assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	/* Far fewer than places: a bucket that is full gives way only where eight as full ones meet. */
	for (int i = 0; i < HTTP_RATE_SLOTS / 16; i++) {
		buf_reset(&key);
		buf_printf(&key, "@flood%d:x", i);
		assert_int_equal(rates_take(&t, RATE_MESSAGE, buf_str(&key), now), 0);
	}
	assert_true(rates_take(&t, RATE_MESSAGE, S("@a:x"), now) > 0);
	rates_done(&t);
}

static void what_is_given_back_is_there_again(void **state)
{
	struct rates t;
	int64_t now = 1000 * second;

	(void)state;
	rates_init(&t, limits);
	rates_give_back(&t, RATE_MESSAGE, S("@a:x")); /* nothing was taken: it is no credit */
	for (int i = 0; i < 3; i++)
		assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	assert_true(rates_take(&t, RATE_MESSAGE, S("@a:x"), now) > 0);
	rates_give_back(&t, RATE_MESSAGE, S("@b:x"));
	assert_true(rates_take(&t, RATE_MESSAGE, S("@a:x"), now) > 0);
	rates_give_back(&t, RATE_MESSAGE, S("@a:x"));
	assert_int_equal(rates_take(&t, RATE_MESSAGE, S("@a:x"), now), 0);
	assert_true(rates_take(&t, RATE_MESSAGE, S("@a:x"), now) > 0);
	rates_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(what_is_given_back_is_there_again),
		cmocka_unit_test(no_rate_refuses_and_no_burst_is_no_limit),
		cmocka_unit_test(a_flood_of_keys_does_not_free_who_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
