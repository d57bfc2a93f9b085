/* internal_bus.h - what bus.c (positions, touches, wake-ups) and watch.c (who is concerned by what) share. */
#pragma once

#include "base/map.h"
#include "base/thread.h"
#include "bus/bus.h"

#include <stdatomic.h>

/* A user and a room know each other by two array entries, each holding the other's place, so that neither side searches
 * the longer array: a room's may have 100,000 entries. */
struct bus_member { /* in a room: one of its watched users */
	struct bus_user *user;
	uint32_t back; /* the place in user->rooms */
};
struct bus_joined { /* in a user: one of their rooms */
	struct bus_room *room;
	uint32_t back; /* the place in room->members */
};

struct bus_room {
	int64_t room, since; /* since: of changes at or below it nothing is known */
	int64_t last[BUS_KINDS];
	struct bus_member *members;
	uint32_t n, cap; /* never empty: a room without watched members is forgotten */
};

struct bus_user {
	int64_t user;
	struct list lru;     /* in bus.lru, most recently asked for first */
	struct list pending; /* in bus.pending while touches above the position are remembered */
	struct list waiters;
	int64_t pending_low, pending_high; /* the lowest and highest of those touches */
	int64_t since;
	int64_t begun, begun_us; /* while !known: the bus's position and the time (clock_mono_us) at bus_watch_begin */
	int64_t last[BUS_KINDS], own[BUS_KINDS]; /* own: by a touch of the user, not of a room */
	uint64_t seq;
	struct bus_joined *rooms;
	uint32_t n, cap;
	bool known;
	struct map left; /* while !known: rooms left since the begin (room > the user itself) */
};

struct bus {
	struct lock lock;
	_Atomic int64_t position; /* written under the lock */
	_Atomic int64_t serial;
	int64_t touched; /* the highest durable value of any touch */
	uint64_t seq;    /* the newest given to any user: a user forgotten and watched anew never repeats one */
	size_t max_watched, waiting;
	struct map users, rooms;
	struct list lru, pending;
};

struct bus_user *bus_user_find(struct bus *b, int64_t user);
void bus_user_free(struct bus *b, struct bus_user *u);
void bus_user_link(struct bus *b, struct bus_user *u, int64_t room);
