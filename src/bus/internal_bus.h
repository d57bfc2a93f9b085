/* internal_bus.h - what bus.c (positions, touches, wake-ups), nudge.c (turns) and watch.c (who is concerned) share. */
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
	bool peeks;    /* listens without being joined */
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
	struct list nudge; /* in bus.nudged while `nudged` is not 0: the highest serial to be touched with */
	int64_t nudged;
	bool unasked; /* touched in its turn, and nobody has asked since */
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
	struct list lru, pending, nudged;
	size_t n_nudged;
};

struct bus_user *bus_user_find(struct bus *b, int64_t user);
void bus_user_free(struct bus *b, struct bus_user *u);
void bus_user_link(struct bus *b, struct bus_user *u, int64_t room, bool peeks);
/* Moves the user's waiters to `woken`; they are the caller's from here on: bus_wake_all, without the lock. */
void bus_publish_user(struct bus *b, struct bus_user *u, struct list *woken);
void bus_wake_all(struct list *woken);
/* It waits for no turn any more. */
void bus_nudge_drop(struct bus *b, struct bus_user *u);
