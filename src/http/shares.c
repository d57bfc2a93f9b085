/*
 * shares.c - so many requests of one server, or of one user, at a time.
 *
 * A lane is for all: one who asks for much at once must not have all of its workers. That is so for the lane of other
 * servers' requests, by the server; and where clients wait for other servers, which may say nothing for long, by the
 * user (or by the address, where nobody says who it is). Past its share a request waits here, without a thread, in the
 * order of their coming; whoever of the same name ends gives its place to the next. Past a number that may wait they
 * are refused.
 *
 * A place is taken once it is known whose the request is, so that nobody can use up another's. It is kept from then on:
 * another server's request that was let wait is not authenticated again.
 */
#include "http/internal_http.h"

#include <assert.h>

struct share {
	struct shares *of;
	str name;
	unsigned running, n_waiting;
	unsigned coming;     /* between shares_enter and shares_wait */
	struct list waiting; /* the longest first */
};

void shares_init(struct shares *s, unsigned running, unsigned waiting)
{
	*s = (struct shares){ .most_running = running, .most_waiting = waiting };
	lock_init(&s->lock, RANK_HTTP);
	map_init(&s->by_name, NULL);
}

void shares_done(struct shares *s)
{
	assert(s->by_name.n == 0);
	map_done(&s->by_name);
	lock_done(&s->lock);
}

static struct share *share_of(struct shares *s, str name)
{
	struct share *x = map_get(&s->by_name, name);

	if (x)
		return x;
	x = MEM_NEW(struct share);
	x->of = s;
	x->name = str_keep(name);
	list_init(&x->waiting);
	map_put(&s->by_name, x->name, x);
	return x;
}

err *shares_enter(struct shares *s, struct req_internal *r, str name)
{
	struct share *x;

	if (r->share)
		return NULL;
	LOCKED(&s->lock);
	x = share_of(s, name);
	if (x->running < s->most_running) {
		x->running++;
		r->share = x;
	} else if (x->n_waiting + x->coming < s->most_waiting) {
		x->coming++;
		r->wanted_share = x;
	} else {
		return err_new(r->rq.arena, ERR_LIMIT_EXCEEDED, "Too many requests at once");
	}
	return NULL;
}

bool shares_wait(struct req_internal *r)
{
	struct share *x = r->wanted_share;
	struct shares *s = x->of;

	LOCKED(&s->lock);
	r->wanted_share = NULL;
	x->coming--;
	if (x->running < s->most_running) {
		x->running++;
		r->share = x;
		return false;
	}
	x->n_waiting++;
	metric_add(metrics_http()->behind_share, 1);
	list_add_tail(&x->waiting, &r->node);
	return true;
}

/* Whoever waits for the place has it now. */
static struct req_internal *next_of(struct share *x)
{
	struct shares *s = x->of;
	struct list *node;

	LOCKED(&s->lock);
	node = list_pop(&x->waiting);
	if (node) {
		struct req_internal *next = LIST_ITEM(node, struct req_internal, node);

		x->n_waiting--;
		metric_add(metrics_http()->behind_share, -1);
		next->share = x;
		return next;
	}
	if (--x->running == 0 && x->coming == 0) {
		map_del(&s->by_name, x->name);
		mem_free((void *)x->name.p);
		mem_free(x);
	}
	return NULL;
}

void shares_leave(struct req_internal *r)
{
	struct req_internal *next;

	if (!r->share)
		return;
	next = next_of(r->share);
	r->share = NULL;
	if (next) {
		lane_reserve_more(request_lane(next));
		lane_push(request_lane(next), next);
	}
}
