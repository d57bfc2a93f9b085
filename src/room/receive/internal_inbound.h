/*
 * internal_inbound.h - the inside of struct inbound: events on their way into the rooms. Private to inbound*.c.
 *
 * An event that was answered for is a row of the store and a struct staged here. It is in one of three places: `ready`
 * in its room, with a worker, or among those that wait for what they stand on. One lock covers it all; it is never held
 * over the store or another service.
 */
#pragma once

#include <stdatomic.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "room/receive/inbound.h"
#include "room/receive/missing.h"
#include "room/waiting.h"
#include "store/inbound.h"

enum {
	PDUS_MAX = 50,     /* "they can have at most 50 PDUs" */
	BATCH_MOST = 100,  /* events of a room that one worker takes at a time */
	TXNS_AT_ONCE = 4,  /* of one origin; it should send one after the other */
	FAILURES_MOST = 3, /* of an event that fails by itself */
};
/* That an event waits for what nobody says they do not have. A server may be away for days. */
#define STAGED_LONGEST_MS (INT64_C(7) * 24 * 3600 * 1000)

struct bound { /* of what waits: how many events, how many bytes of theirs */
	size_t n, bytes;
};

struct inbound_origin {
	str name; /* follows the struct; its key in inbound.origins */
	int64_t nid;
	struct bound staged;
	unsigned under_way;  /* transactions */
	struct list waiting; /* struct staged.by_origin */
	size_t n_waiting, n_here;
	int64_t woken_us; /* what waits of it was asked for out of turn */
};

struct inbound_room {
	struct list runnable; /* in inbound.runnable */
	struct list napping;  /* in inbound.napping: with what waits, or that is tried again later */
	str room_id;          /* follows the struct; its key in inbound.rooms */
	int64_t nid;
	const struct room_version *rv;
	struct list ready, waiting; /* struct staged, in their order */
	struct map by_event_id;     /* struct staged; the first of each id */
	struct map awaited;         /* event id -> struct awaited */
	struct bound staged;
	size_t n_waiting;
	bool busy;        /* a worker has it */
	unsigned joining; /* what comes is kept until the room is there */
	int64_t again_us; /* not before; 0: any time */
	unsigned failures;
};

struct crowded { /* a room with many extremities, to be merged when its time comes */
	struct list node;
	int64_t due_us;
	bool newcomer; /* received.h */
	str room_id;   /* follows the struct */
};
struct awaited { /* an event that is not known, and who stands on it */
	struct list refs;
	str event_id; /* follows the struct */
};
struct ref {
	struct list node; /* in awaited.refs */
	struct staged *who;
	struct awaited *what;
};
struct staged {
	struct list node;      /* in room->ready or ->waiting; unlinked with a worker */
	struct list by_origin; /* waits: in origin->waiting */
	struct inbound_room *room;
	struct inbound_origin *origin;
	int64_t id;       /* its row */
	int64_t received; /* ms */
	size_t size;
	unsigned fetches, failures;
	bool waits, fetching;
	bool in_vain; /* nobody has what it lacks */
	bool hopes;   /* waits: for what is on its way */
	uint64_t looked_at;
	int64_t again_us; /* waits: looked at again then; 0: not */
	int64_t rest_us;  /* what was fetched did not help: nothing is fetched before then */
	struct ref *refs; /* waits: what for. n of them, `lacking` still are */
	size_t n_refs, lacking;
	str event_id; /* follows the struct */
};

enum pdu_outcome {
	PDU_STAGED,
	PDU_UNKNOWN_ROOM,
	PDU_NOT_IN_ROOM,
	PDU_DENIED, /* ACL */
	PDU_BAD,    /* format, hash, signature, key: event_check counts which */
	PDU_FULL,
	PDU_WITHDREW, /* ended an invitation */
	PDU_OUTCOMES
};
enum drop_reason { DROP_KNOWN, DROP_REFUSED, DROP_STRANDED, DROP_FULL, DROP_FAILED, DROP_NO_ROOM, DROP_REASONS };

struct inbound {
	struct inbound_options opt;
	bool (*begin)(void *ctx, const struct missing_want *want);
	void *begin_ctx;
	int64_t own;                 /* this server's name */
	struct waiting keys_waiting; /* by the server that sends */
	struct lock lock;
	struct cond work, idle;
	size_t n_busy; /* rooms that workers have */
	bool stopping;
	struct map rooms, origins; /* by text */
	struct map rooms_by_nid;
	struct map by_id; /* row -> struct staged */
	struct list runnable, napping;
	struct map crowded; /* room id -> struct crowded */
	struct list crowds; /* the same, the earliest first */
	struct bound staged;
	uint64_t looks; /* through those that hope: of the one under way, `looked_at` */
	atomic_size_t n_waiting;
	int64_t nap_until_us; /* the earliest of `napping`; INT64_MAX */
	struct thread **workers;
	unsigned n_workers;
};

/* Counted (inbound.c). */
void inbound_count(enum pdu_outcome what);
void inbound_count_dropped(enum drop_reason why);
void inbound_tell_size(const struct inbound *in); /* gauges. The lock is held */
void inbound_observe(int64_t received_ms);

/*
 * Queues (inbound_queue.c). The lock is held.
 */
struct inbound_room *inbound_room(struct inbound *in, str room_id, int64_t nid, const struct room_version *rv);
struct inbound_origin *inbound_origin(struct inbound *in, str name, int64_t nid);
/* Frees it if nothing is left of it. */
void inbound_room_done(struct inbound *in, struct inbound_room *room);
void inbound_origin_done(struct inbound *in, struct inbound_origin *origin);
/* Counted from now on; NULL: the room or all have enough. */
struct staged *staged_new(struct inbound *in, struct inbound_room *room, struct inbound_origin *origin, int64_t id,
			  str event_id, size_t size, int64_t received, bool anyhow);
/* Gone: who stands on it is looked at anew. */
void staged_free(struct inbound *in, struct staged *s);
/* To the end of what is ready. */
void staged_ready(struct inbound *in, struct staged *s);
/* Who has to go before it may wait: the oldest of the room, or of the origin, that has too many waiting; NULL: nobody.
 */
struct staged *staged_too_many(struct inbound *in, const struct staged *s);
/* Waits for these events. */
void staged_wait(struct inbound *in, struct staged *s, const str *missing, size_t n);
/* Does not wait any more. */
void staged_unwait(struct inbound *in, struct staged *s);
/* Is all that it waits for on its way already: staged, and ready, or waiting for what comes or is asked for, and not
 * for this one? */
bool staged_is_coming(struct inbound *in, const struct staged *s);
/* The origin is there, after all: what waits of it is asked for again, once in a while. */
void inbound_origin_talks(struct inbound *in, struct inbound_origin *origin);
void inbound_run(struct inbound *in, struct inbound_room *room); /* runnable, if it has anything */
void inbound_nap(struct inbound *in, struct inbound_room *room, int64_t until_us);
/* A room to merge now, mem_free'd by the caller; NULL: none. */
struct crowded *inbound_crowded_due(struct inbound *in, int64_t now);
/* A rooms_on_crowded function; the lock is not held. */
void inbound_note_crowded(void *in, str room_id, bool newcomer);
bool inbound_has_enough(const struct inbound *in, const struct inbound_origin *origin);

/* The event is known now: who waits for it is one further. A rooms_on_stored hook. */
void inbound_on_stored(void *in, const struct rooms_stored *ev);

/* A worker's life (inbound_work.c). */
void inbound_work(void *in);
/* Sleeps until no room is runnable or with a worker: what is left waits. For tests. */
void inbound_await_idle(struct inbound *in);
