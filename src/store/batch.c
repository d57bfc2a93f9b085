/*
 * batch.c - group commit: a batch runs in one transaction, is committed once, and only then answered.
 *
 * A batch is tried in up to three ways, each more careful and dearer than the one before:
 *
 * together: every `run`, then every `late`, then COMMIT; no savepoints. A piece that fails before it wrote anything is
 * simply left out. One that fails later spoils the transaction, which is rolled back and tried
 *
 * apart: with a savepoint around each piece (run and late at once): only the failing ones are undone. A transaction
 * that lost against another writer (PostgreSQL: deadlock), or that an error ended (SQLite: the disk is full), is tried
 *
 * alone: each piece a batch of its own; one that lost is tried again, a little later.
 *
 * So a piece may be run more than once before it is answered, and whatever it keeps in its argument must allow for
 * that. What it is told is final: `after` runs once, when it failed for good (at that moment, so that later pieces of
 * its shard can know) or when the COMMIT is through, in the order of the batch.
 */
#include <assert.h>
#include <time.h>

#include "base/clock.h"
#include "base/rand.h"
#include "store/internal_writer.h"

enum { MAX_TRIES = 8, BATCH_MAY_RUN_US = 50000, MAY_JOIN_US = 5000 };

enum manner { TOGETHER, APART };
enum ending { ENDED, SPOILT, CLASHED, LOST };

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
static void tell(struct queued *q, const err *result)
{
	assert(!q->answered);
	q->answered = true;
	if (q->piece.after)
		q->piece.after(q->piece.arg, result);
}

static void fail(struct queued *q, const err *why)
{
	tell(q, why);
	queued_release(q, why);
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
		queued_release(w->batch[i], NULL);
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

static int64_t positions_of(const struct queued *q) { return q->piece.late ? MAX(q->piece.positions, 1) : 0; }

static int64_t count_positions(const struct writer *w)
{
	int64_t n = 0;

	for (size_t i = 0; i < w->n_batch; i++)
		n += w->batch[i]->answered ? 0 : positions_of(w->batch[i]);
	return n;
}

static enum ending run_together(struct writer *w, struct tx *tx)
{
	const int64_t start = clock_mono_us();
	const struct driver *drv = w->st->drv;

	for (size_t i = 0; i < w->n_batch; i++) {
		struct queued *q = w->batch[i];
		err *e = q->answered ? NULL : run_part(tx, q, q->piece.run, false);

		if (e && (tx->wrote || drv->health(w->conn) != CONN_GOOD))
			return spoilt(w, e);
		if (e)
			fail(q, e);
		if (i + 1 == w->n_batch && w->may_grow && clock_mono_us() < start + MAY_JOIN_US)
			writer_take_queued(w);
		else if (i + 1 < w->n_batch && clock_mono_us() > start + BATCH_MAY_RUN_US)
			writer_put_back_from(w, i + 1);
	}
	tx->expected_positions = count_positions(w);
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
		tx->expected_positions = positions_of(q);
		if (!e)
			e = run_part(tx, q, q->piece.late, true);
		if (!e)
			e = drv->check(tx);
		if (!e)
			e = drv->savepoint_keep(tx);
		if (!e)
			continue;
		if (drv->health(w->conn) >= CONN_CLASH)
			return spoilt(w, e);
		if (undo_piece(w, tx, &before) != NULL) /* as a full disk: the whole transaction went with it */
			return spoilt(w, e) == LOST ? LOST : CLASHED;
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

	if (!store_fault_hits(w->st, FAULT_SETTLE) && !w->st->drv->connect(w->st, w->arena, CONN_WRITE, &fresh)) {
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
	case COMMIT_NEVER_BEGAN: {
		const enum ending end = spoilt(w, why);

		w->st->drv->rollback(tx);
		return end;
	}
	case COMMIT_UNCERTAIN:
		if (settle(w, why) == LOST)
			return LOST;
		break;
	}
	if (tx->top_position)
		w->head = tx->top_position;
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
		batch_process(w);
	}
	memcpy(w->batch, all, n * sizeof(all[0]));
	w->n_batch = n;
}

/* The one that lost gives the winner time to take what it waited for: coming back at once, it would be there first. */
static void step_aside(int tries)
{
	const int64_t us = (int64_t)1000 << tries, some = us + (int64_t)(rand_u64() % (uint64_t)us);
	const struct timespec pause = { .tv_sec = some / 1000000, .tv_nsec = some % 1000000 * 1000 };

	nanosleep(&pause, NULL);
}

void batch_process(struct writer *w)
{
	enum manner how = TOGETHER;

	for (int tries = 0; tries < MAX_TRIES && !all_answered(w); tries++) {
		const enum ending end = try_batch(w, how);
		err *e = NULL;

		w->may_grow = false;
		switch (end) {
		case ENDED:
			break;
		case SPOILT:
			how = APART;
			if (w->n_batch == 1)
				e = w->why;
			break;
		case CLASHED:
			step_aside(tries);
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
