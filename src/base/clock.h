/* clock.h - time. The protocol library never asks for it: it gets it as an argument. */
#pragma once

#include <stdint.h>

int64_t clock_ms(void);        /* milliseconds since 1970, the wall clock: origin_server_ts, expiries */
int64_t clock_mono_us(void);   /* microseconds, never backwards: deadlines, durations */
int64_t clock_thread_us(void); /* CPU time of the calling thread, microseconds */
static inline int64_t clock_mono_ms(void) { return clock_mono_us() / 1000; }
