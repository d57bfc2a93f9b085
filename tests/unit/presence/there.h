/* there.h - a presence service whose time stands still until it is moved, and readers who keep up with it. */
#pragma once

#include "store/both.h"
#include "test.h"

#include "bus/bus.h"
#include "presence/presence.h"
#include "store/membership.h"
#include "store/presence.h"

enum { ALICE = 1, BOB = 2, CAROL = 3, ROOM = 100, OTHER = 101 };
enum { ACTIVE = 60000, ONLINE = 30000, IDLE = 300000 };

/* Two clocks: one since the machine started, one since 1970. */
static _Atomic int64_t there_mono = 5000000, there_wall = 1700000000000;
static int64_t there_mono_ms(void) { return there_mono; }
static int64_t there_wall_ms(void) { return there_wall; }

struct there {
	struct both *b;
	struct arena *a;
	struct bus *bus;
	struct presence *p;
};

static inline void there_start(struct there *t)
{
	const struct presence_options opt = {
		.store = t->b->st,
		.bus = t->bus,
		.enabled = true,
		.tracked = true,
		.active_ms = ACTIVE,
		.online_ms = ONLINE,
		.idle_ms = IDLE,
		.mono_ms = there_mono_ms,
		.wall_ms = there_wall_ms,
	};

	good(presence_new(t->a, &opt, &t->p));
}

static inline void there_open(struct there *t, struct both *b)
{
	*t = (struct there){ .b = b, .a = b->a, .bus = bus_new(100000) };
	there_start(t);
}

static inline void there_close(struct there *t)
{
	presence_stop(t->p);
	store_close(&t->b->st);
	presence_free(&t->p);
	bus_free(&t->bus);
	both_open(t->b);
}

static inline void there_watch(struct there *t, int64_t user, int64_t room)
{
	assert_true(bus_watch_begin(t->bus, user));
	bus_watch_rooms(t->bus, user, bus_position(t->bus), &room, 1);
}

/* Time passes, and the service does what it would do meanwhile. */
static inline void there_pass(struct there *t, int64_t ms)
{
	for (int64_t end = there_mono + ms; there_mono < end;) {
		const int64_t step = MIN(100, end - there_mono);

		there_mono += step;
		there_wall += step;
		(void)presence_tick(t->p);
	}
}

static inline bool there_begin(struct there *t, int64_t user, const char *device, enum presence_state state)
{
	return presence_sync_begin(t->p, t->a, user, str_c(device), state, true);
}

/* A reader of ROOM. */
struct reader {
	int64_t user, above;
	size_t most; /* 0: plenty */
	bool without_offline, new_here;
};
static inline struct presence_news there_news(struct there *t, struct reader *r)
{
	static const int64_t room = ROOM;
	const struct presence_ask ask = {
		.user = r->user,
		.rooms = &room,
		.n_rooms = 1,
		.whole = &room,
		.n_whole = r->new_here ? 1 : 0,
		.above = r->above,
		.without_offline = r->without_offline,
		.most = r->most ? r->most : 1000,
	};
	struct presence_news news;

	presence_changes(t->p, t->a, &ask, &news);
	r->above = news.told;
	return news;
}

static inline struct presence_view there_view(struct there *t, int64_t user)
{
	struct presence_view v;

	good(presence_get(t->p, t->a, user, &v));
	return v;
}
