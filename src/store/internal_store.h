/* internal_store.h - the store's own parts. Lock order: one at a time; none of them is held over SQL, but by `turn`. */
#pragma once

#include <stdatomic.h>

#include "base/lru.h"
#include "base/thread.h"
#include "store/fault.h"
#include "store/internal_driver.h"

struct writer; /* writer.c */

/* Connections to read from, most recently used first. */
struct read_pool {
	struct lock lock;
	struct cond freed;
	struct list idle;
	unsigned lent, n_idle, most;
};

/* Numbers reserved in the database, not given out yet. */
struct id_block {
	int64_t next, end;
};
struct id_source {
	struct lock lock;
	struct cond filled;
	struct id_block now, spare;
	bool filling;
	int64_t piece_count; /* what the reservation under way asks for */
};

struct intern_cache {
	struct lock lock;
	struct lru by_text;
	struct map by_id;
};

/*
 * Batches with positions commit in the order in which they got the lock on stream_head, and tell so in that order: each
 * takes a number while it has the lock, and waits for its turn after COMMIT.
 */
struct turns {
	struct lock lock; /* also the hook's */
	struct cond moved;
	int64_t given;
};

struct store {
	const struct driver *drv;
	void *drv_data;
	str path, conninfo; /* owned */
	unsigned n_writers;
	size_t queue_limit;
	struct writer *writers;
	struct read_pool pool;
	struct turns turns;
	struct id_source ids[SEQ_COUNT];
	struct intern_cache interned;
	uint8_t tree_key[16];
	int64_t epoch;
	_Atomic int64_t faults[FAULT_KINDS]; /* statements (commits ...) until one fails; 0: never */
	void (*hook)(void *ctx, int64_t position);
	void *hook_ctx;
};

/* Counts down; true when this one shall fail. */
bool store_fault_hits(struct store *st, enum store_fault what);

NODISCARD err *writers_start(struct store *st, struct arena *a);
void writers_stop(struct store *st); /* commits what is queued */
void turn_take(struct tx *tx);
void store_tell_position(struct store *st, int64_t position); /* calls the hook */
bool writer_is_here(const struct store *st); /* is this a writer's thread? It must not wait for itself */

/* The index of auth chains gets what it lacks: at opening (auth_fill.c). */
NODISCARD err *auth_fill(struct store *st, struct conn *c, struct arena *a);
/* One piece of it. */
NODISCARD err *auth_fill_step(struct tx *tx, bool *out_done);

void pool_init(struct read_pool *p, unsigned most);
void pool_done(struct store *st);

void ids_init(struct store *st);
void ids_done(struct store *st);
void intern_init(struct intern_cache *c);
void intern_done(struct intern_cache *c);
/* Makes what a new database lacks: epoch, tree key. */
NODISCARD err *meta_open(struct store *st, struct conn *c, struct arena *a);

/* Work done for this thread, counted (store_statements_here). */
struct work {
	uint64_t statements, commits;
	int64_t us;
};
struct work work_here(void);
void work_add(struct work w);
