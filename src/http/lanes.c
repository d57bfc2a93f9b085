/*
 * lanes.c - pools of worker threads with a bounded queue each.
 *
 * A thread is started only when work waits and nobody is idle. Work goes to the worker that was idle for the shortest time:
 * its arena, its stack and its database connection are still in the caches. At most one worker is being called at any
 * time; it calls the next when it comes and finds more: so a publisher that resumes a thousand requests pays for one call,
 * and a burst of short work does not wake sixty threads for what two would have done meanwhile.
 */
#include "http/internal_http.h"

#include <assert.h>

struct worker {
	struct worker *next, *next_idle;
	struct lane_pool *lane;
	struct thread *thread;
	struct cond call;
	bool is_idle, called_now; /* called_now: it is the one that lane_pool.waking stands for */
};

void lane_init(struct lane_pool *l, const char *name, unsigned workers, size_t limit)
{
	*l = (struct lane_pool){ .name = name, .max = workers, .limit = limit };
	lock_init(&l->lock, RANK_HTTP);
	list_init(&l->queue);
}

static struct req_internal *next_job(struct worker *w);

static void work(void *arg)
{
	struct worker *w = arg;
	AUTO_ARENA a = arena_new();
	struct req_internal *r;

	while ((r = next_job(w)))
		run_on_worker(r, a);
}

/* With the lock: if nobody is on the way already. */
static void call_one(struct lane_pool *l)
{
	struct worker *w = l->idle;

	if (l->waking)
		return;
	if (w) {
		l->idle = w->next_idle;
		w->is_idle = false;
		l->waking = w->called_now = true;
		cond_signal(&w->call);
		return;
	}
	if (l->started == l->max)
		return;
	w = MEM_NEW(struct worker);
	w->lane = l;
	cond_init(&w->call);
	w->next = l->all;
	l->all = w;
	l->started++;
	l->waking = w->called_now = true;
	w->thread = thread_start(l->name, work, w);
}

static void wait_for_call(struct worker *w)
{
	struct lane_pool *l = w->lane;

	w->is_idle = true;
	w->next_idle = l->idle;
	l->idle = w;
	while (w->is_idle)
		cond_wait(&w->call, &l->lock);
}

/* Who was called has come: the next may be called. */
static void arrive(struct worker *w)
{
	if (w->called_now)
		w->lane->waking = w->called_now = false;
}

static struct req_internal *next_job(struct worker *w)
{
	struct lane_pool *l = w->lane;
	struct list *node;

	LOCKED(&l->lock);
	arrive(w);
	while (!(node = list_pop(&l->queue))) {
		if (l->stopping)
			return NULL;
		wait_for_call(w);
		arrive(w);
	}
	atomic_fetch_sub(&l->waiting, 1);
	if (!list_is_empty(&l->queue))
		call_one(l);
	return LIST_ITEM(node, struct req_internal, node);
}

bool lane_reserve(struct lane_pool *l)
{
	if (atomic_fetch_add(&l->waiting, 1) < l->limit)
		return true;
	atomic_fetch_sub(&l->waiting, 1);
	return false;
}

void lane_push(struct lane_pool *l, struct req_internal *r)
{
	bool stopped;

	lock_take(&l->lock);
	stopped = l->stopping;
	if (!stopped) {
		list_add_tail(&l->queue, &r->node);
		call_one(l);
	}
	lock_drop(&l->lock);
	if (stopped)
		run_never(r);
}

void lane_stop(struct lane_pool *l, void (*refuse)(struct req_internal *r))
{
	struct list left, *node;

	list_init(&left);
	lock_take(&l->lock);
	l->stopping = true;
	while ((node = list_pop(&l->queue)))
		list_add_tail(&left, node);
	for (struct worker *w = l->idle; w; w = w->next_idle) {
		w->is_idle = false;
		cond_signal(&w->call);
	}
	l->idle = NULL;
	lock_drop(&l->lock);
	while ((node = list_pop(&left)))
		refuse(LIST_ITEM(node, struct req_internal, node));
	for (struct worker *w = l->all; w; w = w->next)
		thread_join(&w->thread);
}

void lane_done(struct lane_pool *l)
{
	for (struct worker *w = l->all, *next; w; w = next) {
		next = w->next;
		assert(!w->thread);
		cond_done(&w->call);
		mem_free(w);
	}
	lock_done(&l->lock);
}
