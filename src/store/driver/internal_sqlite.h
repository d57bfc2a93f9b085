/* internal_sqlite.h - shared by the files of the SQLite driver. */
#pragma once

#include <sqlite3.h>

#include "base/map.h"
#include "base/thread.h"
#include "store/driver/internal_sql.h"
#include "store/internal_store.h"

enum { CHECKPOINT_PAGES = 16000 };

/* Per store (store->drv_data). */
struct sqlite_store {
	int lock_fd; /* held against a second process */
	struct checkpointer *checkpointer;
};

/* Virtual tables list(?) and zip(?, ...): the values of bound lists. */
#define SQLITE_LIST_TYPE "hearth-list"
struct sqlite_list {
	struct strs strs; /* one of the two */
	struct i64s ints;
};
int sqlite_list_register(sqlite3 *db);

/* Opens the database file on a connection with the settings all share. */
NODISCARD err *sqlite_open_db(const struct store *st, struct arena *a, int cache_kib, sqlite3 **out);
err *sqlite_err(struct arena *a, sqlite3 *db, const char *what);

/* checkpoint.c: a thread with a connection of its own. */
NODISCARD err *checkpointer_start(struct store *st, struct arena *a, struct checkpointer **out);
void checkpointer_stop(struct checkpointer **c);
void checkpointer_wal_grew(struct checkpointer *c, int pages); /* after a commit: how long the WAL is */
/* The writer holds the gate from BEGIN to COMMIT; the checkpointer takes it when the WAL got far too long. */
void checkpointer_gate_enter(struct checkpointer *c);
void checkpointer_gate_leave(struct checkpointer *c);
