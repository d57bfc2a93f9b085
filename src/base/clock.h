/* clock.h - time. The protocol library never asks for it: it gets it as an argument. */
#pragma once

#include <stdint.h>

int64_t clock_ms(void);        /* milliseconds since 1970, the wall clock: origin_server_ts, expiries */
int64_t clock_mono_us(void);   /* microseconds, never backwards: deadlines, durations */
int64_t clock_thread_us(void); /* CPU time of the calling thread, microseconds */
/* now - then, of any two numbers (peers write times): what does not fit is the least or the greatest there is. */
static inline int64_t clock_since(int64_t now, int64_t then)
{
	int64_t passed;

	if (__builtin_sub_overflow(now, then, &passed))
		return then < 0 ? INT64_MAX : INT64_MIN;
	return passed;
}
static inline int64_t clock_mono_ms(void) { return clock_mono_us() / 1000; }
