/*
 * park.c - requests that wait for news, without a thread.
 *
 * A parked request is resumed by exactly one of: its user's bus key, its deadline (or the server's stopping), its
 * client's hanging up. All of them may come at the same moment, on different threads. One word per request decides,
 * by atomic steps:
 *
 *   PARKING  the worker is still putting it away
 *   TAKEN    somebody resumes it; whoever sets the bit first
 *   CALLED   the bus has called (or will not: bus_unwait was true)
 *   LEFT     the taker found that the bus is about to call, and left the rest to that call
 *
 * The bus's waiter lies in the request, so a call that is under way must have come before the request runs again.
 * Hence the last two bits: taker and call each set theirs, and the second of them goes on.
 *
 * The deadlines are a heap under watch.lock. A request leaves it before it runs again: so what the watch thread finds
 * in it, holding the lock, is there, though it may be taken already.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PARKING = 1, TAKEN = 2, CALLED = 4, LEFT = 8 };
static const size_t nowhere = SIZE_MAX;

err *req_park(struct req *rq, int64_t user, uint64_t seq, int64_t deadline_us)
{
	struct req_internal *r = rq->in;

	assert(!r->replied && !r->expired);
	r->park_wanted = true;
	r->park_user = user;
	r->park_seq = seq;
	r->park_deadline = deadline_us;
	return NULL;
}

bool req_park_expired(const struct req *rq) { return rq->in->expired; }

/* The heap ------------------------------------------------------------------------------------------------------- */
static void heap_put(struct watch *w, size_t at, struct req_internal *r)
{
	w->heap[at] = r;
	r->heap_at = at;
}

static void heap_up(struct watch *w, size_t at, struct req_internal *r)
{
	while (at > 0 && w->heap[(at - 1) / 2]->park_deadline > r->park_deadline) {
		heap_put(w, at, w->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(w, at, r);
}

static void heap_down(struct watch *w, size_t at, struct req_internal *r)
{
	for (size_t child; (child = 2 * at + 1) < w->n_parked; at = child) {
		if (child + 1 < w->n_parked && w->heap[child + 1]->park_deadline < w->heap[child]->park_deadline)
			child++;
		if (w->heap[child]->park_deadline >= r->park_deadline)
			break;
		heap_put(w, at, w->heap[child]);
	}
	heap_put(w, at, r);
}

static void heap_add(struct watch *w, struct req_internal *r)
{
	if (w->n_parked == w->cap_parked) {
		w->cap_parked = MAX(2 * w->cap_parked, 64);
		w->heap = mem_realloc(w->heap, w->cap_parked * sizeof(*w->heap));
	}
	heap_up(w, w->n_parked++, r);
}

static void heap_del(struct watch *w, struct req_internal *r)
{
	const size_t at = r->heap_at;
	struct req_internal *last = w->heap[--w->n_parked];

	assert(w->heap[at] == r || last == r);
	r->heap_at = nowhere;
	if (last == r)
		return;
	if (at > 0 && w->heap[(at - 1) / 2]->park_deadline > last->park_deadline)
		heap_up(w, at, last);
	else
		heap_down(w, at, last);
}

/* Resuming ------------------------------------------------------------------------------------------------------- */
static void take_out(struct watch *w, struct req_internal *r)
{
	lock_assert_held(&w->lock);
	heap_del(w, r);
	r->conn->parked = NULL;
}

/* It is nobody else's now. */
static void go_on(struct req_internal *r)
{
	if (r->park_cause != PARK_HUNG_UP) {
		r->returning = true;
		lane_return(request_lane(r), r);
		return;
	}
	metric_add(metrics_http()->parked, -1);
	metric_add(metrics_http()->hung_up, 1);
	run_resume(r);
}

void park_left(struct req_internal *r)
{
	struct watch *w = &r->h->watch;

	if (!r->returning)
		return;
	r->returning = false;
	lock_take(&w->lock);
	if (r->heap_at != nowhere)
		take_out(w, r);
	lock_drop(&w->lock);
	metric_add(metrics_http()->parked, -1);
	r->parked_us += clock_mono_us() - r->parked_at;
	r->expired = r->park_cause == PARK_DEADLINE;
}

static void on_call(struct bus_waiter *waiter)
{
	struct req_internal *r = (struct req_internal *)((char *)waiter - offsetof(struct req_internal, waiter));
	const unsigned before = atomic_fetch_or(&r->park_state, CALLED | TAKEN);

	if (before & (PARKING | TAKEN)) {
		/* Whoever parks or takes it goes on, and it may be gone; unless it was left to this call. */
		if (before & LEFT)
			go_on(r);
		return;
	}
	/* It stays in the heap until its next run: whoever publishes waits for no lock that the runs need. */
	r->park_cause = PARK_WOKEN;
	go_on(r);
}

bool park_take(struct req_internal *r, enum park_cause cause)
{
	lock_assert_held(&r->h->watch.lock);
	take_out(&r->h->watch, r); /* also where the bus took it, and its run is still to come */
	if (atomic_fetch_or(&r->park_state, TAKEN) & TAKEN)
		return false;
	r->park_cause = cause;
	return true;
}

/* The waiter is queued, but nobody else knows of the request; or the bus's call is under way, or has been. */
static bool withdraw(struct req_internal *r)
{
	return bus_unwait(r->h->opt.bus, &r->waiter) || atomic_fetch_or(&r->park_state, LEFT) & CALLED;
}

void park_finish(struct req_internal *r)
{
	if (withdraw(r))
		go_on(r);
}

enum put { PUT, PUT_CALLED, PUT_REFUSED };

static enum put put_away(struct watch *w, struct req_internal *r, bool *out_earlier)
{
	LOCKED(&w->lock);
	watch_socket(r->conn);
	if (w->expired || r->conn->hup) {
		r->park_cause = r->conn->hup ? PARK_HUNG_UP : PARK_DEADLINE;
		return PUT_REFUSED;
	}
	r->conn->parked = r;
	heap_add(w, r);
	*out_earlier = r->park_deadline < w->sleeps_until;
	if (!(atomic_fetch_and(&r->park_state, ~(unsigned)PARKING) & CALLED))
		return PUT;
	take_out(w, r);
	return PUT_CALLED;
}

bool park_begin(struct req_internal *r, enum park_cause *out_why_not)
{
	struct watch *w = &r->h->watch;
	bool earlier = false;

	*out_why_not = PARK_WOKEN;
	r->waiter.wake = on_call;
	r->parked_at = clock_mono_us();
	atomic_store(&r->park_state, PARKING);
	if (!bus_wait(r->h->opt.bus, &r->waiter, r->park_user, r->park_seq)) {
		/* No wait, but no endless loop either, where the deadline has passed or the server stops. */
		LOCKED(&w->lock);
		if (w->expired || r->park_deadline <= r->parked_at)
			*out_why_not = PARK_DEADLINE;
		return false;
	}
	metric_add(metrics_http()->parked, 1);
	switch (put_away(w, r, &earlier)) {
	case PUT: /* from here on it may be gone */
		if (earlier)
			watch_call(w);
		return true;
	case PUT_CALLED:
		break;
	case PUT_REFUSED:
		*out_why_not = r->park_cause;
		if (!withdraw(r))
			return true; /* the call that is under way runs it */
		break;
	}
	metric_add(metrics_http()->parked, -1);
	return false;
}
