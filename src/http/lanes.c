/*
 * lanes.c - pools of worker threads with a bounded queue each.
 *
 * Waking a thread costs more than most handlers do, so as few as keep the cores busy are at work: a lane calls a
 * further worker only while fewer of its workers than there are cores are running. One that waits (for a commit, for
 * another server) is not running: thread_on_wait tells. What waits without telling (a read from the disk) is noticed
 * by the age of the queue's head: when that is over a millisecond, a further one is called in any case; the watch
 * thread looks as well.
 *
 * Parked requests come back through an inbox without a lock, which workers empty into the queue: the store's writer,
 * who publishes, must not queue up behind the workers it wakes. Whoever puts the first into an empty inbox sees to it
 * that a worker comes.
 *
 * At most one call is under way at any time; who comes calls the next if there is still more to do: a publisher that
 * resumes a thousand requests pays for one call. Work goes to the worker that was idle for the shortest time: its
 * arena, stack and database connection are still in the caches. Threads are started when the first call finds nobody
 * idle.
 *
 * For the same reason the answers of woken requests are handed to the loops in small batches: one wake-up of a loop for
 * several answers, at a delay of a fraction of a millisecond, and never across anything that waits.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>
#include <unistd.h>

enum { MAX_HELD = 32 };
static const int64_t max_hold_us = 300, stale_us = 1000;

struct worker {
	struct worker *next, *next_idle;
	struct lane_pool *lane;
	struct thread *thread;
	struct cond call;
	bool is_idle;
	bool called_now;                     /* it is the one that lane_pool.waking stands for */
	bool running;                        /* counted in lane_pool.running, but for its waits */
	struct req_internal *held[MAX_HELD]; /* answered, not yet handed to their loops */
	unsigned n_held;
	int64_t held_since;
};

void lane_init(struct lane_pool *l, struct http *h, const char *name, unsigned workers, size_t limit)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	*l = (struct lane_pool){ .h = h, .name = name, .max = workers, .limit = limit };
	l->enough = (unsigned)MIN(MAX(cores, 2), (long)workers);
	lock_init(&l->lock, RANK_HTTP);
	list_init(&l->queue);
}

static void work(void *arg);

/* With the lock. The worker to be signalled once the lock is dropped, or NULL. */
static struct worker *call_one(struct lane_pool *l)
{
	struct worker *w = l->idle;

	if (w) {
		l->idle = w->next_idle;
		w->is_idle = false;
		l->waking = w->called_now = true;
		return w;
	}
	if (l->started == l->max)
		return NULL;
	w = MEM_NEW(struct worker);
	w->lane = l;
	cond_init(&w->call);
	w->next = l->all;
	l->all = w;
	l->started++;
	l->waking = w->called_now = true;
	w->thread = thread_start(l->name, work, w);
	return NULL;
}

/* With the lock: what was returned goes to the queue's end, oldest first. */
static void empty_inbox(struct lane_pool *l)
{
	struct req_internal *r = atomic_load(&l->inbox) ? atomic_exchange(&l->inbox, NULL) : NULL;
	struct list *end = l->queue.prev;

	for (struct req_internal *next; r; r = next) {
		next = r->next_returned;
		list_add_head(end, &r->node);
	}
}

/* With the lock: calls one if there is work that nobody will come to soon. */
static struct worker *call_if_needed(struct lane_pool *l, int64_t now)
{
	const struct req_internal *head;

	empty_inbox(l);
	if (l->waking || list_is_empty(&l->queue) || l->stopping)
		return NULL;
	head = LIST_ITEM(l->queue.next, struct req_internal, node);
	if (atomic_load(&l->running) < l->enough || now - head->queued_us > stale_us)
		return call_one(l);
	watch_lanes(l->h);
	return NULL;
}

static void signal_worker(struct worker *w)
{
	if (w)
		cond_signal(&w->call);
}

/* With the lock, for the first in the inbox: unless enough are running, who look there when they have done. */
static struct worker *call_for_inbox(struct lane_pool *l)
{
	if (l->waking)
		return NULL;
	if (atomic_load(&l->running) < l->enough)
		return call_one(l);
	watch_lanes(l->h);
	return NULL;
}

bool lane_check(struct lane_pool *l)
{
	struct worker *called;
	bool more;

	lock_take(&l->lock);
	called = call_if_needed(l, clock_mono_us());
	more = !list_is_empty(&l->queue);
	lock_drop(&l->lock);
	signal_worker(called);
	return more;
}

static void hand_over(struct worker *w)
{
	for (unsigned i = 0; i < w->n_held; i++)
		run_resume(w->held[i]);
	w->n_held = 0;
}

/* On the worker's thread, around its handler's waits. */
static void on_wait(void *arg, bool waits)
{
	struct worker *w = arg;
	struct lane_pool *l = w->lane;

	if (!w->running) /* idle */
		return;
	if (!waits) {
		atomic_fetch_add(&l->running, 1);
		return;
	}
	hand_over(w);
	atomic_fetch_sub(&l->running, 1);
	if (atomic_load(&l->waiting) > 0)
		lane_check(l);
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

static bool may_hold_on(const struct worker *w, const struct req_internal *next, int64_t now)
{
	return w->n_held == 0 ||
	       (next->runs > 0 && next->job == JOB_RUN && w->n_held < MAX_HELD && now - w->held_since < max_hold_us);
}

static struct req_internal *next_job(struct worker *w)
{
	struct lane_pool *l = w->lane;
	struct req_internal *r = NULL;
	struct worker *called;
	int64_t now;

	lock_take(&l->lock);
	for (;;) {
		arrive(w);
		empty_inbox(l);
		now = clock_mono_us();
		if (!list_is_empty(&l->queue)) {
			r = LIST_ITEM(l->queue.next, struct req_internal, node);
			if (may_hold_on(w, r, now))
				break;
			r = NULL;
		}
		if (w->n_held > 0) {
			lock_drop(&l->lock);
			hand_over(w);
			lock_take(&l->lock);
			continue;
		}
		if (l->stopping)
			break;
		wait_for_call(w);
	}
	if (r) {
		list_del(&r->node);
		atomic_fetch_sub(&l->waiting, 1);
		atomic_fetch_add(&l->running, 1);
		w->running = true;
	}
	called = call_if_needed(l, now);
	lock_drop(&l->lock);
	signal_worker(called);
	return r;
}

static void work(void *arg)
{
	struct worker *w = arg;
	AUTO_ARENA a = arena_new();
	struct req_internal *r;

	thread_on_wait(on_wait, w);
	while ((r = next_job(w))) {
		const bool woken = r->runs > 0 && r->job == JOB_RUN;
		const bool done = run_on_worker(r, a);

		w->running = false;
		atomic_fetch_sub(&w->lane->running, 1);
		if (!done)
			continue;
		if (!woken) {
			run_resume(r);
			continue;
		}
		if (w->n_held == 0)
			w->held_since = clock_mono_us();
		w->held[w->n_held++] = r;
	}
	thread_on_wait(NULL, NULL);
}

bool lane_reserve(struct lane_pool *l)
{
	if (atomic_fetch_add(&l->waiting, 1) < l->limit)
		return true;
	atomic_fetch_sub(&l->waiting, 1);
	return false;
}

void lane_reserve_more(struct lane_pool *l) { atomic_fetch_add(&l->waiting, 1); }

void lane_push(struct lane_pool *l, struct req_internal *r)
{
	struct worker *called = NULL;
	bool stopped;

	r->queued_us = clock_mono_us();
	lock_take(&l->lock);
	stopped = l->stopping;
	if (!stopped) {
		list_add_tail(&l->queue, &r->node);
		called = call_if_needed(l, clock_mono_us());
	}
	lock_drop(&l->lock);
	signal_worker(called);
	if (stopped)
		run_never(r);
}

/* With the lock: nobody works here any more. */
static void take_all(struct lane_pool *l, struct list *out)
{
	struct list *node;

	empty_inbox(l);
	while ((node = list_pop(&l->queue)))
		list_add_tail(out, node);
}

static void refuse_all(struct list *left, void (*refuse)(struct req_internal *r))
{
	struct list *node;

	while ((node = list_pop(left)))
		refuse(LIST_ITEM(node, struct req_internal, node));
}

void lane_return(struct lane_pool *l, struct req_internal *r)
{
	struct req_internal *newest = atomic_load(&l->inbox);
	struct worker *called = NULL;
	struct list left;

	r->queued_us = clock_mono_us();
	atomic_fetch_add(&l->waiting, 1);
	do
		r->next_returned = newest;
	while (!atomic_compare_exchange_weak(&l->inbox, &newest, r));
	if (newest) /* who came first sees to it */
		return;
	list_init(&left);
	lock_take(&l->lock);
	if (l->stopping)
		take_all(l, &left);
	else
		called = call_for_inbox(l);
	lock_drop(&l->lock);
	signal_worker(called);
	refuse_all(&left, run_never);
}

void lane_stop(struct lane_pool *l, void (*refuse)(struct req_internal *r))
{
	struct list left;

	list_init(&left);
	lock_take(&l->lock);
	l->stopping = true;
	take_all(l, &left);
	for (struct worker *w = l->idle; w; w = w->next_idle) {
		w->is_idle = false;
		cond_signal(&w->call);
	}
	l->idle = NULL;
	lock_drop(&l->lock);
	refuse_all(&left, refuse);
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
