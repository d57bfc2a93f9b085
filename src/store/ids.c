/*
 * ids.c - numbers that are unique for ever, handed out without asking the database each time.
 *
 * A block of numbers is reserved by moving the row of `sequences` past it; what a process reserved and did not use is
 * lost when it ends, which costs nothing but a gap. When half of a block is gone the next one is ordered in the
 * background.
 */
#include <assert.h>

#include "store/internal_store.h"

enum { BLOCK = 4096 };

struct reservation {
	struct store *st;
	enum store_seq seq;
	int64_t count, end;
};

static err *reserve(struct tx *tx, void *arg)
{
	static const char sql[] = "UPDATE sequences SET next = next + $2 WHERE seq = $1 RETURNING next";
	struct reservation *r = arg;
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(r->seq), B(r->count)), &row));
	if (!row)
		return err_new(tx_arena(tx), ERR_STORE, "sequence %d is missing", r->seq);
	r->end = row_i64(row, 0);
	return NULL;
}

/* On the writer's thread. A failed reservation is tried again by the next who needs one. */
static void reserved(void *arg, const err *result)
{
	struct reservation *r = arg;
	struct id_source *s = &r->st->ids[r->seq];

	lock_take(&s->lock);
	s->filling = false;
	if (!result)
		s->spare = (struct id_block){ r->end - r->count, r->end };
	cond_broadcast(&s->filled);
	lock_drop(&s->lock);
	mem_free(r);
}

/* Called with the lock held; takes it off for the queueing. */
static err *order(struct store *st, struct arena *a, enum store_seq seq, int64_t count)
{
	struct id_source *s = &st->ids[seq];
	struct reservation *r = MEM_NEW(struct reservation);
	err *e;

	assert(!s->filling);
	s->filling = true;
	lock_drop(&s->lock);
	*r = (struct reservation){ .st = st, .seq = seq, .count = count };
	e = store_write(st, a, &(struct piece){ .run = reserve, .after = reserved, .arg = r }, NULL);
	lock_take(&s->lock);
	if (e) {
		s->filling = false;
		cond_broadcast(&s->filled);
		mem_free(r);
	}
	return e;
}

static int64_t left(const struct id_block *b) { return b->end - b->next; }

/* Waits until one of the two blocks has `count` numbers. The lock is held. */
static err *fill(struct store *st, struct arena *a, enum store_seq seq, int64_t count)
{
	struct id_source *s = &st->ids[seq];

	assert(!writer_is_here(st)); /* it would wait for itself */
	for (int tries = 0; left(&s->now) < count && left(&s->spare) < count; tries++) {
		if (tries == 8)
			return err_new(a, ERR_STORE, "no numbers could be reserved");
		if (!s->filling)
			TRY(order(st, a, seq, count + BLOCK));
		while (s->filling)
			cond_wait(&s->filled, &s->lock);
	}
	return NULL;
}

err *store_next_id(struct store *st, struct arena *a, enum store_seq seq, size_t count, int64_t *out_first)
{
	struct id_source *s = &st->ids[seq];
	const int64_t n = (int64_t)count;

	assert(seq < SEQ_COUNT && count > 0 && count <= 1000000);
	LOCKED(&s->lock);
	if (left(&s->now) < n && left(&s->spare) < n)
		TRY(fill(st, a, seq, n));
	if (left(&s->now) < n) {
		s->now = s->spare;
		s->spare = (struct id_block){ 0, 0 };
	}
	*out_first = s->now.next;
	s->now.next += n;
	if (left(&s->now) < BLOCK / 2 && left(&s->spare) == 0 && !s->filling) {
		err *later = order(st, a, seq, BLOCK);

		(void)later; /* the queue is full: whoever needs the numbers tries again, and says so */
	}
	return NULL;
}

void ids_init(struct store *st)
{
	for (size_t i = 0; i < SEQ_COUNT; i++) {
		lock_init(&st->ids[i].lock, RANK_STORE - 1);
		cond_init(&st->ids[i].filled);
	}
}

void ids_done(struct store *st)
{
	for (size_t i = 0; i < SEQ_COUNT; i++) {
		cond_done(&st->ids[i].filled);
		lock_done(&st->ids[i].lock);
	}
}
