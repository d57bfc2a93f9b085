/*
 * pool.c - work on an array, spread over cores.
 *
 * A call puts its job, which lives on its stack, at the end of a queue and takes slices of it as the threads do; the
 * one that takes the last slice takes the job off the queue, and the one that finishes last wakes the caller. So a job
 * is in the queue exactly while it has slices to give, and its caller cannot leave while anybody works on it. The lock
 * is held for giving and finishing slices only.
 */
#include "base/pool.h"

#include <assert.h>

#include "base/arena.h"
#include "base/thread.h"

struct job {
	pool_fn *fn;
	void *ctx;
	size_t n, slice;
	size_t given; /* items that were given out */
	size_t done;  /* items that are finished */
	struct job *next;
};

struct pool {
	struct lock lock;
	struct cond work; /* a job came, or the end */
	struct cond done; /* some job is done */
	struct job *first, **last;
	bool ends;
	size_t n_threads;
	struct thread **threads;
};

/* The next slice of the job, which is in the queue. */
static size_t take(struct pool *p, struct job *j)
{
	const size_t from = j->given, left = j->n - from;

	assert(left > 0);
	j->given += MIN(left, j->slice);
	if (j->given < j->n)
		return from;
	for (struct job **at = &p->first; *at; at = &(*at)->next)
		if (*at == j) {
			*at = j->next;
			if (!*at)
				p->last = at;
			break;
		}
	return from;
}

/* Works on a slice of the job; the lock is held before and after. */
static void work_on(struct pool *p, struct job *j)
{
	const size_t from = take(p, j), to = j->given;

	lock_drop(&p->lock);
	j->fn(j->ctx, from, to);
	lock_take(&p->lock);
	j->done += to - from;
	if (j->done == j->n)
		cond_broadcast(&p->done);
}

static void thread_main_of(void *arg)
{
	struct pool *p = arg;

	lock_take(&p->lock);
	for (;;) {
		if (p->first)
			work_on(p, p->first);
		else if (p->ends)
			break;
		else
			cond_wait(&p->work, &p->lock);
	}
	lock_drop(&p->lock);
}

struct pool *pool_new(size_t threads)
{
	struct pool *p = MEM_NEW(struct pool);

	lock_init(&p->lock, RANK_LEAF);
	cond_init(&p->work);
	cond_init(&p->done);
	p->last = &p->first;
	p->n_threads = threads;
	p->threads = mem_zalloc(threads * sizeof(p->threads[0]) + 1);
	for (size_t i = 0; i < threads; i++)
		p->threads[i] = thread_start("pool", thread_main_of, p);
	return p;
}

void pool_free(struct pool **pool)
{
	struct pool *p = pool ? *pool : NULL;

	if (!p)
		return;
	lock_take(&p->lock);
	assert(!p->first);
	p->ends = true;
	cond_broadcast(&p->work);
	lock_drop(&p->lock);
	for (size_t i = 0; i < p->n_threads; i++)
		thread_join(&p->threads[i]);
	mem_free(p->threads);
	cond_done(&p->work);
	cond_done(&p->done);
	lock_done(&p->lock);
	mem_free(p);
	*pool = NULL;
}

void pool_each(struct pool *p, size_t n, size_t slice, pool_fn *fn, void *ctx)
{
	struct job j = { .fn = fn, .ctx = ctx, .n = n, .slice = slice };

	assert(slice > 0 && !lock_any_held());
	if (n <= slice || p->n_threads == 0) {
		for (size_t from = 0; from < n; from += slice)
			fn(ctx, from, MIN(n, from + slice));
		return;
	}
	LOCKED(&p->lock);
	*p->last = &j;
	p->last = &j.next;
	cond_broadcast(&p->work);
	while (j.given < n)
		work_on(p, &j);
	while (j.done < n)
		cond_wait(&p->done, &p->lock);
}
