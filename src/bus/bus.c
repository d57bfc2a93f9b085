/*
 * bus.c - positions, touches and wake-ups.
 *
 * The position says "everything up to here is committed, and every change up to here has been told". A touch above
 * the position belongs to a commit whose other touches may still be coming: it is remembered (a reader who sees it
 * too early only asks the database in vain), but nobody is woken and no sequence moves before bus_advance: a reader
 * woken earlier would find nothing at its position, and sleep through the moment when there is something.
 *
 * Wake-ups run without the lock, on waiters that were unlinked under it; `queued` tells bus_unwait which of both
 * sides has the waiter. One lock for all: a touch takes it for some 20 ns, and some 10 ns for each watched member of a
 * room.
 */
#include "bus/internal_bus.h"

#include <assert.h>

struct bus *bus_new(size_t max_watched)
{
	struct bus *b = MEM_NEW(struct bus);

	assert(max_watched > 0);
	lock_init(&b->lock, RANK_BUS);
	b->max_watched = max_watched;
	map_init(&b->users, NULL);
	map_init(&b->rooms, NULL);
	list_init(&b->lru);
	list_init(&b->pending);
	list_init(&b->nudged);
	return b;
}

void bus_free(struct bus **bp)
{
	struct bus *b = *bp;

	if (!b)
		return;
	assert(b->waiting == 0);
	while (!list_is_empty(&b->lru))
		bus_user_free(b, LIST_ITEM(b->lru.next, struct bus_user, lru));
	map_done(&b->users);
	map_done(&b->rooms);
	lock_done(&b->lock);
	mem_free(b);
	*bp = NULL;
}

int64_t bus_position(const struct bus *b) { return atomic_load(&b->position); }
int64_t bus_serial(const struct bus *b) { return atomic_load(&b->serial); }
int64_t bus_next_serial(struct bus *b) { return atomic_fetch_add(&b->serial, 1) + 1; }

void bus_publish_user(struct bus *b, struct bus_user *u, struct list *woken)
{
	struct list *node;

	u->seq = ++b->seq;
	while ((node = list_pop(&u->waiters))) {
		LIST_ITEM(node, struct bus_waiter, node)->queued = false;
		b->waiting--;
		list_add_tail(woken, node);
	}
}

/* Without the lock. A waiter may be gone as soon as its wake has run. */
void bus_wake_all(struct list *woken)
{
	struct list *node;

	while ((node = list_pop(woken))) {
		struct bus_waiter *w = LIST_ITEM(node, struct bus_waiter, node);

		w->wake(w);
	}
}

static bool is_durable(enum bus_kind kind) { return kind != BUS_TYPING && kind != BUS_PRESENCE; }

static void touch(struct bus *b, struct bus_user *u, enum bus_kind kind, int64_t value, struct list *woken)
{
	u->last[kind] = MAX(u->last[kind], value);
	if (!is_durable(kind) || value <= atomic_load(&b->position)) {
		bus_publish_user(b, u, woken);
		return;
	}
	if (u->pending_high == 0) {
		list_add_tail(&b->pending, &u->pending);
		u->pending_low = value;
	}
	u->pending_low = MIN(u->pending_low, value);
	u->pending_high = MAX(u->pending_high, value);
}

void bus_touch_user(struct bus *b, int64_t user, enum bus_kind kind, int64_t value)
{
	struct list woken;

	assert(kind < BUS_KINDS && value > 0);
	list_init(&woken);
	lock_take(&b->lock);
	if (is_durable(kind))
		b->touched = MAX(b->touched, value);
	struct bus_user *u = map_get_i(&b->users, user);
	if (u) {
		u->own[kind] = MAX(u->own[kind], value);
		touch(b, u, kind, value, &woken);
	}
	lock_drop(&b->lock);
	bus_wake_all(&woken);
}

void bus_touch_room(struct bus *b, int64_t room, enum bus_kind kind, int64_t value)
{
	struct list woken;

	assert(kind < BUS_KINDS && value > 0);
	list_init(&woken);
	lock_take(&b->lock);
	if (is_durable(kind))
		b->touched = MAX(b->touched, value);
	struct bus_room *r = map_get_i(&b->rooms, room);
	if (r) {
		r->last[kind] = MAX(r->last[kind], value);
		for (uint32_t i = 0; i < r->n; i++)
			touch(b, r->members[i].user, kind, value, &woken);
	}
	lock_drop(&b->lock);
	bus_wake_all(&woken);
}

void bus_advance(struct bus *b, int64_t position)
{
	struct list woken;

	list_init(&woken);
	lock_take(&b->lock);
	if (position > atomic_load(&b->position)) {
		atomic_store(&b->position, position);
		LIST_EACH_SAFE (&b->pending, it) {
			struct bus_user *u = LIST_ITEM(it, struct bus_user, pending);

			if (u->pending_low > position)
				continue;
			bus_publish_user(b, u, &woken);
			if (u->pending_high > position) {
				u->pending_low = position + 1;
				continue;
			}
			list_del(&u->pending);
			u->pending_low = u->pending_high = 0;
		}
	}
	lock_drop(&b->lock);
	bus_wake_all(&woken);
}

static struct bus_user *known_user(struct bus *b, int64_t user, struct bus_known *out)
{
	struct bus_user *u = bus_user_find(b, user);

	if (!u || !u->known)
		return NULL;
	u->unasked = false;
	*out = (struct bus_known){ .position = atomic_load(&b->position), .since = u->since, .seq = u->seq };
	memcpy(out->last, u->last, sizeof(out->last));
	memcpy(out->own, u->own, sizeof(out->own));
	return u;
}

bool bus_known(struct bus *b, int64_t user, struct bus_known *out)
{
	LOCKED(&b->lock);

	return known_user(b, user, out) != NULL;
}

static bool has_news(const int64_t last[BUS_KINDS], int64_t above, int64_t typing)
{
	bool news = last[BUS_TYPING] > typing;

	for (enum bus_kind kind = 0; kind < BUS_KINDS; kind++)
		news = news || (is_durable(kind) && last[kind] > above);
	return news;
}

bool bus_news(struct bus *b, struct arena *a, int64_t user, int64_t above, int64_t typing, struct bus_known *out,
	      struct bus_room_news **out_rooms, size_t *out_n)
{
	VEC(struct bus_room_news) list = { 0 };

	LOCKED(&b->lock);
	struct bus_user *u = known_user(b, user, out);

	if (!u)
		return false;
	/* A change in a room is one of the user's, too. */
	for (uint32_t i = 0; i < u->n && has_news(u->last, above, typing); i++) {
		const struct bus_room *r = u->rooms[i].room;
		struct bus_room_news news = { .room = r->room, .since = r->since };

		if (!has_news(r->last, above, typing))
			continue;
		memcpy(news.last, r->last, sizeof(news.last));
		vec_push(a, &list, news);
	}
	*out_rooms = list.p;
	*out_n = list.n;
	return true;
}

size_t bus_rooms_changed(struct bus *b, int64_t user, enum bus_kind kind, int64_t above, int64_t *out, size_t max)
{
	size_t n = 0;

	LOCKED(&b->lock);
	struct bus_user *u = map_get_i(&b->users, user);

	for (uint32_t i = 0; u && i < u->n; i++) {
		if (u->rooms[i].room->last[kind] <= above)
			continue;
		if (n < max)
			out[n] = u->rooms[i].room->room;
		n++;
	}
	return n;
}

bool bus_rooms_of(struct bus *b, struct arena *a, int64_t user, int64_t **out, size_t *out_n)
{
	size_t n = 0;

	LOCKED(&b->lock);
	const struct bus_user *u = map_get_i(&b->users, user);

	if (!u || !u->known)
		return false;
	*out = ARENA_ARRAY(a, int64_t, u->n);
	for (uint32_t i = 0; i < u->n; i++)
		if (!u->rooms[i].peeks)
			(*out)[n++] = u->rooms[i].room->room;
	*out_n = n;
	return true;
}

bool bus_wait(struct bus *b, struct bus_waiter *w, int64_t user, uint64_t seq)
{
	LOCKED(&b->lock);
	struct bus_user *u = bus_user_find(b, user);

	if (!u || !u->known || u->seq != seq)
		return false;
	w->user = user;
	w->queued = true;
	b->waiting++;
	list_add_tail(&u->waiters, &w->node);
	return true;
}

bool bus_unwait(struct bus *b, struct bus_waiter *w)
{
	LOCKED(&b->lock);

	if (!w->queued)
		return false;
	w->queued = false;
	b->waiting--;
	list_del(&w->node);
	return true;
}

struct bus_counts bus_count(struct bus *b)
{
	LOCKED(&b->lock);
	return (struct bus_counts){ .users = b->users.n, .rooms = b->rooms.n, .waiters = b->waiting };
}
