/*
 * internal_room.h - a room in memory: its head, what is queued of it, and how it moves on.
 *
 * Private to room/; internal_job.h goes on from here. `struct room` is found through the table (rooms.c), loaded and
 * locked by room_hold (head.c), written to through a draft (append.c), which becomes a job: one piece of the store's
 * next commit (commit.c).
 *
 * Three locks: the room's own covers everything below it but the fields that say otherwise; `done_lock` is what a
 * writer thread takes when a job ends, so that it never waits for a builder; the ring of recent events has its own.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "matrix/auth.h"
#include "matrix/id.h"
#include "matrix/power_levels.h"
#include "matrix/state_res.h"
#include "matrix/stripped.h"
#include "matrix/visibility.h"
#include "room/room.h"
#include "store/rooms.h"
#include "store/state_nodes.h"
#include "store/txns.h"

enum { TIMELINE_SPACING = 1 << 16, EVENT_HASH_TEXT = 43 };
/* Below an event with a gap there is room for what is missing; the first event of a room that was imported (EVENT_GAP)
 * stands there. */
#define TIMELINE_GAP (INT64_C(1) << 40)

/* An event that says nothing but which events came before it: never shown to clients. */
#define EVENT_TYPE_DUMMY S("org.matrix.dummy_event")

struct ext { /* a forward extremity */
	int64_t nid, depth;
	struct state_root root; /* the state after it */
	size_t id_n;
	char id[ID_MAX];
	char hash[EVENT_HASH_TEXT]; /* EVENT_FORMAT_NAMED alone: its reference hash, which who names it says along */
};
struct tip {             /* what the next event is built upon */
	struct ext *ext; /* mem_alloc'ed; oldest first */
	size_t n_ext, cap_ext;
	struct state_root root; /* the current state: of all extremities, resolved */
	int64_t timeline_top, next_node;
	int64_t joined, invited;
};

struct change;
struct job;
struct job_event;
struct draft;
struct purge;
struct receipt_cmd;
struct server_list;
struct ahead;

struct recent { /* recent.c; `lock` covers it */
	struct lock lock;
	struct list list; /* oldest first */
	size_t bytes, limit;
	int64_t complete_above; /* everything shown above this position is in the list */
	bool jumped;            /* the current state changed since the last of them by what is not shown */
};
void recent_init(struct recent *r, size_t limit);
void recent_done(struct recent *r);
/* What comes next may not follow on what is in the list: it begins anew. */
void recent_reset(struct recent *r);
/* The event's gap is closed. */
void recent_close_gap(struct recent *r, int64_t event);
/* A committed job's events, in order: on the writer thread, before the bus hears of them. */
void recent_publish(struct recent *r, const struct job *job);

struct acl_known { /* server_acl.c; `lock` covers it */
	struct lock lock;
	bool none;           /* the room has no m.room.server_acl */
	struct arena *a;     /* holds the map; NULL: nothing is known */
	struct map verdicts; /* server's name -> what the list says of it */
};
void acl_known_init(struct acl_known *k);
void acl_known_done(struct acl_known *k);
/* The list is another, or may be: under the room's lock. */
void acl_known_forget(struct acl_known *k);

struct room {
	struct rooms *rs;
	int64_t nid;
	str room_id; /* owned */
	const struct room_version *rv;
	int64_t creator;
	struct list lru; /* rs->lock */
	unsigned refs;   /* rs->lock */

	struct lock lock;
	bool loaded;
	atomic_bool gone; /* the store has no such room (its creation failed, it was purged). Changes under the lock */
	struct purge *purge; /* of its history, under way; or NULL */
	struct tip tip;
	_Atomic uint64_t generation; /* of this reading of the store, which what is queued now builds upon */
	_Atomic uint64_t failed;     /* jobs of this generation and older fail; written by `after` */
	struct arena *cache_arena;
	struct map cache;       /* (type, key) of the current root -> struct cached */
	struct map pending;     /* event number -> struct job_event, not yet drained */
	struct map pending_ids; /* the same by event id */
	struct map storing;     /* ids of outliers that are on their way to the store beside this queue */
	struct map redactions;  /* event number -> struct job_event, not yet drained: the redaction that empties it */
	struct map txns;        /* digest -> struct job_event of queued transactions */
	struct list jobs;       /* queued or just ended, in commit order */
	struct map locals;      /* joined users of this server, once they were asked for */
	bool locals_known;
	bool spreading; /* places in the timeline are on their way to be others (remote/history.c) */
	bool lacks;     /* events above gaps may name what comes yet (store/gaps.h) */
	struct map
		servers; /* other servers in the room -> how many joined members, once it was asked for (servers.c) */
	bool servers_known;
	struct server_list *server_list; /* the same, as events refer to it; NULL: not made */

	/* only while held */
	struct arena *a; /* the holder's: rows read under the lock */
	struct tx *tx;   /* a snapshot, opened when first needed */
	struct node_source nodes;
	struct draft *draft; /* being built, or NULL */
	struct ahead *ahead; /* what was read for a batch of received events, or NULL */

	struct lock done_lock;
	struct cond done_cond;
	size_t outstanding; /* done_lock: jobs that have not ended */
	struct list done;   /* done_lock: jobs that have */

	struct recent recent;
	struct acl_known acl;
};

enum { OUTLIER_STORED, OUTLIER_REJECTED, OUTLIER_UNPLACED, OUTLIER_OUTCOMES }; /* receive/outlier.c */

struct remote;
struct rooms {
	struct rooms_options opt;
	struct node_cache *node_cache;
	/* Texts that decide something, interned. */
	int64_t server, empty, type_member, type_power, type_acl, type_dummy, type_policy, type_tombstone;
	int64_t summary_types[SUMMARY_COLUMNS];
	struct lock lock;
	struct map by_id, by_nid; /* struct room */
	struct list lru;          /* most recently used first */
	size_t n;
	struct {
		void (*fn)(void *ctx, const struct rooms_stored *ev);
		void *ctx;
	} stored[16];
	size_t n_stored;
	struct map names; /* v1, v2: id of a received event that is queued -> struct job, whichever room's. `lock` */
	struct {
		struct lock lock;
		struct map users; /* by number */
		atomic_size_t n;  /* of them: read without the lock */
	} erased;                 /* erased.c */
	struct lock upgrade_lock; /* upgrade.c */
	struct cond upgrade_done;
	struct map upgrading;                                   /* room id -> struct upgrade */
	struct metric *resets;                                  /* of state, see flat.c */
	struct metric *dropped_extremities, *merges;            /* append.c, merge.c */
	void (*crowded)(void *ctx, str room_id, bool newcomer); /* rooms_on_crowded; or NULL */
	void *crowded_ctx;
	struct metric *outliers[OUTLIER_OUTCOMES];
	struct policies *policies; /* that asks policy servers; NULL: nobody does */
	struct chore *purging;     /* purger.c; or NULL. `lock` */
	void (*on_receipt)(void *ctx, const struct receipt_cmd *cmd, int64_t ts); /* or NULL */
	void *on_receipt_ctx;
	struct remote *remote; /* the way into rooms of other servers; NULL: there is none */
	rooms_prepare_fn *prepare;
	void *prepare_ctx;
};

/*
 * Holding (head.c). *out is NULL when there is no such room. The arena must live until the release.
 */
NODISCARD err *room_hold(struct rooms *rs, struct arena *a, str room_id, struct room **out);
/* One that the store does not have: empty, with the number that its id has. *out is NULL where there is one. */
NODISCARD err *room_hold_new(struct rooms *rs, struct arena *a, int64_t nid, str room_id, const struct room_version *rv,
			     int64_t creator, struct room **out);
void room_release(struct room **room);
#define AUTO_ROOM CLEANUP(room_release) struct room *
/* Did a job built upon this head fail? Then it is read again before it is used. Needs no lock. */
bool room_is_broken(const struct room *room);
/* A snapshot of the store for this hold. */
NODISCARD err *room_tx(struct room *room, struct tx **out);
/* The tree of the room's states, new nodes of the draft included. */
struct state_tree room_tree(struct room *room);
/* What an extremity says of the event beside its id; nothing where there is no such thing. */
NODISCARD err *ext_hash(struct room *room, const struct event *ev, struct ext *x);
/* Reads the head from the store. */
NODISCARD err *head_load(struct room *room);
/* What the current state has under a key: from memory after the first time. NULL in *out: nothing. Valid during the
 * hold. */
NODISCARD err *room_current(struct room *room, int64_t type, int64_t key, const struct event **out);
NODISCARD err *room_current_text(struct room *room, str type, str state_key, const struct event **out);
/* The same if it is remembered already; else NULL. */
const struct event *room_remembered(const struct room *room, int64_t type, int64_t key);
NODISCARD err *room_membership(struct room *room, str user_id, enum membership *out);
NODISCARD err *room_power(struct room *room, struct power_levels *out);
void room_cache_drop(struct room *room, int64_t type, int64_t key);
void room_cache_clear(struct room *room);
/* An event by number, queued or stored. ERR_INTERNAL when it is nowhere. Valid during the hold. */
NODISCARD err *room_event(struct room *room, int64_t nid, const struct event **out);
/* The same where its row was read already. */
NODISCARD err *room_event_of_row(struct room *room, const struct event_row *row, const struct event **out);
/* By id, of this room: NULL when unknown. out_row may be NULL. */
NODISCARD err *room_event_by_id(struct room *room, str event_id, const struct event **out,
				const struct event_row **out_row);
NODISCARD err *room_row_by_id(struct room *room, str event_id, const struct event_row **out);
/*
 * Reading ahead (receive/ahead.c): for many received events in one hold, what is asked of each is read once. It goes
 * with the hold.
 */
/* Rows under these ids, also those that are not there; and which of the ids redactions wait for. */
NODISCARD err *room_read_ahead(struct room *room, const str *event_ids, size_t n);
/* False: was not read. *out is NULL where there is none. */
bool ahead_row(const struct room *room, str event_id, struct event_row **out);
/* An event that was loaded before, NULL: it was not; to be found from now on. */
const struct event *ahead_event(const struct room *room, int64_t nid);
void ahead_keep(struct room *room, const struct event *ev);
/* May a stored redaction wait for the event? */
bool ahead_may_wait(const struct room *room, str event_id);
/* The joined users of this server, by number. */
NODISCARD err *room_locals(struct room *room, const struct map **out);
/* Keeps that list up with a change of the current state. */
void room_locals_note(struct room *room, const struct change *ch);

/*
 * Table (rooms.c)
 */
/* Finds or makes the entry of a room that exists, referenced; NULL: no such room. */
NODISCARD err *rooms_enter(struct rooms *rs, struct arena *a, str room_id, struct room **out);
/* An entry for a room that is being made, referenced; NULL: there is one with this id. */
struct room *rooms_enter_new(struct rooms *rs, int64_t nid, str room_id, const struct room_version *rv,
			     int64_t creator);
void rooms_unref(struct rooms *rs, struct room *room);
/* Reads who is erased (erased.c): at start. */
NODISCARD err *erased_load(struct rooms *rs, struct arena *a);
