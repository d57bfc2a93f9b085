/* Units: a factor of a thousand here would end every session at once, or never. */
#include "test.h"

#include <time.h>

#include "base/clock.h"

static void units(void **state)
{
	const int64_t seconds = (int64_t)time(NULL), wall = clock_ms(), mono = clock_mono_us(), cpu = clock_thread_us();
	struct timespec t;
	volatile uint64_t work = 0;

	(void)state;
	ok(wall / 1000 - seconds >= 0 && wall / 1000 - seconds <= 1, "wall clock: %" PRId64, wall);
	clock_gettime(CLOCK_MONOTONIC, &t);
	ok((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - mono < 1000000, "monotonic clock: %" PRId64, mono);
	while (clock_thread_us() < cpu + 1000)
		work++;
	/* A thread cannot spend more time on the CPU than passes. */
	assert_true(clock_mono_us() - mono >= 1000);
	assert_true(clock_mono_ms() >= mono / 1000);
}

static void since_any_time(void **state)
{
	(void)state;
	assert_int_equal(clock_since(5, 3), 2);
	assert_int_equal(clock_since(3, 5), -2);
	assert_int_equal(clock_since(0, INT64_MIN), INT64_MAX);
	assert_int_equal(clock_since(1700000000000, INT64_MIN), INT64_MAX);
	assert_int_equal(clock_since(-2, INT64_MAX), INT64_MIN);
	assert_int_equal(clock_since(0, INT64_MAX), -INT64_MAX);
}

TEST_MAIN(cmocka_unit_test(units), cmocka_unit_test(since_any_time))
