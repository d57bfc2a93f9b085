/*
 * origins.c - so many requests of one server at a time.
 *
 * A lane is for all servers together: one that asks for much at once must not have all of its workers. Past its share a
 * request waits here, without a thread, in the order of their coming; whoever of the same server ends gives its place
 * to the next. Past a number that may wait they are refused.
 *
 * A place is taken once the request is known to be its origin's, so that nobody can use up another's. It is kept from
 * then on: a request that was let wait is not authenticated again.
 */
#include "http/internal_http.h"

#include <assert.h>

struct origin {
	str name;
	unsigned running, n_waiting;
	struct list waiting; /* the longest first */
};

void origins_init(struct origins *o, unsigned running, unsigned waiting)
{
	*o = (struct origins){ .most_running = running, .most_waiting = waiting };
	lock_init(&o->lock, RANK_HTTP);
	map_init(&o->by_name, NULL);
}

void origins_done(struct origins *o)
{
	assert(o->by_name.n == 0);
	map_done(&o->by_name);
	lock_done(&o->lock);
}

static struct origin *origin_of(struct origins *o, str name)
{
	struct origin *x = map_get(&o->by_name, name);

	if (x)
		return x;
	x = MEM_NEW(struct origin);
	x->name = str_keep(name);
	list_init(&x->waiting);
	map_put(&o->by_name, x->name, x);
	return x;
}

err *origins_enter(struct req_internal *r)
{
	struct origins *o = &r->h->origins;
	struct origin *x;

	if (r->origin)
		return NULL;
	LOCKED(&o->lock);
	x = origin_of(o, r->rq.origin);
	if (x->running < o->most_running) {
		x->running++;
		r->origin = x;
	} else if (x->n_waiting < o->most_waiting) {
		r->wait_wanted = true;
	} else {
		return err_new(r->rq.arena, ERR_LIMIT_EXCEEDED, "Too many requests of one server at once");
	}
	return NULL;
}

bool origins_wait(struct req_internal *r)
{
	struct origins *o = &r->h->origins;
	struct origin *x;

	r->wait_wanted = false;
	LOCKED(&o->lock);
	x = origin_of(o, (str){ r->origin_name, strlen(r->origin_name) });
	if (x->running < o->most_running) {
		x->running++;
		r->origin = x;
		return false;
	}
	x->n_waiting++;
	metric_add(metrics_http()->behind_origin, 1);
	list_add_tail(&x->waiting, &r->node);
	return true;
}

/* Whoever waits for the place has it now. */
static struct req_internal *next_of(struct origins *o, struct origin *x)
{
	struct list *node;

	LOCKED(&o->lock);
	node = list_pop(&x->waiting);
	if (node) {
		struct req_internal *next = LIST_ITEM(node, struct req_internal, node);

		x->n_waiting--;
		metric_add(metrics_http()->behind_origin, -1);
		next->origin = x;
		return next;
	}
	if (--x->running == 0) {
		map_del(&o->by_name, x->name);
		mem_free((void *)x->name.p);
		mem_free(x);
	}
	return NULL;
}

void origins_leave(struct req_internal *r)
{
	struct req_internal *next;

	if (!r->origin)
		return;
	next = next_of(&r->h->origins, r->origin);
	r->origin = NULL;
	if (next) {
		lane_reserve_more(request_lane(next));
		lane_push(request_lane(next), next);
	}
}
