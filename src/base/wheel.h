/*
 * wheel.h - a timer wheel: many deadlines, each moved often, at the cost of a list operation.
 *
 * Time is cut into ticks, and the ticks go around a ring of slots. A timer lies in the slot of its tick, however many
 * rounds away; a slot that is passed runs those that are due and keeps the others. So adding and taking out cost the
 * same with ten timers as with a million, and what a timer costs while nothing happens is a look once a round.
 *
 * A timer runs at the first tick that is not before its deadline: never early, late by less than a tick. Times are any
 * clock's milliseconds, given by the caller. Not locked: the owner's lock is.
 */
#pragma once

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

enum { WHEEL_SLOTS = 4096 };

struct wheel_timer {
	struct list node; /* unlinked: not running */
	int64_t at;       /* the deadline; 0: not running */
};
struct wheel {
	int64_t tick_ms, now; /* now: the last tick that was passed */
	size_t n;
	uint64_t used[WHEEL_SLOTS / 64]; /* slots with a timer */
	struct list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, int64_t tick_ms, int64_t now);
void wheel_timer_init(struct wheel_timer *t);
/* Runs at `at` (any number above 0), wherever it ran before. */
void wheel_set(struct wheel *w, struct wheel_timer *t, int64_t at);
void wheel_stop(struct wheel *w, struct wheel_timer *t);
/* Takes out the timers that are due, each of which may be set anew by `fn`. Time that goes backwards is no time. */
void wheel_turn(struct wheel *w, int64_t now, void (*fn)(void *ctx, struct wheel_timer *t), void *ctx);
/* When to turn it next: not after the next deadline, maybe before it. INT64_MAX: no timer runs. */
int64_t wheel_next(const struct wheel *w);
