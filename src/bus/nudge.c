/*
 * nudge.c - news in turns.
 *
 * A touch of a room wakes everybody who listens there, at some 50 us of a /sync each. For an event that is what it is
 * for. For "she is back at her desk", in a room of ten thousand who come and go, it would be all that the server does.
 * So presence is told in turns: a change queues those it concerns, and the queue is worked off at a price per second
 * that its owner chooses (presence/). With few who listen the queue is empty at once; with many, each waits longer,
 * and hears of more at a time.
 *
 * Nobody is queued twice, and nobody who was touched is queued before they asked: so the queue is never longer than
 * there are watched users, a client that is gone costs one touch, and a slow client no more than a quick one.
 */
#include "bus/internal_bus.h"

#include <assert.h>

static void queue(struct bus *b, struct bus_user *u, int64_t serial)
{
	if (u->unasked) {
		u->last[BUS_PRESENCE] = MAX(u->last[BUS_PRESENCE], serial);
		return;
	}
	if (u->nudged == 0) {
		list_add_tail(&b->nudged, &u->nudge);
		b->n_nudged++;
	}
	u->nudged = MAX(u->nudged, serial);
}

void bus_nudge_drop(struct bus *b, struct bus_user *u)
{
	if (u->nudged == 0)
		return;
	list_del(&u->nudge);
	u->nudged = 0;
	b->n_nudged--;
}

void bus_nudge_user(struct bus *b, int64_t user, int64_t serial)
{
	assert(serial > 0);
	LOCKED(&b->lock);
	struct bus_user *u = map_get_i(&b->users, user);

	if (u)
		queue(b, u, serial);
}

void bus_nudge_room(struct bus *b, int64_t room, int64_t serial)
{
	assert(serial > 0);
	LOCKED(&b->lock);
	struct bus_room *r = map_get_i(&b->rooms, room);

	for (uint32_t i = 0; r && i < r->n; i++)
		queue(b, r->members[i].user, serial);
}

static size_t give_turn(struct bus *b, struct bus_user *u, struct list *woken)
{
	const size_t cost = list_is_empty(&u->waiters) ? NUDGE_NOBODY : NUDGE_WAITER;

	u->last[BUS_PRESENCE] = MAX(u->last[BUS_PRESENCE], u->nudged);
	u->own[BUS_PRESENCE] = u->last[BUS_PRESENCE];
	u->unasked = true;
	bus_nudge_drop(b, u);
	bus_publish_user(b, u, woken);
	return cost;
}

size_t bus_nudge_out(struct bus *b, size_t budget, size_t *out_rest)
{
	struct list woken;
	size_t cost = 0;

	list_init(&woken);
	lock_take(&b->lock);
	while (cost < budget && !list_is_empty(&b->nudged))
		cost += give_turn(b, LIST_ITEM(b->nudged.next, struct bus_user, nudge), &woken);
	*out_rest = b->n_nudged;
	lock_drop(&b->lock);
	bus_wake_all(&woken);
	return cost;
}
