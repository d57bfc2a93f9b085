/*
 * writer.c - group commit: what is queued runs in one transaction, is committed once, and only then answered.
 *
 * There is no delay to gather pieces: a piece that comes alone is committed alone, and while a COMMIT waits for the disk
 * the next batch gathers by itself. The faster the disk, the smaller the batches.
 *
 * A batch is tried in up to three ways, each more careful and dearer than the one before:
 *
 *   together   every `run`, then every `late`, then COMMIT; no savepoints. A piece that fails before it wrote anything is
 *              simply left out. One that fails later spoils the transaction, which is rolled back and tried
 *   apart      with a savepoint around each piece (run and late at once): only the failing ones are undone. A transaction
 *              that lost against another writer (PostgreSQL: deadlock) is tried
 *   alone      each piece a batch of its own, as often as needed.
 *
 * So a piece may be run more than once before it is answered, and whatever it keeps in its argument must allow for that. What
 * it is told is final: `after` runs once, when it failed for good (at that moment, so that later pieces of its shard can know)
 * or when the COMMIT is through, in the order of the batch.
 */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "store/internal_store.h"

enum { MAX_BATCH = 512, MAX_TRIES = 8, BATCH_MAY_RUN_US = 50000, DEFAULT_PG_WRITERS = 4, DEFAULT_QUEUE_LIMIT = 20000 };

struct ticket {
	struct lock lock;
	struct cond done_cond;
	bool done;
	struct arena *arena; /* holds `result`, when there is one */
	err *result;
	struct work work;
};

struct queued {
	struct list node;
	struct piece piece;
	struct ticket *ticket; /* NULL: nobody waits */
	bool answered, doomed;
	struct work work;
};

struct writer {
	struct store *st;
	struct thread *thread;
	struct conn *conn;
	struct lock lock; /* queue, n_queued, stop, gone */
	struct cond filled;
	struct list queue;
	size_t n_queued;
	bool stop, gone;
	/* The thread's own: */
	struct arena *arena; /* of one batch */
	struct queued *batch[MAX_BATCH];
	size_t n_batch;
	err *why; /* the last failure of this batch as a whole */
	/* This batch's place among those with positions, -1: none. Under store->turns.lock. */
	int64_t turn;
};

enum manner { TOGETHER, APART };
enum ending { ENDED, SPOILT, CLASHED, LOST };

static _Thread_local struct writer *writer_here;

bool writer_is_here(const struct store *st) { return writer_here && writer_here->st == st; }

/*
 * Turns: see internal_store.h
 */
void turn_take(struct tx *tx)
{
	struct turns *t = &tx->st->turns;

	LOCKED(&t->lock);
	if (tx->writer->turn < 0)
		tx->writer->turn = t->given++;
}

static bool somebody_is_before(const struct writer *w)
{
	for (unsigned i = 0; i < w->st->n_writers; i++) {
		const int64_t turn = w->st->writers[i].turn;

		if (turn >= 0 && turn < w->turn)
			return true;
	}
	return false;
}

/* Only after COMMIT, when this transaction keeps nobody waiting any more. */
static void turn_wait(struct writer *w)
{
	struct turns *t = &w->st->turns;

	LOCKED(&t->lock);
	while (w->turn >= 0 && somebody_is_before(w))
		cond_wait(&t->moved, &t->lock);
}

static void turn_pass(struct writer *w)
{
	struct turns *t = &w->st->turns;

	LOCKED(&t->lock);
	if (w->turn >= 0)
		cond_broadcast(&t->moved);
	w->turn = -1;
}

/*
 * Answers
 */
static void ticket_free(struct ticket *t)
{
	arena_free(&t->arena);
	cond_done(&t->done_cond);
	lock_done(&t->lock);
	mem_free(t);
}

static struct ticket *ticket_new(void)
{
	struct ticket *t = MEM_NEW(struct ticket);

	lock_init(&t->lock, RANK_TICKET);
	cond_init(&t->done_cond);
	return t;
}

static void tell(struct queued *q, const err *result)
{
	assert(!q->answered);
	q->answered = true;
	if (q->piece.after)
		q->piece.after(q->piece.arg, result);
}

/* The ticket may be gone when this returns: whoever waited frees it. */
static void release(struct queued *q, const err *result)
{
	struct ticket *t = q->ticket;

	if (!t)
		return;
	q->ticket = NULL;
	if (result) {
		t->arena = arena_new();
		t->result = err_keep(t->arena, result);
	}
	t->work = q->work;
	LOCKED(&t->lock);
	t->done = true;
	cond_signal(&t->done_cond);
}

static void fail(struct queued *q, const err *why)
{
	tell(q, why);
	release(q, why);
}

static void fail_all(struct writer *w, const err *why)
{
	for (size_t i = 0; i < w->n_batch; i++)
		if (!w->batch[i]->answered)
			fail(w->batch[i], why);
}

/* What changed is told to all before the position moves, and that before anybody hears "done". */
static void succeed_all(struct writer *w, int64_t position)
{
	for (size_t i = 0; i < w->n_batch; i++)
		if (!w->batch[i]->answered)
			tell(w->batch[i], NULL);
	if (position)
		store_tell_position(w->st, position);
	for (size_t i = 0; i < w->n_batch; i++)
		release(w->batch[i], NULL);
}

/*
 * Trying a batch
 */
static err *run_part(struct tx *tx, struct queued *q, store_fn *fn, bool late)
{
	const struct work before = work_here();
	struct work after;
	err *e;

	if (!fn)
		return NULL;
	tx->wrote = tx->doomed = false;
	tx->in_late = late;
	e = q->doomed ? err_new(tx->arena, ERR_STORE, "fault ordered by a test") : fn(tx, q->piece.arg);
	tx->in_late = false;
	tx_close_rows(tx);
	q->doomed |= tx->doomed;
	if (!e && tx->doomed)
		e = err_new(tx->arena, ERR_STORE, "fault ordered by a test");
	after = work_here();
	q->work.statements += after.statements - before.statements;
	q->work.us += after.us - before.us;
	return e;
}

static enum ending spoilt(struct writer *w, err *why)
{
	const enum conn_health h = w->st->drv->health(w->conn);

	w->why = why;
	return h == CONN_LOST ? LOST : h == CONN_CLASH ? CLASHED : SPOILT;
}

static int64_t count_late(const struct writer *w)
{
	int64_t n = 0;

	for (size_t i = 0; i < w->n_batch; i++)
		n += !w->batch[i]->answered && w->batch[i]->piece.late;
	return n;
}

/* The rest of the batch goes back to the front of the queue: this one has run long enough. */
static void put_back_from(struct writer *w, size_t i)
{
	LOCKED(&w->lock);
	while (w->n_batch > i) {
		list_add_head(&w->queue, &w->batch[--w->n_batch]->node);
		w->n_queued++;
	}
}

static enum ending run_together(struct writer *w, struct tx *tx)
{
	const int64_t enough = clock_mono_us() + BATCH_MAY_RUN_US;
	const struct driver *drv = w->st->drv;

	for (size_t i = 0; i < w->n_batch; i++) {
		struct queued *q = w->batch[i];
		err *e = q->answered ? NULL : run_part(tx, q, q->piece.run, false);

		if (e && (tx->wrote || drv->health(w->conn) != CONN_GOOD))
			return spoilt(w, e);
		if (e)
			fail(q, e);
		if (i + 1 < w->n_batch && clock_mono_us() > enough)
			put_back_from(w, i + 1);
	}
	tx->expected_positions = count_late(w);
	for (size_t i = 0; i < w->n_batch; i++) {
		struct queued *q = w->batch[i];
		err *e = q->answered ? NULL : run_part(tx, q, q->piece.late, true);

		if (e)
			return spoilt(w, e);
	}
	return ENDED;
}

/* Undoes one piece, and what it reserved: a reservation made since the savepoint is gone, and the lock with it. */
static err *undo_piece(struct writer *w, struct tx *tx, const struct tx *before)
{
	TRY(w->st->drv->savepoint_undo(tx));
	if (tx->top_position != before->top_position) {
		tx->next_position = before->next_position;
		tx->top_position = before->top_position;
		if (!before->top_position)
			turn_pass(w);
	}
	return NULL;
}

static enum ending run_apart(struct writer *w, struct tx *tx)
{
	const struct driver *drv = w->st->drv;

	tx->expected_positions = 1;
	for (size_t i = 0; i < w->n_batch; i++) {
		struct queued *q = w->batch[i];
		const struct tx before = *tx;
		err *e;

		if (q->answered)
			continue;
		e = drv->savepoint(tx);
		if (e)
			return spoilt(w, e);
		e = run_part(tx, q, q->piece.run, false);
		if (!e)
			e = run_part(tx, q, q->piece.late, true);
		if (!e)
			e = drv->check(tx);
		if (!e)
			e = drv->savepoint_keep(tx);
		if (!e)
			continue;
		if (drv->health(w->conn) >= CONN_CLASH || undo_piece(w, tx, &before) != NULL)
			return spoilt(w, e);
		fail(q, e);
	}
	return ENDED;
}

static bool all_answered(const struct writer *w)
{
	for (size_t i = 0; i < w->n_batch; i++)
		if (!w->batch[i]->answered)
			return false;
	return true;
}

/* The connection went away in COMMIT: a new one is asked whether it took place. */
static enum ending settle(struct writer *w, const err *why)
{
	struct conn *fresh;
	bool known = false, done = false;

	if (!w->st->drv->connect(w->st, w->arena, CONN_WRITE, &fresh)) {
		done = w->st->drv->settle_commit(fresh, w->conn, w->arena, &known);
		w->st->drv->disconnect(&w->conn);
		w->conn = fresh;
	}
	w->why = err_keep(w->arena, why);
	if (known && !done)
		return LOST;
	if (!known)
		fail_all(w, err_new(w->arena, ERR_STORE, "uncertain whether this was stored: %.*s", STR_ARG(why->msg)));
	return ENDED;
}

static enum ending commit(struct writer *w, struct tx *tx)
{
	err *why = NULL;

	switch (w->st->drv->commit(tx, &why)) {
	case COMMIT_DONE:
		break;
	case COMMIT_FAILED:
		fail_all(w, why);
		return ENDED;
	case COMMIT_NEVER_BEGAN:
		return spoilt(w, why);
	case COMMIT_UNCERTAIN:
		if (settle(w, why) == LOST)
			return LOST;
		break;
	}
	turn_wait(w);
	if (!all_answered(w))
		succeed_all(w, tx->top_position);
	return ENDED;
}

/* One transaction from BEGIN to its end, whatever that is. */
static enum ending try_batch(struct writer *w, enum manner how)
{
	const struct driver *drv = w->st->drv;
	struct tx tx = tx_plain(w->st, w->conn, w->arena);
	enum ending end;
	err *e;

	tx.writer = w;
	e = drv->begin(&tx);
	if (e)
		return spoilt(w, e);
	tx_enter(&tx);
	end = how == TOGETHER ? run_together(w, &tx) : run_apart(w, &tx);
	tx_leave(&tx);
	if (end != ENDED || all_answered(w))
		drv->rollback(&tx);
	else
		end = commit(w, &tx);
	turn_pass(w);
	return end;
}

static err *connect_again(struct writer *w)
{
	struct conn *fresh;

	TRY(w->st->drv->connect(w->st, w->arena, CONN_WRITE, &fresh));
	w->st->drv->disconnect(&w->conn);
	w->conn = fresh;
	return NULL;
}

static void process(struct writer *w);

static void process_alone(struct writer *w)
{
	struct queued *all[MAX_BATCH];
	const size_t n = w->n_batch;

	memcpy(all, w->batch, n * sizeof(all[0]));
	for (size_t i = 0; i < n; i++) {
		if (all[i]->answered)
			continue;
		w->batch[0] = all[i];
		w->n_batch = 1;
		process(w);
	}
	memcpy(w->batch, all, n * sizeof(all[0]));
	w->n_batch = n;
}

static void process(struct writer *w)
{
	enum manner how = TOGETHER;

	for (int tries = 0; tries < MAX_TRIES && !all_answered(w); tries++) {
		err *e = NULL;

		switch (try_batch(w, how)) {
		case ENDED:
			break;
		case SPOILT:
			how = APART;
			break;
		case CLASHED:
			if (w->n_batch > 1) {
				process_alone(w);
				return;
			}
			break;
		case LOST:
			e = connect_again(w);
			break;
		}
		if (e)
			fail_all(w, e);
	}
	if (!all_answered(w))
		fail_all(w, w->why);
}

/*
 * The thread
 */
/* The next piece; waits for one when `wait`, else NULL when there is none. */
static struct queued *next_queued(struct writer *w, bool wait)
{
	struct queued *q = NULL;

	LOCKED(&w->lock);
	while (wait && list_is_empty(&w->queue) && !w->stop)
		cond_wait(&w->filled, &w->lock);
	if (wait && list_is_empty(&w->queue))
		w->gone = true;
	if (!list_is_empty(&w->queue)) {
		q = LIST_ITEM(w->queue.next, struct queued, node);
		list_del(&q->node);
		w->n_queued--;
	}
	return q;
}

static void writer_main(void *arg)
{
	struct writer *w = arg;
	struct queued *q;

	writer_here = w;
	while ((q = next_queued(w, true)) != NULL) {
		for (w->n_batch = 0; q; q = w->n_batch < MAX_BATCH ? next_queued(w, false) : NULL)
			w->batch[w->n_batch++] = q;
		process(w);
		for (size_t i = 0; i < w->n_batch; i++)
			mem_free(w->batch[i]);
		arena_reset(w->arena);
	}
}

static struct writer *writer_for(struct store *st, int64_t shard)
{
	return &st->writers[st->n_writers == 1 ? 0 : hash_i64(shard) % st->n_writers];
}

err *store_write(struct store *st, struct arena *a, const struct piece *p, struct ticket **out_ticket)
{
	struct writer *w = writer_for(st, p->shard);
	struct queued *q = MEM_NEW(struct queued);

	assert(p->run || p->late);
	q->piece = *p;
	if (out_ticket)
		q->ticket = ticket_new();
	lock_take(&w->lock);
	if (w->n_queued >= st->queue_limit || w->gone) {
		lock_drop(&w->lock);
		if (q->ticket)
			ticket_free(q->ticket);
		mem_free(q);
		return err_new(a, ERR_BUSY, "too much is waiting to be written");
	}
	list_add_tail(&w->queue, &q->node);
	w->n_queued++;
	if (out_ticket)
		*out_ticket = q->ticket;
	cond_signal(&w->filled);
	lock_drop(&w->lock);
	return NULL;
}

err *store_wait(struct arena *a, struct ticket *t)
{
	err *e;

	assert(!writer_here); /* it would wait for itself */
	lock_take(&t->lock);
	while (!t->done)
		cond_wait(&t->done_cond, &t->lock);
	lock_drop(&t->lock);
	e = t->result ? err_keep(a, t->result) : NULL;
	work_add(t->work);
	ticket_free(t);
	return e;
}

err *store_do(struct store *st, struct arena *a, store_fn *run, void *arg)
{
	struct ticket *t;

	TRY(store_write(st, a, &(struct piece){ .run = run, .arg = arg }, &t));
	return store_wait(a, t);
}

static void writer_init(struct writer *w, struct store *st)
{
	w->st = st;
	w->turn = -1;
	w->arena = arena_new();
	lock_init(&w->lock, RANK_STORE);
	cond_init(&w->filled);
	list_init(&w->queue);
}

err *writers_start(struct store *st, struct arena *a)
{
	if (!st->queue_limit)
		st->queue_limit = DEFAULT_QUEUE_LIMIT;
	if (st->drv == &driver_sqlite)
		st->n_writers = 1;
	else if (!st->n_writers)
		st->n_writers = DEFAULT_PG_WRITERS;
	st->writers = mem_zalloc(st->n_writers * sizeof(st->writers[0]));
	for (unsigned i = 0; i < st->n_writers; i++)
		writer_init(&st->writers[i], st);
	for (unsigned i = 0; i < st->n_writers; i++)
		TRY(st->drv->connect(st, a, CONN_WRITE, &st->writers[i].conn));
	for (unsigned i = 0; i < st->n_writers; i++) {
		char name[24];

		snprintf(name, sizeof(name), "writer %u", i % 1000);
		st->writers[i].thread = thread_start(name, writer_main, &st->writers[i]);
	}
	return NULL;
}

void writers_stop(struct store *st)
{
	for (unsigned i = 0; st->writers && i < st->n_writers; i++) {
		struct writer *w = &st->writers[i];

		lock_take(&w->lock);
		w->stop = true;
		cond_signal(&w->filled);
		lock_drop(&w->lock);
	}
	for (unsigned i = 0; st->writers && i < st->n_writers; i++) {
		struct writer *w = &st->writers[i];

		if (w->thread)
			thread_join(&w->thread);
		assert(list_is_empty(&w->queue));
		if (w->conn)
			st->drv->disconnect(&w->conn);
		arena_free(&w->arena);
		cond_done(&w->filled);
		lock_done(&w->lock);
	}
	mem_free(st->writers);
	st->writers = NULL;
}
