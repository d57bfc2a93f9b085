/*
 * internal_driver.h - what a database has to be able to do.
 *
 * A driver knows connections, statements and rows; what a batch, a ticket or a pool is, it does not know. The files
 * above it (tx.c, writer.c, reader.c, migrate.c) are the same for both databases.
 */
#pragma once

#include "base/list.h"
#include "store/tx.h"

struct conn; /* a driver's own; begins with struct conn_base */
struct conn_base {
	const struct driver *drv;
	struct store *st;
	struct list node; /* among the idle ones of the read pool */
};

enum conn_use { CONN_WRITE, CONN_READ };
enum conn_health {
	CONN_GOOD,   /* the transaction goes on; a failed statement left nothing behind */
	CONN_SPOILT, /* the transaction has to be rolled back (to a savepoint, or whole) */
	CONN_CLASH,  /* it lost against another writer (deadlock, serialisation): roll back and try again */
	CONN_LOST,   /* the connection is gone: the transaction is, too, unless it was in its COMMIT */
};
enum commit_outcome {
	COMMIT_DONE,
	COMMIT_FAILED,      /* and rolled back: nothing of it is there */
	COMMIT_NEVER_BEGAN, /* an earlier statement turns out to have failed: the transaction is still to be rolled back
			     */
	COMMIT_UNCERTAIN,   /* the connection went away: ask `settle_commit` of a new one */
};

struct tx {
	struct store *st;
	struct conn *conn;
	struct arena *arena;
	struct list open_rows; /* those not ended yet */
	struct tx *outer;      /* of the same thread: a read within a read */
	struct writer *writer; /* NULL: reading */
	bool in_late;
	bool wrote;  /* rows changed (or may have) since the piece began */
	bool doomed; /* an injected fault hit this piece: it fails, however often it is run */
	/* Positions reserved and not yet given out: next <= top. top is what stream_head says then. */
	int64_t next_position, top_position;
	int64_t expected_positions; /* how many to reserve at a time */
};

struct rows {
	struct list node;
	struct tx *tx;
	void *handle; /* the driver's */
	int64_t at;   /* the driver's */
	bool ended;
	err *error;
};

/* Text is borrowed from the driver until the next row; the callers copy. */
struct driver {
	const char *name;
	/* Once per store: files and locks, threads of the driver's own. */
	err *(*open)(struct store *st, struct arena *a);
	void (*close)(struct store *st);
	err *(*connect)(struct store *st, struct arena *a, enum conn_use use, struct conn **out);
	void (*disconnect)(struct conn **c);
	enum conn_health (*health)(struct conn *c);

	/* Nobody else migrates between these two. Script: several statements, outside of any transaction of ours. */
	err *(*migrate_lock)(struct conn *c, struct arena *a);
	err *(*migrate_unlock)(struct conn *c, struct arena *a);
	err *(*script)(struct conn *c, struct arena *a, const char *sql);

	err *(*begin)(struct tx *tx);
	/* *why is made for all outcomes but the first. */
	enum commit_outcome (*commit)(struct tx *tx, err **why);
	/* Did the commit of `before` take place? Asked on a new connection; false in *out_known: nobody can say. */
	bool (*settle_commit)(struct conn *c, struct conn *before, struct arena *a, bool *out_known);
	void (*rollback)(struct tx *tx); /* never fails: a connection that cannot is lost */
	err *(*savepoint)(struct tx *tx);
	err *(*savepoint_keep)(struct tx *tx);
	err *(*savepoint_undo)(struct tx *tx);
	/* Waits until everything run so far is known to have worked, or says what has not. */
	err *(*check)(struct tx *tx);

	err *(*run)(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_changed);
	err *(*query)(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct rows *rs);
	bool (*next)(struct rows *rs);
	void (*end)(struct rows *rs);
	int (*columns)(const struct rows *rs);
	bool (*is_null)(const struct rows *rs, int col);
	int64_t (*number)(const struct rows *rs, int col);
	str (*bytes)(const struct rows *rs, int col);
};

extern const struct driver driver_sqlite, driver_pg;

static inline const struct driver *conn_driver(const struct conn *c) { return ((const struct conn_base *)c)->drv; }

/* A transaction on a connection, for the store's own use (opening, migrating). */
struct tx tx_plain(struct store *st, struct conn *c, struct arena *a);
/* Ends the rows a function left open. */
void tx_close_rows(struct tx *tx);
/* The innermost transaction of this thread on this store, or NULL. */
struct tx *tx_here(const struct store *st);
void tx_enter(struct tx *tx);
void tx_leave(struct tx *tx);
