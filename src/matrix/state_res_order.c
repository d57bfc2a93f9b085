/*
 * state_res_order.c - the two orderings of state resolution.
 *
 * rooms/v2, rooms/v12: "Reverse topological power ordering", "Mainline ordering".
 */
#include <stdlib.h>

#include "matrix/internal_state_res.h"

/*
 * Reverse topological power ordering: Kahn's algorithm, where a heap gives the smallest of the events that wait for
 * nothing. Edges lead from an auth event to what names it.
 */

/* "x < y if 1. x's sender has greater power level than y's sender, when looking at their respective auth_events; or
 * 2. ... x's origin_server_ts is less than y's origin_server_ts; or 3. ... x's event_id is less than y's event_id." */
static int by_power(const struct res_item *x, const struct res_item *y)
{
	if (x->power != y->power)
		return x->power > y->power ? -1 : 1;
	if (x->ev->origin_server_ts != y->ev->origin_server_ts)
		return x->ev->origin_server_ts < y->ev->origin_server_ts ? -1 : 1;
	return str_cmp(x->ev->event_id, y->ev->event_id);
}

static void heap_push(struct arena *a, struct res_items *heap, struct res_item *it)
{
	size_t i = heap->n;

	vec_push(a, heap, it);
	for (; i > 0 && by_power(it, heap->p[(i - 1) / 2]) < 0; i = (i - 1) / 2)
		heap->p[i] = heap->p[(i - 1) / 2];
	heap->p[i] = it;
}

static struct res_item *heap_pop(struct res_items *heap)
{
	struct res_item *top = heap->p[0], *it = heap->p[--heap->n];
	size_t i = 0;

	for (size_t kid = 1; kid < heap->n; kid = 2 * i + 1) {
		if (kid + 1 < heap->n && by_power(heap->p[kid + 1], heap->p[kid]) < 0)
			kid++;
		if (by_power(it, heap->p[kid]) <= 0)
			break;
		heap->p[i] = heap->p[kid];
		i = kid;
	}
	if (heap->n > 0)
		heap->p[i] = it;
	return top;
}

static err *sender_power(struct res *r, struct res_item *it)
{
	const struct event *levels;

	TRY(res_among(r, &it->auth, S("m.room.power_levels"), S(""), &levels));
	const struct power_levels pl = power_levels_of(r->rv, r->create, levels);

	it->power = power_of_user(&pl, it->ev->sender);
	return NULL;
}

err *res_sort_by_power(struct res *r, struct res_items *items)
{
	struct res_items ready = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < items->n; i++) {
		struct res_item *it = items->p[i];

		TRY(sender_power(r, it));
		for (size_t k = 0; k < it->auth.n; k++) {
			struct res_item *before = map_get_i(&r->items, it->auth.p[k]);

			if (!before) /* those that are there were chosen with it */
				continue;
			it->waits_for++;
			vec_push(r->a, &before->next, it);
		}
	}
	for (size_t i = 0; i < items->n; i++)
		if (items->p[i]->waits_for == 0)
			heap_push(r->a, &ready, items->p[i]);
	while (ready.n > 0) {
		struct res_item *it = heap_pop(&ready);

		items->p[n++] = it;
		for (size_t i = 0; i < it->next.n; i++)
			if (--it->next.p[i]->waits_for == 0)
				heap_push(r->a, &ready, it->next.p[i]);
	}
	if (n != items->n)
		return err_new(r->a, ERR_INTERNAL, "auth_events form a circle");
	return NULL;
}

/*
 * Mainline ordering. The mainline of a room that changed its power levels often is long, and events usually sit near
 * its beginning: it is followed only as far as the events ask for.
 */
struct mainline {
	struct res *r;
	struct map position;     /* event -> position + 1: the mainline as far as it was followed */
	struct map others;       /* event -> position + 1, or SIZE_MAX for none: power levels beside it */
	const struct event *end; /* the last one found; NULL: followed to its end */
	size_t n;
};

/* "the m.room.power_levels event in the auth_events of P_i" */
static err *power_levels_before(struct res *r, const struct event *ev, const struct event **out)
{
	struct auth_list auth;

	TRY(r->io->auth.auth_events(r->io->auth.ctx, r->a, &ev->nid, 1, &auth));
	return res_among(r, &auth, S("m.room.power_levels"), S(""), out);
}

/* Power levels that name themselves, by a circle that peers made in a version where they choose the ids, end the
 * mainline. */
static void mainline_add(struct mainline *m, const struct event *levels)
{
	m->end = levels && !map_get_i(&m->position, levels->nid) ? levels : NULL;
	if (m->end)
		map_put_i(&m->position, levels->nid, (void *)(uintptr_t)++m->n);
}

static err *mainline_find(struct mainline *m, int64_t nid, size_t *out)
{
	while (!map_get_i(&m->position, nid) && m->end) {
		const struct event *before;

		TRY(power_levels_before(m->r, m->end, &before));
		mainline_add(m, before);
	}
	*out = (size_t)(uintptr_t)map_get_i(&m->position, nid);
	return NULL;
}

/* "Find the smallest index j >= 1 for which e_j belongs to the mainline of P. If such a j exists, then e_j = P_i for
 * some unique index i >= 0. Otherwise set i = infinity". e_1, e_2, ... are the power levels that e was sent under, and
 * those before. */
static err *mainline_position(struct mainline *m, struct res_item *it)
{
	VEC(int64_t) passed = { 0 };
	const struct event *levels;
	size_t found = 0;

	TRY(res_among(m->r, &it->auth, S("m.room.power_levels"), S(""), &levels));
	while (levels && !found) {
		found = (size_t)(uintptr_t)map_get_i(&m->others, levels->nid);
		if (!found)
			TRY(mainline_find(m, levels->nid, &found));
		if (found)
			break;
		vec_push(m->r->a, &passed, levels->nid);
		map_put_i(&m->others, levels->nid,
			  (void *)(uintptr_t)SIZE_MAX); /* until it is known: a circle ends here */
		TRY(power_levels_before(m->r, levels, &levels));
	}
	if (!found)
		found = SIZE_MAX;
	for (size_t i = 0; i < passed.n; i++)
		map_put_i(&m->others, passed.p[i], (void *)(uintptr_t)found);
	it->mainline = found;
	return NULL;
}

/* "x < y if 1. the mainline position of x is greater than the mainline position of y ...; or 2. ... x's
 * origin_server_ts is less than y's origin_server_ts; or 3. ... x's event_id is less than y's event_id." */
static int by_mainline(const void *p, const void *q)
{
	const struct res_item *x = *(const struct res_item *const *)p, *y = *(const struct res_item *const *)q;

	if (x->mainline != y->mainline)
		return x->mainline > y->mainline ? -1 : 1;
	if (x->ev->origin_server_ts != y->ev->origin_server_ts)
		return x->ev->origin_server_ts < y->ev->origin_server_ts ? -1 : 1;
	return str_cmp(x->ev->event_id, y->ev->event_id);
}

err *res_sort_by_mainline(struct res *r, struct res_items *items)
{
	struct mainline m = { .r = r };
	const struct event *levels;

	if (items->n == 0)
		return NULL;
	map_init(&m.position, r->a);
	map_init(&m.others, r->a);
	TRY(res_current(r, S("m.room.power_levels"), S(""), &levels));
	mainline_add(&m, levels);
	for (size_t i = 0; i < items->n; i++)
		TRY(mainline_position(&m, items->p[i]));
	qsort(items->p, items->n, sizeof(struct res_item *), by_mainline);
	return NULL;
}
