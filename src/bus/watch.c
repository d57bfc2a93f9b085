/*
 * watch.c - which users are watched, and which rooms concern them.
 *
 * A user is *begun* (touches and moves are noted, nothing is known), then *known* once their rooms were told. Between
 * the two a snapshot is read; the changes of membership that come meanwhile are newer than it, or in it already, so
 * they win: a join links at once, a leave is noted in `left`. What was told before the begin must be in the snapshot,
 * so the snapshot must be younger than the begin: a user who is begun is not forgotten before any such snapshot is
 * over (a begin whose caller gave up stays, and serves the next one).
 *
 * What happened in the user's rooms before they were told is not known: `since` is raised above every touch seen so
 * far.
 *
 * Users with waiters are never forgotten; of the others, the least recently asked for go first.
 */
#include "bus/internal_bus.h"

#include "base/clock.h"

#include <assert.h>

/* No snapshot is held this long: see store.h. */
static const int64_t snapshot_life_us = 120 * 1000000LL;

/* Counts as use. */
struct bus_user *bus_user_find(struct bus *b, int64_t user)
{
	struct bus_user *u = map_get_i(&b->users, user);

	if (u) {
		list_del(&u->lru);
		list_add_head(&b->lru, &u->lru);
	}
	return u;
}

static void *grow(void *p, uint32_t n, uint32_t *cap, size_t item)
{
	if (n < *cap)
		return p;
	assert(*cap < UINT32_MAX / 2);
	*cap = *cap ? *cap * 2 : 2;
	return mem_realloc(p, *cap * item);
}

static bool is_linked(const struct bus_user *u, int64_t room, uint32_t *out_at)
{
	for (uint32_t i = 0; i < u->n; i++)
		if (u->rooms[i].room->room == room) {
			*out_at = i;
			return true;
		}
	return false;
}

void bus_user_link(struct bus *b, struct bus_user *u, int64_t room, bool peeks)
{
	struct bus_room *r = map_get_i(&b->rooms, room);

	if (!r) {
		r = MEM_NEW(struct bus_room);
		r->room = room;
		r->since = MAX(atomic_load(&b->position), b->touched);
		map_put_i(&b->rooms, room, r);
	}
	u->rooms = grow(u->rooms, u->n, &u->cap, sizeof(*u->rooms));
	r->members = grow(r->members, r->n, &r->cap, sizeof(*r->members));
	u->rooms[u->n] = (struct bus_joined){ .room = r, .back = r->n, .peeks = peeks };
	r->members[r->n++] = (struct bus_member){ .user = u, .back = u->n++ };
}

/* The last entry of either array moves into the hole. */
static void unlink_at(struct bus *b, struct bus_user *u, uint32_t at)
{
	struct bus_room *r = u->rooms[at].room;
	uint32_t hole = u->rooms[at].back;

	assert(r->members[hole].user == u && r->members[hole].back == at);
	r->members[hole] = r->members[--r->n];
	if (hole < r->n)
		r->members[hole].user->rooms[r->members[hole].back].back = hole;
	u->rooms[at] = u->rooms[--u->n];
	if (at < u->n)
		u->rooms[at].room->members[u->rooms[at].back].back = at;
	if (r->n == 0) {
		map_del_i(&b->rooms, r->room);
		mem_free(r->members);
		mem_free(r);
	}
}

void bus_user_free(struct bus *b, struct bus_user *u)
{
	assert(list_is_empty(&u->waiters));
	while (u->n > 0)
		unlink_at(b, u, u->n - 1);
	map_del_i(&b->users, u->user);
	list_del(&u->lru);
	list_del(&u->pending);
	bus_nudge_drop(b, u);
	map_done(&u->left);
	mem_free(u->rooms);
	mem_free(u);
}

static bool may_forget(const struct bus_user *u, int64_t now)
{
	return list_is_empty(&u->waiters) && (u->known || now - u->begun_us > snapshot_life_us);
}

/* Looks at a bounded number: where nearly everybody waits, the bound is exceeded rather than the lock held. */
static void forget_oldest(struct bus *b, int64_t now)
{
	struct list *it = b->lru.prev;

	for (unsigned looked = 0; b->users.n > b->max_watched && it != &b->lru && looked < 64; looked++) {
		struct bus_user *u = LIST_ITEM(it, struct bus_user, lru);

		it = it->prev;
		if (may_forget(u, now)) {
			bus_user_free(b, u);
			continue;
		}
		/* As good as asked for: so the next look begins behind it. */
		list_del(&u->lru);
		list_add_head(&b->lru, &u->lru);
	}
}

bool bus_watch_begin(struct bus *b, int64_t user)
{
	LOCKED(&b->lock);
	struct bus_user *u = bus_user_find(b, user);

	if (u && u->known)
		return false;
	if (u) /* begun by someone who is still reading, or gave up: both may end it */
		return true;
	u = MEM_NEW(struct bus_user);
	u->user = user;
	u->begun = atomic_load(&b->position);
	u->begun_us = clock_mono_us();
	u->seq = ++b->seq;
	/* Whoever was watched before may have missed a turn. */
	u->last[BUS_PRESENCE] = atomic_load(&b->serial);
	list_init(&u->nudge);
	list_init(&u->pending);
	list_init(&u->waiters);
	map_init(&u->left, NULL);
	map_put_i(&b->users, user, u);
	/* Before it is in the list: the newcomer must not be the one to go. */
	forget_oldest(b, u->begun_us);
	list_init(&u->lru);
	list_add_head(&b->lru, &u->lru);
	return true;
}

void bus_watch_rooms(struct bus *b, int64_t user, int64_t position, const int64_t *rooms, size_t n)
{
	LOCKED(&b->lock);
	struct bus_user *u = bus_user_find(b, user);
	const uint32_t joined_meanwhile = u ? u->n : 0;

	if (!u || u->known || position < u->begun)
		return;
	for (size_t i = 0; i < n; i++) {
		bool there = map_get_i(&u->left, rooms[i]) != NULL;

		for (uint32_t k = 0; k < joined_meanwhile && !there; k++)
			if (u->rooms[k].room->room == rooms[i]) {
				u->rooms[k].peeks = false;
				there = true;
			}
		if (!there)
			bus_user_link(b, u, rooms[i], false);
	}
	u->since = MAX(position, b->touched);
	u->known = true;
	map_done(&u->left);
	map_init(&u->left, NULL);
	/* A touch above the position that came before it was known whom it concerns: it may concern this user. */
	if (b->touched > atomic_load(&b->position) && u->pending_high < b->touched) {
		if (u->pending_high == 0) {
			list_add_tail(&b->pending, &u->pending);
			u->pending_low = b->touched;
		}
		u->pending_low = MIN(u->pending_low, atomic_load(&b->position) + 1);
		u->pending_high = b->touched;
	}
}

void bus_user_joined(struct bus *b, int64_t user, int64_t room)
{
	uint32_t at;

	LOCKED(&b->lock);
	struct bus_user *u = map_get_i(&b->users, user);

	if (!u)
		return;
	if (!u->known)
		map_del_i(&u->left, room);
	if (is_linked(u, room, &at))
		u->rooms[at].peeks = false;
	else
		bus_user_link(b, u, room, false);
}

void bus_user_peeks(struct bus *b, int64_t user, int64_t room)
{
	uint32_t at;

	LOCKED(&b->lock);
	struct bus_user *u = map_get_i(&b->users, user);

	if (u && !is_linked(u, room, &at))
		bus_user_link(b, u, room, true);
}

void bus_user_left(struct bus *b, int64_t user, int64_t room)
{
	uint32_t at;

	LOCKED(&b->lock);
	struct bus_user *u = map_get_i(&b->users, user);

	if (!u)
		return;
	if (!u->known)
		map_put_i(&u->left, room, u);
	if (is_linked(u, room, &at))
		unlink_at(b, u, at);
}
