/*
 * store.h - what the server remembers: opening it, writing to it, reading from it.
 *
 * Writing. A write is a `struct piece`: functions and their argument. One writer thread (SQLite), or one of k
 * (PostgreSQL, chosen by `shard`, so that a room's pieces keep their order), runs what is queued, commits once for the
 * whole batch, and only then answers. A piece that fails is rolled back alone; a commit that fails fails every piece of
 * the batch. No piece may hold the writer over 20 ms. A piece may be RUN MORE THAN ONCE before it is answered (when
 * another one spoilt the batch, or the connection went away): what it keeps in its argument must be set anew by each
 * run.
 *
 * Reading. store_read gives a transaction on a pooled connection: a snapshot for one chunk of work, never held over a
 * park, a slow reader or the network.
 *
 * SQL stays in this room: tables have a file each, with functions named in the server's words, built on store/tx.h.
 */
#pragma once

#include "base/err.h"

struct store;
struct tx;
struct ticket;

struct store_options {
	enum { STORE_SQLITE, STORE_PG } driver;
	str path;           /* SQLite: the database file */
	str conninfo;       /* PostgreSQL: a libpq connection string */
	unsigned readers;   /* most read connections at once (0: chosen by the store) */
	unsigned writers;   /* PostgreSQL: writer connections (0: chosen by the store) */
	size_t queue_limit; /* pieces waiting; past it store_write says ERR_BUSY (0: chosen by the store) */
};

/* Opens and migrates. ERR_STORE with words for the operator: locked by another process, made by a newer version, ... */
NODISCARD err *store_open(struct arena *a, const struct store_options *opt, struct store **out);
/* Commits what is queued, then closes. */
void store_close(struct store **st);

typedef err *store_fn(struct tx *tx, void *arg);
struct piece {
	store_fn *run;  /* or NULL. Rows that carry no stream position */
	store_fn *late; /* or NULL. Rows with positions (tx_position): runs after every piece of the batch has run, so
			 * that the lock on the positions is held for the shortest time */
	/* or NULL. On the writer thread, in commit order: after the commit with result NULL; or with why not, before
	 * any later piece of the same shard runs. Must be quick: it holds up the writer. */
	void (*after)(void *arg, const err *result);
	void *arg;         /* lives until `after` has returned, or the ticket was waited for */
	int64_t positions; /* how many `late` takes, so that they are reserved at once; 0: one */
	int64_t shard;     /* pieces of one shard commit in the order queued: a room's number, or 0 */
};

/* Queues. With a ticket the caller must store_wait; NULL: nobody waits. ERR_BUSY: the queue is full (nothing queued).
 */
NODISCARD err *store_write(struct store *st, struct arena *a, const struct piece *p, struct ticket **out_ticket);
/* Blocks until the batch is on disk, or says why it is not (in arena a). Frees the ticket. */
NODISCARD err *store_wait(struct arena *a, struct ticket *ticket);
/* Both in one. */
NODISCARD err *store_do(struct store *st, struct arena *a, store_fn *run, void *arg);

/* A snapshot to read from; rows live in arena a. Ends with the scope: AUTO_TX tx = NULL; TRY(store_read(st, a, &tx));
 */
NODISCARD err *store_read(struct store *st, struct arena *a, struct tx **out);
void store_read_end(struct tx **tx);
#define AUTO_TX CLEANUP(store_read_end) struct tx *

/*
 * Called on the writer thread after each commit that took positions, with the highest one: after the pieces' `after`
 * (which tell the bus what changed), before the tickets are answered (who was told "done" sees it in the next /sync).
 * In order of positions, with several writers too: whoever reads a position from the bus knows every change up to it.
 */
void store_on_commit(struct store *st, void (*hook)(void *ctx, int64_t position), void *ctx);
/* The highest position of the snapshot. */
NODISCARD err *store_stream_head(struct tx *tx, int64_t *out);

/*
 * Numbers that are unique for ever, without asking the database each time (blocks are reserved; a restart leaves gaps).
 * May wait for a commit when a block runs out: never call under a room's lock... the block is topped up early, so that
 * within a request it does not run dry.
 */
enum store_seq { SEQ_EVENT, SEQ_MISC, SEQ_INTERN /* the store's own */, SEQ_COUNT };
NODISCARD err *store_next_id(struct store *st, struct arena *a, enum store_seq seq, size_t count, int64_t *out_first);

/*
 * Interned text: users, rooms, types, state keys share one space of numbers (from 1). Known ones come from a cache
 * without SQL; new ones are made durable first (waits for a commit: never under a room's lock).
 */
NODISCARD err *store_intern(struct store *st, struct arena *a, str text, int64_t *out);
/* Several: those that are new wait for one commit together. */
struct store_text {
	str text;
	int64_t *nid; /* set */
};
NODISCARD err *store_intern_all(struct store *st, struct arena *a, const struct store_text *texts, size_t n);
/* In a piece: a text that nobody else can be interning (a new room's id), under a number drawn from SEQ_INTERN before.
 * Costs no commit of its own. ERR_STORE: it has a number already. */
NODISCARD err *store_intern_new(struct tx *tx, str text, int64_t id);
/* Without making it: 0 when the text was never interned. */
NODISCARD err *store_intern_find(struct store *st, struct arena *a, str text, int64_t *out);
/* The text of a number, in arena a; ERR_INTERNAL when there is none. Cached. */
NODISCARD err *store_intern_text(struct store *st, struct arena *a, int64_t nid, str *out);
/* Of many, one for each place: what is not in the cache costs a statement a thousand. */
NODISCARD err *store_intern_texts(struct store *st, struct arena *a, const int64_t *nids, size_t n, str *out);

/* A secret of this database, made at its first opening: places leaves in the state trees. */
void store_tree_key(const struct store *st, uint8_t out[16]);
/* Which history positions count in: drawn when the database was made. A token of another epoch says nothing here. */
int64_t store_epoch(const struct store *st);
/* Statements run since start by this thread, or for it (store_wait adds its piece's): for counts asserted in tests and
 * per-route metrics. */
uint64_t store_statements_here(void);
uint64_t store_commits_here(void); /* that the thread waited for */
int64_t store_sql_us_here(void);
