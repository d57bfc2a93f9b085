/*
 * history.c - see history.h.
 *
 * The page goes through one draft into one job, like what is received; but it leaves the room's tip as it is. Its
 * places in the timeline lie below the event above the gap, a spacing apart where there is space, else closer; where
 * there is none at all the events around are spread, and it is tried again.
 */
#include "room/remote/history.h"

#include <assert.h>

#include "room/internal_job.h"
#include "store/gaps.h"

struct holder {
	int64_t nid, room;
	str prevs; /* packed */
	const int64_t *nids;
	size_t n_nids;
	bool closed;
};
struct paging {
	struct rooms *rs;
	struct arena *a;
	struct history_page *p;
	struct proposal *proposals;
	size_t *order;
	bool *settled;
	size_t n_added;
	struct holder *holders;
	bool no_space;
	struct ticket *ticket;
};

static err *number(struct paging *g)
{
	struct proposal **sorted = ARENA_ARRAY(g->a, struct proposal *, g->p->n);

	for (size_t i = 0; i < g->p->n; i++) {
		const struct event *ev = g->p->list[i].event;

		g->proposals[i] =
			(struct proposal){ .type = ev->type, .state_key = ev->state_key, .sender = ev->sender };
		sorted[i] = &g->proposals[g->order[i]];
	}
	return proposals_number(g->rs, g->a, sorted, g->p->n);
}

/*
 * Places
 */
struct places {
	int64_t top, step; /* the i-th of n from below stands at top - (n - i) * step */
	size_t n, next;
};

static err *find_places(struct paging *g, struct room *room, size_t n, struct places *out)
{
	struct event_row *above, **below;
	struct tx *tx;
	int64_t space;
	size_t n_below;

	TRY(room_tx(room, &tx));
	TRY(store_event_by_nid(tx, g->p->above, &above));
	if (!above || above->room != room->nid || !above->timeline)
		return err_new(g->a, ERR_NOT_FOUND, "the event above the gap is gone");
	TRY(store_events_by_timeline(tx, room->nid, above->timeline, true, 1, &below, &n_below));
	space = above->timeline - (n_below ? below[0]->timeline : 0);
	*out = (struct places){ .top = above->timeline, .n = n };
	out->step = space / ((int64_t)n + 1);
	if (!g->p->island)
		out->step = MIN(out->step, (int64_t)TIMELINE_SPACING);
	g->no_space = out->step < 1;
	return NULL;
}

static int64_t next_place(struct places *p) { return p->top - (int64_t)(p->n - p->next++) * p->step; }

/*
 * Under the room's lock
 */
static err *add(struct paging *g, struct draft *d, size_t i, struct places *places)
{
	struct received_event *r = &g->p->list[i];
	struct arrival how = { .given = r->prev_states, .n_given = r->n_prev_states };
	err *e;

	r->error = NULL;
	TRY(room_event_by_id(d->room, r->event->event_id, &how.known, &how.row));
	if (how.known && !row_awaits_history(how.row)) {
		r->outcome = APPEND_KNOWN;
		g->settled[i] = true;
		return NULL;
	}
	how.timeline = next_place(places);
	e = draft_add_received(d, r->event, &g->proposals[i], &how, &r->outcome);
	if (!e) {
		g->n_added++;
		return NULL;
	}
	if (how.begun || (e->code != ERR_NOT_FOUND && e->code != ERR_FORBIDDEN))
		return e;
	r->error = e;
	r->missing = how.missing;
	r->n_missing = how.n_missing;
	return NULL;
}

/* Where a prev_event of a holder is now. */
static err *look_at_prev(struct paging *g, struct room *room, str id, int64_t *out_nid, bool *out_placed)
{
	const struct event_row *row;
	const struct event *ev;

	*out_nid = 0;
	*out_placed = false;
	TRY(room_event_by_id(room, id, &ev, &row));
	if (!ev)
		return NULL;
	*out_nid = row->nid;
	*out_placed = !(row->flags & EVENT_OUTLIER) && (row->timeline || !(row->flags & EVENT_GAP));
	for (size_t i = 0; i < g->p->n_holders; i++)
		if (g->holders[i].nid == row->nid && g->holders[i].closed)
			*out_placed = true;
	return NULL;
}

static err *look_at_holder(struct paging *g, struct room *room, int64_t nid, struct holder *h)
{
	const struct event *ev;
	int64_t *nids;
	size_t n = 0;

	TRY(room_event(room, nid, &ev));
	*h = (struct holder){ .nid = nid, .room = room->nid, .closed = true };
	nids = ARENA_ARRAY(g->a, int64_t, ev->n_prev_events);
	for (size_t i = 0; i < ev->n_prev_events; i++) {
		bool placed;

		TRY(look_at_prev(g, room, ev->prev_events[i], &nids[n], &placed));
		h->closed = h->closed && placed;
		n++;
	}
	h->prevs = store_nids_pack(g->a, nids, n);
	h->nids = nids;
	h->n_nids = n;
	return NULL;
}

static err *save_holders(struct tx *tx, void *arg)
{
	const struct paging *g = arg;

	for (size_t i = 0; i < g->p->n_holders; i++) {
		const struct holder *h = &g->holders[i];

		TRY(store_event_set_prevs(tx, h->nid, h->prevs));
		for (size_t k = 0; k < h->n_nids; k++)
			if (h->nids[k])
				TRY(store_event_edge_insert(tx, h->nids[k], h->nid));
		if (h->closed)
			TRY(store_gap_close(tx, h->room, h->nid));
	}
	return NULL;
}

static err *fill(struct paging *g, struct draft *d, size_t *out_bad)
{
	struct places places;

	TRY(find_places(g, d->room, g->p->n, &places));
	if (g->no_space)
		return NULL;
	for (size_t i = 0; i < g->p->n; i++) {
		err *e;

		if (g->settled[g->order[i]])
			continue;
		e = add(g, d, g->order[i], &places);
		if (!e)
			continue;
		*out_bad = g->order[i];
		return e;
	}
	for (size_t i = 0; i < g->p->n_holders; i++)
		TRY(look_at_holder(g, d->room, g->p->holders[i], &g->holders[i]));
	return NULL;
}

static err *attempt(struct paging *g, size_t *out_bad)
{
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;

	*out_bad = SIZE_MAX;
	g->n_added = 0;
	g->no_space = false;
	TRY(room_hold(g->rs, g->a, g->p->room_id, &room));
	if (!room)
		return err_new(g->a, ERR_NOT_FOUND, "no such room");
	if (room->purge)
		return err_new(g->a, ERR_BUSY, "the room's history is being purged");
	draft_begin(room, &d);
	TRY(fill(g, d, out_bad));
	if (g->no_space)
		return NULL;
	if (g->n_added == 0) /* a piece of its own, in the room's order all the same */
		return store_write(g->rs->opt.store, g->a,
				   &(struct piece){ .run = save_holders, .arg = g, .shard = room->nid }, &g->ticket);
	d->job->extra = save_holders;
	d->job->extra_arg = g;
	return draft_queue(&d, &g->ticket);
}

/* One that cannot be stored costs the others another attempt. */
static err *attempts(struct paging *g)
{
	for (size_t i = 0; i <= g->p->n; i++) {
		size_t bad;
		err *e = attempt(g, &bad);

		if (!e && g->ticket)
			return store_wait(g->a, g->ticket);
		if (!e || bad == SIZE_MAX || e->code == ERR_STORE)
			return e;
		g->p->list[bad].error = e;
		g->settled[bad] = true;
	}
	return NULL;
}

/*
 * Space: the events around the place are spread evenly, in one statement of some hundreds of rows. That is enough, for
 * they come a spacing apart, and below what stands above a gap there is far more.
 */
enum { SPREAD_SIDE = 250, SPREAD_ATTEMPTS = 5 };

struct spread {
	int64_t low, high; /* the places that stay, around those that move */
	VEC(int64_t) nids, places;
	struct ticket *ticket;
};

static err *spread_run(struct tx *tx, void *arg)
{
	const struct spread *s = arg;

	return store_timeline_move(tx, s->nids.p, s->places.p, s->nids.n);
}

/* Places for the events around, and between them `n` more below the one above the gap. */
static err *plan_spread(struct paging *g, struct room *room, size_t n, struct spread *s)
{
	struct event_time *below, *above;
	struct event_row *holder;
	size_t n_below, n_above;
	struct tx *tx;
	int64_t step, at;

	TRY(room_tx(room, &tx));
	TRY(store_event_by_nid(tx, g->p->above, &holder));
	if (!holder || !holder->timeline)
		return err_new(g->a, ERR_NOT_FOUND, "the event above the gap is gone");
	TRY(store_event_times(tx, room->nid, holder->timeline, true, SPREAD_SIDE, &below, &n_below));
	TRY(store_event_times(tx, room->nid, holder->timeline - 1, false, SPREAD_SIDE, &above, &n_above));
	s->low = n_below == SPREAD_SIDE ? below[--n_below].timeline : 0;
	s->high = n_above == SPREAD_SIDE ? above[--n_above].timeline : room->tip.timeline_top + 1;
	step = (s->high - s->low) / (int64_t)(n_below + n_above + n + 1);
	if (step < 1)
		return err_new(g->a, ERR_INTERNAL, "there is no space in the timeline");
	at = s->low;
	for (size_t i = n_below; i-- > 0;) {
		vec_push(g->a, &s->nids, below[i].nid);
		vec_push(g->a, &s->places, at += step);
	}
	at += (int64_t)n * step;
	for (size_t i = 0; i < n_above; i++) {
		vec_push(g->a, &s->nids, above[i].nid);
		vec_push(g->a, &s->places, at += step);
	}
	return NULL;
}

/* What is queued has its place already, and would not move with the others. */
static bool is_written_to(const struct room *room, const struct spread *s)
{
	LIST_EACH (&room->jobs, it) {
		const struct job *job = LIST_ITEM(it, struct job, node);

		for (size_t i = 0; i < job->events.n; i++) {
			const int64_t at = job->events.p[i]->row.timeline;

			if (at > s->low && at < s->high)
				return true;
		}
	}
	return false;
}

static err *nothing(struct tx *tx, void *arg)
{
	(void)tx;
	(void)arg;
	return NULL;
}

/* Queued in the room's order; *out_again: only what is queued before it is waited for. */
static err *spread_once(struct paging *g, struct spread *s, bool *out_again)
{
	AUTO_ROOM room = NULL;
	struct piece piece = { .run = spread_run, .arg = s };

	TRY(room_hold(g->rs, g->a, g->p->room_id, &room));
	if (!room || room->purge)
		return err_new(g->a, ERR_BUSY, "the room's history is being purged");
	TRY(plan_spread(g, room, g->p->n, s));
	piece.shard = room->nid;
	*out_again = is_written_to(room, s);
	if (*out_again)
		piece.run = nothing;
	TRY(store_write(g->rs->opt.store, g->a, &piece, &s->ticket));
	room->spreading = !*out_again;
	return NULL;
}

static err *end_spread(struct paging *g)
{
	AUTO_ROOM room = NULL;

	TRY(room_hold(g->rs, g->a, g->p->room_id, &room));
	if (room)
		room->spreading = false;
	return NULL;
}

static err *make_space(struct paging *g)
{
	bool again = true;

	for (unsigned i = 0; again && i < SPREAD_ATTEMPTS; i++) {
		struct spread s = { 0 };
		err *e;

		TRY(spread_once(g, &s, &again));
		e = store_wait(g->a, s.ticket);
		if (!again)
			TRY(end_spread(g));
		TRY(e);
	}
	return again ? err_new(g->a, ERR_BUSY, "the room is being written to there") : NULL;
}

static void tell_recent(const struct paging *g)
{
	struct room *room = NULL;

	if (rooms_enter(g->rs, g->a, g->p->room_id, &room) || !room)
		return;
	recent_close_gap(&room->recent, g->p->above);
	rooms_unref(g->rs, room);
}

err *rooms_append_history(struct rooms *rs, struct arena *a, struct history_page *p)
{
	struct paging g = {
		.rs = rs,
		.a = a,
		.p = p,
		.proposals = ARENA_ARRAY(a, struct proposal, p->n),
		.order = ARENA_ARRAY(a, size_t, p->n),
		.settled = ARENA_ARRAY(a, bool, p->n),
		.holders = ARENA_ARRAY(a, struct holder, p->n_holders),
	};

	assert(p->n <= HISTORY_PAGE_MAX && p->n_holders > 0);
	received_order(a, p->list, p->n, g.order);
	if (p->n)
		TRY(number(&g));
	TRY(attempts(&g));
	if (g.no_space) {
		TRY(make_space(&g));
		TRY(attempts(&g));
		if (g.no_space)
			return err_new(a, ERR_INTERNAL, "there is no space in the timeline");
	}
	p->closed = g.holders[p->n_holders - 1].closed;
	if (p->closed)
		tell_recent(&g);
	return NULL;
}
