/*
 * tries.h - how often something was tried, by name: a bucket per name that fills again with time.
 *
 * For passwords tried for one account, from wherever. Kept in memory for at most TRIES_MAX names: when full, the one
 * tried longest ago is forgotten.
 */
#pragma once

#include "base/err.h"

enum { TRIES_MAX = 20000 };

struct tries;

struct tries *tries_new(double per_second, double burst); /* burst 0: no limit */
void tries_free(struct tries **t);
/* ERR_LIMIT_EXCEEDED (with retry_after_ms) when the name has no try left. Takes none. now_ms: any steady clock. */
NODISCARD err *tries_check(struct tries *t, struct arena *a, str name, int64_t now_ms);
/* Takes one try. */
void tries_take(struct tries *t, str name, int64_t now_ms);
