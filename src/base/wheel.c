/* wheel.c - see wheel.h. */
#include "base/wheel.h"

#include "base/str.h"

#include <assert.h>

void wheel_init(struct wheel *w, int64_t tick_ms, int64_t now)
{
	assert(tick_ms > 0);
	memset(w, 0, sizeof(*w));
	w->tick_ms = tick_ms;
	w->now = now / tick_ms;
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->slots[i]);
}

void wheel_timer_init(struct wheel_timer *t)
{
	list_init(&t->node);
	t->at = 0;
}

static int64_t tick_of(const struct wheel *w, int64_t at) { return at / w->tick_ms + (at % w->tick_ms != 0); }

static size_t slot_of(int64_t tick) { return (size_t)((uint64_t)tick % WHEEL_SLOTS); }

void wheel_stop(struct wheel *w, struct wheel_timer *t)
{
	if (t->at == 0)
		return;
	list_del(&t->node);
	t->at = 0;
	w->n--;
}

void wheel_set(struct wheel *w, struct wheel_timer *t, int64_t at)
{
	size_t slot;

	assert(at > 0);
	wheel_stop(w, t);
	/* What is overdue runs with the next tick. */
	slot = slot_of(MAX(tick_of(w, at), w->now + 1));
	t->at = at;
	list_add_tail(&w->slots[slot], &t->node);
	w->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	w->n++;
}

static void turn_slot(struct wheel *w, size_t slot, void (*fn)(void *ctx, struct wheel_timer *t), void *ctx)
{
	struct list due, *node;

	list_init(&due);
	LIST_EACH_SAFE (&w->slots[slot], it) {
		struct wheel_timer *t = LIST_ITEM(it, struct wheel_timer, node);

		if (tick_of(w, t->at) > w->now)
			continue;
		list_del(&t->node);
		list_add_tail(&due, &t->node);
	}
	if (list_is_empty(&w->slots[slot]))
		w->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	while ((node = list_pop(&due))) {
		struct wheel_timer *t = LIST_ITEM(node, struct wheel_timer, node);

		t->at = 0;
		w->n--;
		fn(ctx, t);
	}
}

void wheel_turn(struct wheel *w, int64_t now, void (*fn)(void *ctx, struct wheel_timer *t), void *ctx)
{
	const int64_t upto = now / w->tick_ms;

	/* More than a round behind: one round passes every slot, and what is due in it is due. */
	if (upto - w->now > WHEEL_SLOTS)
		w->now = upto - WHEEL_SLOTS;
	while (w->now < upto) {
		const size_t slot = slot_of(++w->now);

		if (w->used[slot / 64] >> (slot % 64) & 1)
			turn_slot(w, slot, fn, ctx);
	}
}

int64_t wheel_next(const struct wheel *w)
{
	const size_t from = slot_of(w->now + 1);

	/* The words of the ring from that slot on, and the first one's lower half last. */
	for (size_t i = 0; w->n && i <= WHEEL_SLOTS / 64; i++) {
		const size_t word = (from / 64 + i) % (WHEEL_SLOTS / 64);
		uint64_t used = w->used[word];

		if (i == 0)
			used &= ~UINT64_C(0) << (from % 64);
		if (used) {
			const size_t slot = word * 64 + (size_t)__builtin_ctzll(used);

			return (w->now + 1 + (int64_t)((slot + WHEEL_SLOTS - from) % WHEEL_SLOTS)) * w->tick_ms;
		}
	}
	return INT64_MAX;
}
