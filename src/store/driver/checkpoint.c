/*
 * checkpoint.c - moving what was committed from the WAL into the database file, beside the writer.
 *
 * A checkpoint costs two fsyncs and a lot of scattered writes; in a COMMIT, where SQLite would do it, a hundred waiting
 * senders would feel it. So it has a thread and a connection. A passive checkpoint disturbs nobody, but the WAL starts again
 * from its beginning only when all of it was moved and nobody reads from it: under a load that never pauses, the writer is
 * always some frames ahead and the file would grow for ever. Past twice the usual length the checkpointer therefore
 * shuts the writer's gate between two batches, moves the short rest, and waits (bounded) for readers of the WAL to leave.
 *
 * The same thread keeps the WAL longer than what is written in it. A COMMIT that makes a file longer has to write the file's
 * new length to the disk as well, in a place of its own: on ext4 that costs twice the CPU and twice the wait of one that
 * writes over blocks which are there. So zeros are put behind the end in time, with the gate shut: SQLite
 * ends its reading of a WAL at the first frame with a wrong checksum, as it has to do with what an earlier round left there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "store/driver/internal_sqlite.h"

enum { FAR_TOO_LONG = 2 * CHECKPOINT_PAGES, READERS_MAY_TAKE_MS = 200 };
enum { FRAME = 4096 + 24, AHEAD = 512 << 10, STEP_LEAST = 2 << 20, STEP_MOST = 8 << 20 };

struct checkpointer {
	sqlite3 *db;
	char *wal; /* the file's name */
	struct thread *thread;
	struct lock lock;
	struct cond changed;
	int wal_pages;    /* for the thread; 0: nothing to do */
	int seen, next;   /* pages at the last commit; at how many the thread is woken */
	int64_t reserved; /* the file's length, as far as is known */
	bool reserve;     /* for the thread: it is nearly full */
	bool stop;
	bool writing, shut; /* the gate */
	bool gated;         /* whoever writes comes through it: not yet while the schema is made */
};

void checkpointer_wal_grew(struct checkpointer *c, int pages)
{
	LOCKED(&c->lock);
	if (pages < c->seen)
		c->next = CHECKPOINT_PAGES; /* it began again */
	c->seen = pages;
	if (c->gated && (int64_t)pages * FRAME + AHEAD > c->reserved && !c->reserve) {
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
	c->writing = c->gated = true;
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

/* Puts zeros behind the file's end, and returns its length. Where that fails (a full disk) commits are just dearer. */
static int64_t lengthen(int fd)
{
	static const char zeros[64 << 10];
	struct stat st;
	int64_t end, until;

	if (fstat(fd, &st) != 0)
		return INT64_MAX;
	until = st.st_size + MIN(MAX(st.st_size / 2, STEP_LEAST), STEP_MOST);
	for (end = st.st_size; end < until; end += (int64_t)sizeof(zeros))
		if (pwrite(fd, zeros, sizeof(zeros), end) != (ssize_t)sizeof(zeros))
			return INT64_MAX;
	return end;
}

static void reserve(struct checkpointer *c)
{
	const int fd = open(c->wal, O_WRONLY | O_CLOEXEC);
	int64_t reserved = INT64_MAX;

	if (fd >= 0) {
		gate_shut(c, true); /* nobody else writes behind the end */
		reserved = lengthen(fd);
		gate_shut(c, false);
		(void)fdatasync(fd); /* here, and not in the next COMMIT */
		close(fd);
	}
	LOCKED(&c->lock);
	c->reserved = reserved;
	c->reserve = false;
}

static void checkpointer_main(void *arg)
{
	struct checkpointer *c = arg;

	for (;;) {
		bool nearly_full;
		int wal_pages;

		lock_take(&c->lock);
		while (!c->wal_pages && !c->reserve && !c->stop)
			cond_wait(&c->changed, &c->lock);
		wal_pages = c->wal_pages;
		nearly_full = c->reserve;
		c->wal_pages = 0;
		if (c->stop) {
			lock_drop(&c->lock);
			return;
		}
		lock_drop(&c->lock);
		if (nearly_full)
			reserve(c);
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
	c->wal = mem_alloc(st->path.n + sizeof("-wal"));
	snprintf(c->wal, st->path.n + sizeof("-wal"), "%.*s-wal", STR_ARG(st->path));
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
	mem_free(c->wal);
	cond_done(&c->changed);
	lock_done(&c->lock);
	mem_free(c);
	*cp = NULL;
}
