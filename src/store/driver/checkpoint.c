/*
 * checkpoint.c - moving what was committed from the WAL into the database file, beside the writer.
 *
 * A checkpoint costs two fsyncs and a lot of scattered writes; in a COMMIT, where SQLite would do it, a hundred waiting
 * senders would feel it. So it has a thread and a connection. A passive checkpoint disturbs nobody, but the WAL starts
 * again from its beginning only when all of it was moved and nobody reads from it: under a load that never pauses, the
 * writer is always some frames ahead and the file would grow for ever. Past twice the usual length the checkpointer
 * therefore shuts the writer's gate between two batches, moves the short rest, and waits (bounded) for readers of the
 * WAL to leave.
 *
 * The same thread keeps the WAL longer than what is written in it. A COMMIT that makes a file longer has to write the
 * file's new length to the disk as well, in a place of its own: on ext4 that costs half as much CPU again and twice the
 * wait of one that writes over blocks which are there. So zeros are put behind the end in time.
 *
 * Why that is safe. Whoever appends frames, starts the WAL again from its beginning, truncates it or recovers it holds
 * SQLite's write lock: a writer of this process, the checkpointer, or an operator's `sqlite3` in another one. The zeros
 * are written between BEGIN IMMEDIATE and ROLLBACK, that is under this lock, through SQLite's own handle, from where
 * the file ends then: nobody has a frame there, or is about to put one. Readers and checkpoints go by the index and
 * never look behind its last frame. Recovery, after a crash, ends at the first frame that is not valid, and one that is
 * for page 0 never is. The gate is only good manners: our own writer would lose a millisecond by finding the lock
 * taken.
 */
#include <assert.h>

#include "base/arena.h"
#include "store/driver/internal_sqlite.h"

enum { FAR_TOO_LONG = 2 * CHECKPOINT_PAGES, READERS_MAY_TAKE_MS = 200 };
enum { FRAME = 4096 + 24, AHEAD = 512 << 10, STEP_LEAST = 2 << 20, STEP_MOST = 8 << 20 };

struct checkpointer {
	sqlite3 *db;
	struct thread *thread;
	struct lock lock;
	struct cond changed;
	int wal_pages;    /* for the thread; 0: nothing to do */
	int seen, next;   /* pages at the last commit; at how many the thread is woken */
	int64_t reserved; /* the file's length, as far as is known */
	bool reserve;     /* for the thread: it is nearly full */
	bool stop;
	bool writing, shut; /* the gate */
};

void checkpointer_wal_grew(struct checkpointer *c, int pages)
{
	LOCKED(&c->lock);
	if (pages < c->seen) { /* it began again, and may have been cut short */
		c->next = CHECKPOINT_PAGES;
		c->reserved = 0;
	}
	c->seen = pages;
	if ((int64_t)pages * FRAME + AHEAD > c->reserved && !c->reserve) {
		c->reserve = true;
		cond_broadcast(&c->changed);
	}
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
	sqlite3_busy_timeout(c->db, READERS_MAY_TAKE_MS); /* reserve() sets it, too */
	sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_RESTART, &pages, &moved);
	gate_shut(c, false);
}

/* Puts zeros behind the file's end unless it is far enough from what is written. Under SQLite's write lock. */
static int lengthen(sqlite3_file *wal, int64_t written, int64_t *out_end)
{
	static const char zeros[64 << 10];
	sqlite3_int64 end;
	int rc = wal->pMethods->xFileSize(wal, &end);

	if (rc == SQLITE_OK && end <= written + AHEAD) {
		const int64_t until = end + MIN(MAX(end / 2, STEP_LEAST), STEP_MOST);

		for (; rc == SQLITE_OK && end < until; end += (int64_t)sizeof(zeros))
			rc = wal->pMethods->xWrite(wal, zeros, sizeof(zeros), end);
	}
	*out_end = end;
	return rc;
}

/* An error is no harm: commits are just dearer. Somebody else is writing: the next commit asks again. */
static void reserve(struct checkpointer *c, int64_t written)
{
	sqlite3_file *wal = NULL;
	int64_t reserved = 0;

	gate_shut(c, true);
	sqlite3_busy_timeout(c->db, 0);
	if (sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
		int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

		if (rc != SQLITE_OK || !wal || !wal->pMethods || lengthen(wal, written, &reserved) != SQLITE_OK)
			reserved = INT64_MAX; /* a full disk: not again before the WAL's next round */
		rc = sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
		assert(rc == SQLITE_OK);
	}
	gate_shut(c, false);
	if (reserved > 0 && reserved < INT64_MAX)
		(void)wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL); /* here, and not in the next COMMIT */
	LOCKED(&c->lock);
	c->reserved = reserved;
	c->reserve = false;
}

static void checkpointer_main(void *arg)
{
	struct checkpointer *c = arg;

	for (;;) {
		bool nearly_full;
		int wal_pages, seen;

		lock_take(&c->lock);
		while (!c->wal_pages && !c->reserve && !c->stop)
			cond_wait(&c->changed, &c->lock);
		wal_pages = c->wal_pages;
		nearly_full = c->reserve;
		seen = c->seen;
		c->wal_pages = 0;
		if (c->stop) {
			lock_drop(&c->lock);
			return;
		}
		lock_drop(&c->lock);
		if (nearly_full)
			reserve(c, (int64_t)seen * FRAME);
		if (wal_pages)
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
