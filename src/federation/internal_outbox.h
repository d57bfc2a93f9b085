/*
 * internal_outbox.h - a destination in memory, and what the files of the outbox share.
 *
 * One lock for all of it; the outbox's thread alone takes things out of a destination, makes transactions and looks
 * into the store, for which it drops the lock. Everybody else adds, and wakes it.
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "base/wheel.h"
#include "federation/outbox.h"
#include "store/outbox.h"

#include <stdatomic.h>

enum {
	/* "Transactions are limited in size; they can have at most 50 PDUs and 100 EDUs." */
	TXN_PDUS = 50,
	TXN_EDUS = 100,
	TXN_BYTES = 1 << 20, /* of a transaction's PDUs and EDUs; one event alone may be less than it is anyway */
	PENDING_MOST = 500,  /* events of a destination in memory; and in one look into the store */
	PENDING_ALL = 500000,
	CATCH_UP_ALL = 2000, /* more than these: the newest of each room */
	EDUS_MOST = 300,     /* of a destination */
	EDUS_ALL = 200000,   /* of all: beyond it those that fail get no more */
	EDUS_BYTES = 32 << 20,
	ROWS_KEPT = 1000,      /* durable EDUs of a kind that a destination can ask for anew (device lists) */
	MESSAGES_KEPT = 10000, /* messages to its devices */
	CACHE_BYTES = 16 << 20,
	CACHE_MS = 60000,
	IDLE_MOST = 10000,  /* destinations of whom there is nothing to know */
	FLIGHTS = 512,      /* under way at once; those that turned out to be slow not counted ... */
	FLIGHTS_FACTOR = 3, /* ... but no more of both than so many times as many: each is a descriptor */
	SLOW_MS = 5000,
	TICK_MS = 100,
	LINGER_MS = 1000, /* EDUs that may wait for company */
	SAVE_MS = 1000,
	LAG_MS = 10000,   /* what waits longer has a position of its own */
	STALE_MS = 30000, /* typing; presence ten times as long */
	PAUSE_LEAST_MS = 2000,
	PAUSE_MOST_MS = 3600000,
	HEARD_SHARE = 8,        /* of a pause of ours that has to be over before a word from there ends it ... */
	HEARD_MOST_MS = 300000, /* ... but not more of it than this */
	REPEAT_MS =
		600000,   /* so long a transaction is repeated as it was; afterwards what waits is put together anew */
	REFUSED_MOST = 3, /* 500 for one event alone, until it is taken for what is wrong */
	ANSWER_MS = 60000,
	HASTY_MS = 2 * SLOW_MS, /* for an answer, while as many are under way as may be without slow ones */
	PRUNE_SAVES = 60,
};
#define WEEK_MS INT64_C(604800000)

/* What the outbox needs of the network, so that tests can stand for it. */
struct outbox_wire {
	void *(*open)(void *ctx);
	void (*start)(void *batch, struct arena *a, struct fed_call *call, int64_t deadline_us);
	struct fed_call *(*next)(void *batch, int64_t until_us);
	void (*wake)(void *batch);
	void (*close)(void *batch);
	bool (*allowed)(void *ctx, str server_name);
	bool (*pauses)(void *ctx, str server_name, int64_t *out_until);
	err *(*status)(void *ctx, struct arena *a, str server_name, struct destination_status *out);
};
extern const struct outbox_wire outbox_wire_fed; /* ctx: the struct fed */

struct edu_body { /* shared by its destinations */
	unsigned refs;
	int64_t at;              /* ms */
	str name, type, content; /* name: type and key */
};
struct edu {
	struct list node;
	struct edu_body *body;
};

struct save;
struct sent;
struct txn;
struct destination {
	int64_t server;
	str name;          /* owned; STR_NONE until it is first spoken to */
	struct list queue; /* unlinked, or in one of the queues of those that may send */
	struct list all;   /* in o->busy or o->idle */
	bool is_idle;
	struct wheel_timer timer; /* its next turn; in flight: when that is slow */

	/* Events. Everything up to `position` is there; of what is above it, the transaction's first, then `pending`;
	 * behind: and more in the store. */
	struct outbox_event_row *pending; /* a ring would be no simpler: from `head`, n */
	size_t head, n, cap;
	int64_t position, waits_since; /* while something waits */
	bool behind;
	bool scanning; /* being looked up in the store; what comes meanwhile is put behind it */
	bool listed;   /* has a row of its own in outbox_behind, or is to get one by the save under way */
	int64_t saved_position, listed_since;

	bool has_rows; /* durable EDUs above rows_upto */
	int64_t rows_upto;
	struct list edus;
	struct map edus_by_name;
	size_t n_edus;
	int64_t edus_due; /* ms; 0: none */

	struct txn *txn;   /* under way, or to be repeated */
	struct txn *probe; /* an empty one under way */
	bool in_flight, doubtful_flight, slow_flight;
	bool hasty;       /* this flight is not waited for as long as others */
	bool anyway;      /* the next attempt asks no back-off */
	bool probing;     /* txn is one item that was refused: an empty one says whose fault it is */
	bool proven;      /* ... it was taken: if the item is refused again, it is the item's */
	unsigned most;    /* items in a transaction: fewer while what is refused is looked for */
	unsigned refused; /* how often the same was */
	int refused_status;
	int64_t failing_since, retry_at, pause_ms, last_sent; /* ms */
	int64_t paused_at; /* ms; since when it is left alone by ourselves, not by back-off or its own wish; else 0 */
	str last_error;    /* owned */
};

struct outbox {
	struct outbox_options opt;
	const struct outbox_wire *wire;
	void *wire_ctx, *batch;
	struct lock lock;
	struct map by_server, by_name;
	struct list ready, doubtful; /* struct destination by `queue` */
	struct list busy, idle;      /* by `all` */
	size_t n_idle, n_flights, n_doubtful_flights, n_slow_flights, n_items, n_edus, edu_bytes;
	_Atomic size_t n_failing;
	struct wheel wheel;
	int64_t told; /* the newest position that was told */
	bool sleeping, stopping;
	struct thread *thread;
	struct cond saved;
	char id_prefix[24];
	uint64_t next_txn;

	/* Saving */
	struct save *saving; /* under way; or NULL */
	int64_t save_at;     /* ms; 0: nothing to save */
	int64_t floor;       /* as saved */
	unsigned saves;
	int64_t *acked; /* ids of EDUs */
	size_t n_acked, cap_acked;
	struct outbox_bad_row *bad; /* errors owned */
	size_t n_bad, cap_bad;

	/* Of the thread alone */
	struct map sent;
	struct list sent_idle;
	size_t sent_bytes;
};

/* outbox.c; under the lock: the thread, where it sleeps. */
void outbox_wake(struct outbox *o);
/* Without it; ctx: the outbox. The server talks to us. */
void outbox_heard(void *ctx, str server_name);

/* outbox_destination.c; under the lock */
struct destination *destination_of(struct outbox *o, int64_t server);
void destination_free(struct outbox *o, struct destination *d);
void destination_named(struct outbox *o, struct destination *d, str name);
bool destination_has_events(const struct destination *d);
void destination_add(struct outbox *o, struct destination *d, const struct outbox_event_row *item);
/* Puts items before all others. */
void destination_unshift(struct outbox *o, struct destination *d, const struct outbox_event_row *items, size_t n);
void destination_drop_pending(struct outbox *o, struct destination *d);
void destination_add_edu(struct outbox *o, struct destination *d, struct edu_body *body);
struct edu_body *destination_take_edu(struct outbox *o, struct destination *d); /* NULL: none */
void destination_drop_edus(struct outbox *o, struct destination *d);
/* It is left alone until `until` (ms; 0: for a while, longer each time), and what waits is left in the store. why: NULL
 * where nothing new is known. */
void destination_failed(struct outbox *o, struct destination *d, const err *why, int64_t until);
/* It talks to us. Gives whether it is asked again now. */
bool destination_heard(struct outbox *o, struct destination *d);
void destination_recovered(struct outbox *o, struct destination *d);
/* Nothing waits for it any more. */
void destination_forget(struct outbox *o, struct destination *d);
void edu_unref(struct outbox *o, struct edu_body *body);
/* After each change: it is queued, or its timer is set, or it is idle. */
void destination_schedule(struct outbox *o, struct destination *d);
void destination_forget_idle(struct outbox *o);
/* Now, whatever was. anyway: also where back-off says no. */
void destination_attempt(struct outbox *o, struct destination *d, bool anyway);

/* outbox_save.c */
void save_soon(struct outbox *o); /* under the lock */
/* On the thread: what is to be saved, if it is time. */
void outbox_save_some(struct outbox *o);
void save_all(struct outbox *o);          /* at the end; waits */
int64_t save_due(const struct outbox *o); /* under the lock: when to call outbox_save_some, ms */
void save_free(struct outbox *o);
void save_edu_acked(struct outbox *o, int64_t id);
void save_bad(struct outbox *o, const struct outbox_bad_row *row); /* error borrowed */

struct save { /* one piece; in its own arena */
	struct outbox *o;
	struct arena *a;
	struct outbox_save rows;
	bool prune;
	bool ended, failed; /* o->lock */
	int64_t again_at;   /* ms, when it failed */
};

/* What is counted. */
struct outbox_metrics {
	struct metric *good, *failed, *refused, *pdus, *edus, *rows, *pdu_errors, *left_out, *edus_dropped,
		*messages_dropped, *failing, *destinations;
};
extern struct outbox_metrics outbox_metrics;
