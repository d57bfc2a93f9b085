/*
 * late.c - see late.h.
 *
 * An event above a gap names what is missing (`gap_edges`, by id; what is queued says so itself). When that comes by
 * /send it is news: clients get it with their next /sync. But it is no end of the room, and its place in the timeline
 * is in the gap: "above its known predecessors and below its lowest known successor where that is free". What it stands
 * on, and comes with it, goes there with it, in one row. Where there is no space left they go on top: a live event does
 * not wait for a room to be numbered anew.
 *
 * The event above the gap stands on a state that another server told (states.c), which is no truth. Now that the
 * event itself is here, what the state after it is can be held against that. Where they agree, the event above includes
 * it, as the graph says. Where they do not, both stay extremities, as long as no event names both: forgetting this one
 * would be to believe the other's state.
 */
#include "room/receive/late.h"

#include <assert.h>
#include <stdlib.h>

#include "store/gaps.h"

enum { BELOW_MOST = 30, HEIRS_MOST = GAP_EDGES_MOST };

struct mark { /* an event of the batch */
	size_t at;
	VEC(const struct event_row *) heirs;
	const struct event_row *lowest; /* of its heirs, and of theirs; NULL: there are none */
};
struct finding {
	struct room *room;
	const struct received_event *list;
	const size_t *order;
	size_t n;
	struct map by_id;   /* event id -> struct mark */
	struct mark *marks; /* in that order */
	bool any;
};

static void add_heir(struct finding *f, str id, const struct event_row *heir)
{
	struct mark *m = map_get(&f->by_id, id);

	if (!m || !heir->timeline || m->heirs.n == HEIRS_MOST)
		return;
	for (size_t i = 0; i < m->heirs.n; i++)
		if (m->heirs.p[i]->nid == heir->nid)
			return;
	vec_push(f->room->a, &m->heirs, heir);
	f->any = true;
}

static err *find_heirs(struct finding *f)
{
	struct room *room = f->room;
	str *ids = ARENA_ARRAY(room->a, str, f->n);
	struct gap_edge *edges;
	struct tx *tx;
	size_t n;

	for (size_t i = 0; i < f->n; i++)
		ids[i] = f->list[f->order[i]].event->event_id;
	TRY(room_tx(room, &tx));
	TRY(store_gap_edges(tx, room->nid, ids, f->n, &edges, &n));
	for (size_t i = 0; i < n; i++)
		add_heir(f, edges[i].prev, edges[i].event);
	LIST_EACH (&room->jobs, it) {
		const struct job *job = LIST_ITEM(it, struct job, node);

		for (size_t i = 0; i < job->events.n; i++)
			for (size_t k = 0; k < job->events.p[i]->n_lacks; k++)
				add_heir(f, job->events.p[i]->lacks[k], &job->events.p[i]->row);
	}
	return NULL;
}

static void lower(struct mark *m, const struct event_row *heir)
{
	if (heir && (!m->lowest || heir->timeline < m->lowest->timeline))
		m->lowest = heir;
}

/* What an event goes below, what it stands on does, too. */
static void find_lowest(struct finding *f)
{
	for (size_t i = f->n; i-- > 0;) {
		const struct event *ev = f->list[f->order[i]].event;
		struct mark *m = &f->marks[i];

		for (size_t k = 0; k < m->heirs.n; k++)
			lower(m, m->heirs.p[k]);
		for (size_t k = 0; m->lowest && k < ev->n_prev_events; k++) {
			struct mark *prev = map_get(&f->by_id, ev->prev_events[k]);

			if (prev && prev < m)
				lower(prev, m->lowest);
		}
	}
}

/*
 * Places
 */
static int downwards(const void *x, const void *y)
{
	const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;

	return (p < q) - (p > q);
}

/* The places that are taken below one, from above: those stored next below it, what is queued, and what goes below
 * other heirs. */
static err *taken_below(const struct finding *f, int64_t top, const struct late_place *late, int64_t **out,
			size_t *out_n)
{
	struct room *room = f->room;
	VEC(int64_t) list = { 0 };
	struct event_time *rows;
	struct tx *tx;
	int64_t floor = 0;
	size_t n;

	TRY(room_tx(room, &tx));
	TRY(store_event_times(tx, room->nid, top, true, BELOW_MOST, &rows, &n));
	for (size_t i = 0; i < n; i++)
		vec_push(room->a, &list, rows[i].timeline);
	if (n == BELOW_MOST)
		floor = rows[n - 1].timeline;
	LIST_EACH (&room->jobs, it) {
		const struct job *job = LIST_ITEM(it, struct job, node);

		for (size_t i = 0; i < job->events.n; i++) {
			const int64_t at = job->events.p[i]->row.timeline;

			if (at > floor && at < top)
				vec_push(room->a, &list, at);
		}
	}
	for (size_t i = 0; i < f->n; i++) {
		const int64_t at = late[f->marks[i].at].timeline;

		if (at > floor && at < top)
			vec_push(room->a, &list, at);
	}
	if (!floor)
		vec_push(room->a, &list, 0); /* the room's beginning */
	if (list.n)
		qsort(list.p, list.n, sizeof(*list.p), downwards);
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

/* Where what they stand on is, as far as that is below them. */
static err *find_floor(struct finding *f, const struct event_row *heir, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < f->n; i++) {
		const struct event *ev = f->list[f->order[i]].event;

		for (size_t k = 0; f->marks[i].lowest == heir && k < ev->n_prev_events; k++) {
			const struct event_row *row;

			TRY(room_row_by_id(f->room, ev->prev_events[k], &row));
			if (row && row->timeline < heir->timeline)
				*out = MAX(*out, row->timeline);
		}
	}
	return NULL;
}

/* A row of places for all that go below this event: the highest that is free and not below what they stand on. */
static err *place_below(struct finding *f, const struct event_row *heir, struct late_place *out)
{
	int64_t top = heir->timeline, step = 0, bottom, *taken, n = 0;
	size_t n_taken;

	for (size_t i = 0; i < f->n; i++)
		n += f->marks[i].lowest == heir;
	TRY(find_floor(f, heir, &bottom));
	TRY(taken_below(f, top, out, &taken, &n_taken));
	for (size_t i = 0; i < n_taken && top > bottom; i++) {
		step = MIN((top - taken[i]) / (n + 1), (int64_t)TIMELINE_SPACING);
		if (step > 0)
			break;
		top = taken[i];
	}
	for (size_t i = 0; i < f->n; i++)
		if (f->marks[i].lowest == heir)
			out[f->marks[i].at].timeline = step > 0 ? top - n-- * step : 0;
	return NULL;
}

static bool comes_first(const struct finding *f, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (f->marks[k].lowest == f->marks[i].lowest)
			return false;
	return true;
}

err *late_find(struct room *room, const struct received_event *list, size_t n, const size_t *order, size_t n_order,
	       struct late_place *out)
{
	struct finding f = { .room = room, .list = list, .order = order, .n = n_order };

	memset(out, 0, n * sizeof(*out));
	if (!room->lacks || room->purge || n_order == 0)
		return NULL;
	f.marks = ARENA_ARRAY(room->a, struct mark, n_order);
	map_init(&f.by_id, room->a);
	for (size_t i = 0; i < n_order; i++) {
		f.marks[i].at = order[i];
		(void)map_put(&f.by_id, list[order[i]].event->event_id, &f.marks[i]);
	}
	TRY(find_heirs(&f));
	if (!f.any)
		return NULL;
	find_lowest(&f);
	for (size_t i = 0; i < n_order; i++) {
		out[order[i]].heirs = f.marks[i].heirs.p;
		out[order[i]].n_heirs = f.marks[i].heirs.n;
		if (f.marks[i].lowest && !room->spreading && comes_first(&f, i))
			TRY(place_below(&f, f.marks[i].lowest, out));
	}
	return NULL;
}

/*
 * States
 */
static err *state_before(struct draft *d, const struct event_row *row, struct state_root *out)
{
	const struct job_event *je = map_get_i(&d->room->pending, row->nid);
	struct tx *tx;

	if (je) {
		*out = je->before;
		return NULL;
	}
	TRY(room_tx(d->room, &tx));
	TRY(store_root_load(tx, d->room->nid, row->root_after, out));
	if (!(row->flags & EVENT_STATE))
		return NULL;
	return state_set(&d->builder, *out, row->type, row->state_key, row->replaces, out);
}

err *late_is_included(struct draft *d, struct state_root after, const struct late_place *late, bool *out)
{
	*out = false;
	for (size_t i = 0; i < late->n_heirs && !*out; i++) {
		struct state_root roots[2] = { after }, both;

		TRY(state_before(d, late->heirs[i], &roots[1]));
		TRY(draft_resolve(d, roots, 2, &both));
		*out = state_same(both, roots[1]);
	}
	return NULL;
}
