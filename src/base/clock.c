/* clock.c - time. */
#include <assert.h>
#include <time.h>

#include "base/clock.h"

static int64_t read_us(clockid_t id)
{
	struct timespec t;
	const int rc = clock_gettime(id, &t);

	assert(rc == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_ms(void) { return read_us(CLOCK_REALTIME) / 1000; }

int64_t clock_mono_us(void) { return read_us(CLOCK_MONOTONIC); }

int64_t clock_thread_us(void) { return read_us(CLOCK_THREAD_CPUTIME_ID); }
