/*
 * writer.c - the queue in front of each writer's thread, and the tickets on which others wait for it.
 *
 * There is no delay to gather pieces: a piece that comes alone is committed alone, and while a COMMIT waits for the
 * disk the next batch gathers by itself. The slower the disk, the larger the batches. What becomes of a batch is in
 * batch.c.
 */
#include <assert.h>
#include <stdio.h>

#include "store/internal_writer.h"

enum { DEFAULT_PG_WRITERS = 4, DEFAULT_QUEUE_LIMIT = 20000 };

struct ticket {
	struct lock lock;
	struct cond done_cond;
	bool done;
	struct arena *arena; /* holds `result`, when there is one */
	err *result;
	struct work work;
};

static _Thread_local struct writer *writer_here;

bool writer_is_here(const struct store *st) { return writer_here && writer_here->st == st; }

/*
 * Tickets
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

void queued_release(struct queued *q, const err *result)
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
	t->work.commits = 1;
	LOCKED(&t->lock);
	t->done = true;
	cond_signal(&t->done_cond);
}

void writer_put_back_from(struct writer *w, size_t i)
{
	LOCKED(&w->lock);
	while (w->n_batch > i) {
		struct queued *q = w->batch[--w->n_batch];

		if (q->answered) {
			mem_free(q);
			continue;
		}
		list_add_head(&w->queue, &q->node);
		w->n_queued++;
	}
}

/*
 * The thread
 */
/* Waits for something to do; false when there is nothing and never will be. */
static bool wait_for_work(struct writer *w)
{
	LOCKED(&w->lock);
	while (list_is_empty(&w->queue) && !w->stop)
		cond_wait(&w->filled, &w->lock);
	w->gone = list_is_empty(&w->queue);
	return !w->gone;
}

void writer_take_queued(struct writer *w)
{
	LOCKED(&w->lock);
	while (w->n_batch < MAX_BATCH && !list_is_empty(&w->queue)) {
		struct queued *q = LIST_ITEM(w->queue.next, struct queued, node);

		list_del(&q->node);
		w->n_queued--;
		w->batch[w->n_batch++] = q;
	}
}

static void writer_main(void *arg)
{
	struct writer *w = arg;

	writer_here = w;
	while (wait_for_work(w)) {
		writer_take_queued(w);
		w->may_grow = true;
		batch_process(w);
		for (size_t i = 0; i < w->n_batch; i++)
			mem_free(w->batch[i]);
		w->n_batch = 0;
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
