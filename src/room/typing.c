/*
 * typing.c - see typing.h.
 *
 * A room that once had somebody typing keeps its entry and serial for FORGET_US after the last one stopped, so that
 * every /sync hears of the empty list; then it goes. One thread sleeps until the earliest deadline.
 */
#include "room/typing.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "matrix/id.h"
#include "room/server_acl.h"
#include "room/view.h"

#define FORGET_US (INT64_C(10) * 60 * 1000000)
enum { USERS_MAX = 100 }; /* shown of a room at once; further ones are not told */

struct typist {
	int64_t user, until_us;
	int64_t ping_us; /* when others are to be told that it goes on; INT64_MAX: never */
};
struct news { /* for those who are told of our users */
	int64_t room, user;
	bool typing;
};
struct news_list {
	struct arena *a;
	VEC(struct news) list;
};
struct typing_room {
	struct list node;
	int64_t room, serial, emptied_us;
	struct typist users[USERS_MAX];
	size_t n;
};
struct typing {
	struct bus *bus;
	struct lock lock;
	struct cond changed;
	struct map rooms;
	struct list list;
	int64_t wakes_at_us; /* what the thread sleeps until */
	bool stopping;
	struct thread *thread;
	typing_fn *tell; /* or NULL */
	void *tell_ctx;
};

static void add_news(struct news_list *news, const struct typing_room *r, int64_t user, bool typing)
{
	vec_push(news->a, &news->list, (struct news){ r->room, user, typing });
}

static void tell(const struct typing *t, const struct news_list *news)
{
	for (size_t i = 0; i < news->list.n; i++)
		t->tell(t->tell_ctx, news->list.p[i].room, news->list.p[i].user, news->list.p[i].typing);
}

/* Takes out those whose time is over; true when there were any. */
static bool expire(struct typing_room *r, int64_t now, struct news_list *news)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct typist *u = &r->users[i];
		const bool goes_on = u->until_us > now;

		if (u->ping_us != INT64_MAX && (!goes_on || u->ping_us <= now)) {
			add_news(news, r, u->user, goes_on);
			u->ping_us = now + INT64_C(1000) * TYPING_PING_MS;
		}
		if (goes_on)
			r->users[kept++] = *u;
	}
	if (kept == r->n)
		return false;
	r->n = kept;
	return true;
}

/* Told under the lock: who has heard of a serial has heard of all lower ones. */
static void note_change(struct typing *t, struct typing_room *r, int64_t now)
{
	if (!r->n)
		r->emptied_us = now;
	r->serial = bus_next_serial(t->bus);
	bus_touch_room(t->bus, r->room, BUS_TYPING, r->serial);
}

static int64_t next_deadline(const struct typing_room *r)
{
	int64_t least = r->n ? INT64_MAX : r->emptied_us + FORGET_US;

	for (size_t i = 0; i < r->n; i++)
		least = MIN(least, MIN(r->users[i].until_us, r->users[i].ping_us));
	return least;
}

static void forget(struct typing *t, struct typing_room *r)
{
	(void)map_del_i(&t->rooms, r->room);
	list_del(&r->node);
	mem_free(r);
}

/* Gives when to look again. */
static int64_t sweep(struct typing *t, int64_t now, struct news_list *news)
{
	int64_t next = INT64_MAX;

	LIST_EACH_SAFE (&t->list, it) {
		struct typing_room *r = LIST_ITEM(it, struct typing_room, node);

		if (expire(r, now, news))
			note_change(t, r, now);
		if (!r->n && r->emptied_us + FORGET_US <= now)
			forget(t, r);
		else
			next = MIN(next, next_deadline(r));
	}
	return next;
}

static void run(void *arg)
{
	struct typing *t = arg;

	for (;;) {
		AUTO_ARENA a = arena_new();
		struct news_list news = { .a = a };
		int64_t next;

		lock_take(&t->lock);
		next = sweep(t, clock_mono_us(), &news);
		if (!t->stopping && !news.list.n) {
			t->wakes_at_us = next;
			if (next == INT64_MAX)
				cond_wait(&t->changed, &t->lock);
			else
				(void)cond_wait_until(&t->changed, &t->lock, next);
		}
		t->wakes_at_us = 0;
		if (t->stopping) {
			lock_drop(&t->lock);
			return;
		}
		lock_drop(&t->lock);
		tell(t, &news);
	}
}

static void set(struct typing *t, int64_t room, int64_t user, int64_t for_ms, struct news_list *news);

static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	if (ev->member_before == MEMBER_JOIN && ev->member_after != MEMBER_JOIN)
		set(ctx, ev->room, ev->row->state_key, 0, NULL);
}

struct typing *typing_new(struct bus *bus, struct rooms *rs)
{
	struct typing *t = MEM_NEW(struct typing);

	t->bus = bus;
	lock_init(&t->lock, RANK_SERVICE);
	cond_init(&t->changed);
	map_init(&t->rooms, NULL);
	list_init(&t->list);
	if (rs)
		rooms_on_stored(rs, on_stored, t);
	t->thread = thread_start("typing", run, t);
	return t;
}

void typing_on_change(struct typing *t, typing_fn *fn, void *ctx)
{
	LOCKED(&t->lock);
	t->tell = fn;
	t->tell_ctx = ctx;
}

void typing_stop(struct typing *t)
{
	if (!t || !t->thread)
		return;
	lock_take(&t->lock);
	t->stopping = true;
	cond_signal(&t->changed);
	lock_drop(&t->lock);
	thread_join(&t->thread);
}

void typing_free(struct typing **tp)
{
	struct typing *t = *tp;

	if (!t)
		return;
	typing_stop(t);
	LIST_EACH_SAFE (&t->list, it)
		forget(t, LIST_ITEM(it, struct typing_room, node));
	map_done(&t->rooms);
	cond_done(&t->changed);
	lock_done(&t->lock);
	mem_free(t);
	*tp = NULL;
}

static struct typing_room *room_of(struct typing *t, int64_t room)
{
	struct typing_room *r = map_get_i(&t->rooms, room);

	if (!r) {
		r = MEM_NEW(struct typing_room);
		r->room = room;
		(void)map_put_i(&t->rooms, room, r);
		list_add_tail(&t->list, &r->node);
	}
	return r;
}

/* True when the list of who types is different afterwards; a prolonged one is not. ping_us: as the typist's. */
static bool change(struct typing_room *r, int64_t user, int64_t until_us, int64_t now, int64_t ping_us)
{
	size_t i = 0;

	while (i < r->n && r->users[i].user != user)
		i++;
	if (until_us <= now) {
		if (i == r->n)
			return false;
		r->users[i] = r->users[--r->n];
		return true;
	}
	if (i < r->n) {
		r->users[i].until_us = until_us;
		return false;
	}
	if (r->n == USERS_MAX)
		return false;
	r->users[r->n++] = (struct typist){ user, until_us, ping_us };
	return true;
}

/* news: of a user of ours; NULL: nobody else is told. */
static void set(struct typing *t, int64_t room, int64_t user, int64_t for_ms, struct news_list *news)
{
	const int64_t now = clock_mono_us();
	struct typing_room *r;
	int64_t ping = INT64_MAX;

	LOCKED(&t->lock);
	if (for_ms <= 0 && !map_get_i(&t->rooms, room))
		return;
	r = room_of(t, room);
	if (news && t->tell)
		ping = now + INT64_C(1000) * TYPING_PING_MS;
	if (change(r, user, now + MIN(for_ms, TYPING_MAX_MS) * 1000, now, ping)) {
		note_change(t, r, now);
		if (ping != INT64_MAX)
			add_news(news, r, user, for_ms > 0);
	}
	if (next_deadline(r) < t->wakes_at_us)
		cond_signal(&t->changed);
}

void typing_set(struct typing *t, int64_t room, int64_t user, int64_t for_ms)
{
	AUTO_ARENA a = arena_new();
	struct news_list news = { .a = a };

	set(t, room, user, for_ms, &news);
	tell(t, &news);
}

err *typing_told(struct typing *t, struct rooms *rs, struct arena *a, str origin, str room_id, str user_id, bool typing)
{
	int64_t room, user;
	bool joined = false;

	if (!id_user_valid(user_id) || !id_is_of(user_id, origin))
		return err_new(a, ERR_FORBIDDEN, "not a user of that server");
	TRY(rooms_find(rs, a, room_id, &room, NULL));
	TRY(store_intern_find(rooms_options(rs)->store, a, user_id, &user));
	if (!room || !user)
		return err_new(a, ERR_FORBIDDEN, "not joined");
	TRY(room_acl_check(rs, a, room_id, origin));
	TRY(room_is_joined(rs, a, room, user, &joined));
	if (!joined)
		return err_new(a, ERR_FORBIDDEN, "not joined");
	set(t, room, user, typing ? TYPING_TOLD_MS : 0, NULL);
	return NULL;
}

size_t typing_list(struct typing *t, int64_t room, int64_t *out_users, size_t max, int64_t *out_serial)
{
	const struct typing_room *r;
	size_t n = 0;

	LOCKED(&t->lock);
	r = map_get_i(&t->rooms, room);
	*out_serial = r ? r->serial : 0;
	for (size_t i = 0; r && i < r->n && n < max; i++)
		out_users[n++] = r->users[i].user;
	return n;
}
