/*
 * bus.h - "what changed": the newest visible stream position, who waits, and what is known to be unchanged.
 *
 * The bus moves only after a commit. For every *watched* user (one who synced lately) it remembers the newest
 * position of each kind of change and the rooms whose changes concern them; for every room with watchers likewise. So
 * a /sync with nothing new is answered from memory, and a publish walks those of the room's members that are watched,
 * nobody else. What the bus does not know (a restart, an evicted user) is unknown, never "nothing new": the watch
 * tells so.
 *
 * The order that loses nothing. A writer: commit, then the touches of that commit, then bus_advance to its position,
 * then the answer to whoever wrote. A reader: watch the user if it is not watched, then bus_known (which gives the
 * position, too), then open the snapshot, bound every query by that position. So whoever reads a position knows every
 * change up to it; a touch above the position is remembered at once, and wakes when the position gets there.
 *
 * Users and rooms are interned numbers; a "user" below zero is a thing of another kind to wait for (media/find.c).
 * Wires to other processes plug in here later; wake-ups may be lost, positions not.
 */
#pragma once

#include "base/arena.h"
#include "base/list.h"

struct bus;

enum bus_kind {
	BUS_EVENTS,       /* room: an event or a change of current state; user: own membership changed */
	BUS_RECEIPTS,     /* room */
	BUS_ROOM_DATA,    /* user: room account data, tags, read markers */
	BUS_ACCOUNT_DATA, /* user: global account data, push rules */
	BUS_TO_DEVICE,    /* user: messages to their devices, or how many keys these have left */
	BUS_DEVICE_LISTS, /* user, or room: somebody's devices or keys; or who is in the room, but for profiles */
	BUS_PRESENCE,     /* user, in turns (bus_nudge_room); ephemeral: value is a serial */
	BUS_TYPING,       /* room; ephemeral: value is a serial */
	BUS_KINDS
};

struct bus *bus_new(size_t max_watched); /* the least recently used users beyond that are forgotten */
void bus_free(struct bus **b);

/* The newest position that every reader may see. Take it first, then open the snapshot, and bound every query by it. */
int64_t bus_position(const struct bus *b);
/* Only ever upwards. After the touches of what was committed: whoever these concern is woken now. */
void bus_advance(struct bus *b, int64_t position);
/* The next ephemeral serial (typing, presence), unique in this process. */
int64_t bus_next_serial(struct bus *b);
int64_t bus_serial(const struct bus *b); /* the newest given */

/*
 * After a commit, in commit order: changes. Wakes the user's waiters / those of every watched member of the room:
 * now, or at bus_advance when `value` is a position above the bus's.
 */
void bus_touch_user(struct bus *b, int64_t user, enum bus_kind kind, int64_t value);
void bus_touch_room(struct bus *b, int64_t room, enum bus_kind kind, int64_t value);
/* After a commit: the user now is / is no longer concerned by the room. No-ops for users who are not watched. */
void bus_user_joined(struct bus *b, int64_t user, int64_t room);
void bus_user_left(struct bus *b, int64_t user, int64_t room);
/* The user listens to a room without being in it: concerned by its changes, but none of those who share it. */
void bus_user_peeks(struct bus *b, int64_t user, int64_t room);

/*
 * Watching. bus_watch_begin makes the user watched with everything unknown, and gives false when it already was known
 * (nothing to do). Otherwise: open a snapshot, read the joined rooms, call bus_watch_rooms with them and the bus
 * position taken *before* the snapshot: joins and leaves that committed meanwhile win over the snapshot. From then on
 * positions at or below that one (or below a touch that came meanwhile: bus_known's `since` tells) are unknown, above
 * it exact. A call that comes too late, after the user was forgotten and begun anew, changes nothing.
 */
bool bus_watch_begin(struct bus *b, int64_t user);
void bus_watch_rooms(struct bus *b, int64_t user, int64_t position, const int64_t *rooms, size_t n);

/* What is known of a user at this moment. */
struct bus_known {
	int64_t position; /* the bus's, taken together with the rest: bounds this reader's queries */
	int64_t since;    /* exact above this position; older tokens must ask the database */
	/* newest change of a kind that concerns the user, directly or through a room; 0: none since */
	int64_t last[BUS_KINDS];
	/* The same of the user's own changes alone: BUS_EVENTS is their membership in any room, BUS_RECEIPTS a receipt
	 * that no other may see. */
	int64_t own[BUS_KINDS];
	uint64_t seq; /* changes with every touch that is visible: pass it to the wait */
};
bool bus_known(struct bus *b, int64_t user, struct bus_known *out); /* false: not watched, or its rooms not told yet */
/* The watched user's rooms that changed in `kind` above `value`: at most max numbers; gives how many there are. */
size_t bus_rooms_changed(struct bus *b, int64_t user, enum bus_kind kind, int64_t above, int64_t *out, size_t max);

/*
 * bus_known, and of the same moment what changed in the user's rooms: those with a durable change above `above` or
 * typing above `typing` (-1: every room). A room's `last` may be above the position. False as for bus_known.
 */
struct bus_room_news {
	int64_t room;
	int64_t since; /* `last` is exact above this position; what was before it is not known */
	int64_t last[BUS_KINDS];
};
bool bus_news(struct bus *b, struct arena *a, int64_t user, int64_t above, int64_t typing, struct bus_known *out,
	      struct bus_room_news **out_rooms, size_t *out_n);

/* The rooms that a watched user is in, in no order; false as for bus_known. */
bool bus_rooms_of(struct bus *b, struct arena *a, int64_t user, int64_t **out, size_t *out_n);

/*
 * Nudges (nudge.c): changes that may come a little late, and would cost most where they help least: presence, in rooms
 * where thousands listen. A nudge makes no news; it queues those it concerns, and bus_nudge_out touches them with
 * BUS_PRESENCE one after the other, those who wait longest first. Whoever is in the queue, or was touched and has not
 * asked since, is not queued again: they learn of everything once they ask.
 */
void bus_nudge_user(struct bus *b, int64_t user, int64_t serial);
void bus_nudge_room(struct bus *b, int64_t room, int64_t serial);
/* Touches at the cost of at most `budget`: NUDGE_WAITER for a user with somebody waiting, else NUDGE_NOBODY. Gives what
 * it cost; *out_rest: so many are still queued. */
enum { NUDGE_WAITER = 4, NUDGE_NOBODY = 1 };
size_t bus_nudge_out(struct bus *b, size_t budget, size_t *out_rest);

/* A waiter sleeps on one user. wake runs once, on the publisher's thread, without the bus's lock: it must be quick. */
struct bus_waiter {
	struct list node;
	void (*wake)(struct bus_waiter *w);
	int64_t user;
	bool queued; /* the bus's own */
};
/* False when something was touched since `seq`, or the user is not watched (any more): not queued, run again now. */
bool bus_wait(struct bus *b, struct bus_waiter *w, int64_t user, uint64_t seq);
/* True when it was still queued (wake will not run any more); false when wake has run, or is about to. */
bool bus_unwait(struct bus *b, struct bus_waiter *w);

/* How many users are watched, rooms have watchers, and waiters sleep: for metrics and tests. */
struct bus_counts {
	size_t users, rooms, waiters;
};
struct bus_counts bus_count(struct bus *b);
