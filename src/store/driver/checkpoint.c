/*
 * checkpoint.c - moving what was committed from the WAL into the database file, beside the writer.
 *
 * A checkpoint costs two fsyncs and a lot of scattered writes; in a COMMIT, where SQLite would do it, a hundred waiting
 * senders would feel it. So it has a thread and a connection. A passive checkpoint disturbs nobody, but the WAL starts again
 * from its beginning only when all of it was moved and nobody reads from it: under a load that never pauses, the writer is
 * always some frames ahead and the file would grow for ever. Past twice the usual length the checkpointer therefore
 * shuts the writer's gate between two batches, moves the short rest, and waits (bounded) for readers of the WAL to leave.
 */
#include "base/arena.h"
#include "store/driver/internal_sqlite.h"

enum { FAR_TOO_LONG = 2 * CHECKPOINT_PAGES, READERS_MAY_TAKE_MS = 200 };

struct checkpointer {
	sqlite3 *db;
	struct thread *thread;
	struct lock lock;
	struct cond changed;
	int wal_pages;  /* for the thread; 0: nothing to do */
	int seen, next; /* pages at the last commit; at how many the thread is woken */
	bool stop;
	bool writing, shut; /* the gate */
};

void checkpointer_wal_grew(struct checkpointer *c, int pages)
{
	LOCKED(&c->lock);
	if (pages < c->seen)
		c->next = CHECKPOINT_PAGES; /* it began again */
	c->seen = pages;
	if (pages < c->next)
		return;
	c->wal_pages = pages;
	c->next = pages + CHECKPOINT_PAGES;
	cond_broadcast(&c->changed);
}

void checkpointer_gate_enter(struct checkpointer *c)
{
	LOCKED(&c->lock);
	while (c->shut)
		cond_wait(&c->changed, &c->lock);
	c->writing = true;
}

void checkpointer_gate_leave(struct checkpointer *c)
{
	LOCKED(&c->lock);
	c->writing = false;
	if (c->shut)
		cond_broadcast(&c->changed);
}

static void gate_shut(struct checkpointer *c, bool shut)
{
	LOCKED(&c->lock);
	c->shut = shut;
	cond_broadcast(&c->changed);
	while (shut && c->writing)
		cond_wait(&c->changed, &c->lock);
}

/* Errors are left alone: the WAL keeps everything, and the next commit calls again. */
static void checkpoint(struct checkpointer *c, int wal_pages)
{
	int pages = 0, moved = 0;

	if (sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved) != SQLITE_OK)
		return;
	if (wal_pages < FAR_TOO_LONG)
		return;
	gate_shut(c, true);
	sqlite3_busy_timeout(c->db, READERS_MAY_TAKE_MS);
	sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_RESTART, &pages, &moved);
	gate_shut(c, false);
}

static void checkpointer_main(void *arg)
{
	struct checkpointer *c = arg;

	for (;;) {
		int wal_pages;

		lock_take(&c->lock);
		while (!c->wal_pages && !c->stop)
			cond_wait(&c->changed, &c->lock);
		wal_pages = c->wal_pages;
		c->wal_pages = 0;
		if (c->stop)
			wal_pages = 0;
		lock_drop(&c->lock);
		if (!wal_pages)
			return;
		checkpoint(c, wal_pages);
	}
}

err *checkpointer_start(struct store *st, struct arena *a, struct checkpointer **out)
{
	struct checkpointer *c;
	sqlite3 *db;

	TRY(sqlite_open_db(st, a, 256, &db));
	if (sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) != SQLITE_OK) {
		err *e = sqlite_err(a, db, "journal_mode=WAL");

		sqlite3_close(db);
		return e;
	}
	c = MEM_NEW(struct checkpointer);
	c->db = db;
	c->next = CHECKPOINT_PAGES;
	lock_init(&c->lock, RANK_STORE);
	cond_init(&c->changed);
	c->thread = thread_start("checkpoint", checkpointer_main, c);
	*out = c;
	return NULL;
}

void checkpointer_stop(struct checkpointer **cp)
{
	struct checkpointer *c = *cp;

	if (!c)
		return;
	lock_take(&c->lock);
	c->stop = true;
	cond_broadcast(&c->changed);
	lock_drop(&c->lock);
	thread_join(&c->thread);
	sqlite3_close(c->db);
	cond_done(&c->changed);
	lock_done(&c->lock);
	mem_free(c);
	*cp = NULL;
}
