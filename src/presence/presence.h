/*
 * presence.h - who is there. Client-Server API, "Presence".
 *
 * `struct presence` is the service, made in main/. Each device of a user has a state of its own, which its /sync or a
 * PUT set; the user's is that of the most present one. What others are told are *changes*, each under a serial of the
 * bus: a /sync token says up to which one its client knows. Other servers' users will be told of here, too.
 *
 * Users and rooms are interned numbers. All functions may be called from any thread.
 */
#pragma once

#include "base/err.h"

struct bus;
struct log;
struct store;
struct presence;

enum presence_state { PRESENCE_OFFLINE, PRESENCE_UNAVAILABLE, PRESENCE_ONLINE };
/* "online", "unavailable", "offline"; false: none of them. */
bool presence_state_read(str text, enum presence_state *out);
str presence_state_text(enum presence_state state);

struct presence_options { /* everything is borrowed for the life of the service */
	struct store *store;
	struct bus *bus;
	bool enabled;         /* else: everybody is offline, and nobody is told anything */
	bool tracked;         /* else: local users' doings change nothing */
	int64_t active_ms;    /* so long after the last action a user is currently active */
	int64_t online_ms;    /* so long after the last /sync ended a device is gone */
	int64_t idle_ms;      /* so long after the last action an online device is idle */
	bool include_offline; /* a first /sync is told of those who are offline, too */
	/* Tests: the time (milliseconds that never go back; since 1970), and no thread: presence_tick is called. NULL:
	 * the clocks, and a thread. */
	int64_t (*mono_ms)(void), (*wall_ms)(void);
};
enum { PRESENCE_STATUS_MAX = 1024 }; /* bytes of a status message */

/* Reads what was known before the restart. */
NODISCARD err *presence_new(struct arena *a, const struct presence_options *opt, struct presence **out);
/* No further changes are told; what is not yet on disk is queued for writing. Before the store is closed. */
void presence_stop(struct presence *p);
void presence_free(struct presence **p);
bool presence_enabled(const struct presence *p);          /* false of NULL */
bool presence_includes_offline(const struct presence *p); /* likewise */

/*
 * What users do (devices.c). The arena is for reading what the store knows of a user who was not here since the start.
 */
/* The device waits in a /sync, until as many ends as begins were told. `state`: what it asked to be shown as (one that
 * is known stays what it was, unless it may change); a device that is offline does not begin. False: the service does
 * not track it, and wants no end. */
bool presence_sync_begin(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
			 bool may_change);
void presence_sync_end(struct presence *p, int64_t user, str device_id);
/* Would a /sync that asks for this state change what a device that is known is shown as? */
bool presence_sync_changes(struct presence *p, int64_t user, str device_id, enum presence_state state);
/* "PUT /presence/{userId}/status". STR_NONE: no status message. */
void presence_set(struct presence *p, struct arena *a, int64_t user, str device_id, enum presence_state state,
		  str status_msg);
/*
 * What another server says of users of its own, who are told of like ours until ELSEWHERE_MS pass without a word. The
 * caller knows that the server is theirs. Who is joined to no room here is nobody's news. Of one who stands in the list
 * twice the last is true.
 */
enum { PRESENCE_ELSEWHERE_MS = 30 * 60 * 1000 };
struct presence_elsewhere {
	str user_id;
	enum presence_state state;
	bool currently_active;
	int64_t last_active_ago; /* ms; below 0: not said */
	str status_msg;          /* STR_NONE: none */
};
NODISCARD err *presence_told(struct presence *p, struct arena *a, const struct presence_elsewhere *list, size_t n);
/* "A pro-active event": the user wrote, read or typed. */
void presence_acted(struct presence *p, struct arena *a, int64_t user, str device_id);
/* After a commit: the user joined a room (of which its members hear by its event) / is in it no longer. Quick. */
void presence_joined(struct presence *p, int64_t user, int64_t room);
void presence_left(struct presence *p, int64_t user, int64_t room);
/* The account is closed; before it leaves its rooms. */
void presence_forget(struct presence *p, struct arena *a, int64_t user);

/*
 * What is told of them (tell.c)
 */
struct presence_view {
	int64_t user;
	enum presence_state state;
	bool currently_active;   /* of one who is online */
	int64_t last_active_ago; /* ms; negative: never was */
	str status_msg;          /* STR_NONE: none */
};
/* Now. Of a user of whom nothing is known: offline. */
NODISCARD err *presence_get(struct presence *p, struct arena *a, int64_t user, struct presence_view *out);
/* The same from memory alone: of a user who was not here since the start, that they are offline. */
void presence_known(struct presence *p, struct arena *a, int64_t user, struct presence_view *out);
/* The user, if `reader` may see their presence: they share a room. Else 0, also where there is no such user. */
NODISCARD err *presence_visible(struct presence *p, struct arena *a, int64_t reader, str user_id, int64_t *out_user);

/* Told of changes of users of this server, with the rooms that they are in: on the service's thread, with no lock held.
 * At start only. */
typedef void presence_fn(void *ctx, struct arena *a, const struct presence_view *who, const int64_t *rooms, size_t n);
void presence_on_change(struct presence *p, presence_fn *fn, void *ctx);

/* Which changes a reader is told of. */
struct presence_ask {
	int64_t user;         /* the reader: their own presence is told, too */
	const int64_t *rooms; /* those that they are in */
	size_t n_rooms;
	const int64_t
		*whole; /* of these rooms everything that is known, not only changes: they are new to the reader */
	size_t n_whole;
	int64_t above;        /* changes with a higher serial */
	bool without_offline; /* not of those who are offline */
	size_t most;          /* changes in one answer */
};
struct presence_news {
	struct presence_view *p; /* oldest change first */
	size_t n;
	int64_t told;   /* changes up to this serial are told; the rest (where there were more than `most`) is not */
	int64_t newest; /* no change that was visible had a higher serial */
};
/* From memory. */
void presence_changes(struct presence *p, struct arena *a, const struct presence_ask *ask, struct presence_news *out);
int64_t presence_serial(struct presence *p); /* of the newest change */

/* Tests: what the thread does, once. Gives when to do it next (mono_ms; INT64_MAX: when something happens). */
int64_t presence_tick(struct presence *p);
struct presence_counts {
	uint64_t fired;             /* timers that ran */
	uint64_t changes;           /* that were told */
	uint64_t turns;             /* what readers' turns cost, as bus_nudge_out counts */
	size_t users, devices, log; /* log: entries of all rooms */
};
struct presence_counts presence_count(struct presence *p);
