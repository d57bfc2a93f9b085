/*
 * purge_plan.c - what of a room's history must stay.
 *
 * Whatever stays in the timeline keeps what it refers to: its state with every event in it, its auth events with
 * theirs, the event it replaced; and whatever stays at all keeps the redaction that emptied it, by which clients know
 * that it was. So: which roots stay is read from the events and the journal; the rows of nodes are read once,
 * downwards, which marks the nodes alive and names the events in these states; then auth_events and redactions are
 * followed until nothing new is found.
 *
 * Only candidates are remembered: events that would go. The room goes on meanwhile. A new event builds on states that
 * stay, and on new nodes, which no purge touches; what it names as auth_events is noted (receive.c) until the decision
 * has fallen, and refused afterwards like an unknown event where it names what goes.
 */
#include "room/internal_purge.h"

#include <stdlib.h>

#include "store/tx.h"

enum { EVENTS_AT_ONCE = 500, ROWS_AT_ONCE = 200 };

/* What was read before is not needed any more. */
static struct arena *fresh(struct purge *p)
{
	arena_reset(p->scratch);
	return p->scratch;
}

static struct candidate *find(struct candidate *list, size_t n, int64_t nid)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (list[mid].nid < nid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && list[lo].nid == nid ? &list[lo] : NULL;
}

static struct candidate *candidate(struct purge *p, int64_t nid)
{
	struct candidate *c = find(p->list.p, p->n_placed, nid);

	return c ? c : find(p->list.p + p->n_placed, p->list.n - p->n_placed, nid);
}

static void need(void *purge, int64_t nid)
{
	struct purge *p = purge;
	struct candidate *c = candidate(p, nid);

	if (!c || c->needed)
		return;
	c->needed = true;
	vec_push(p->a, &p->todo, nid);
}

bool purge_stays_anyhow(const struct purge *p, int64_t nid)
{
	for (size_t i = 0; i < p->stay.n; i++)
		if (p->stay.p[i] == nid)
			return true;
	return false;
}

bool purge_may_be_needed(const struct purge *p, const struct purge_event *ev)
{
	return ev->flags & EVENT_STATE || ev->type == p->type_redaction;
}

bool purge_is_past(const struct purge *p, const struct purge_event *ev)
{
	return ev->timeline && ev->timeline < p->horizon && !purge_stays_anyhow(p, ev->nid);
}

/*
 * Candidates
 */
static int by_nid(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	return (a->nid > b->nid) - (a->nid < b->nid);
}

static err *list_placed(struct purge *p)
{
	int64_t at = INT64_MIN;
	size_t n;

	do {
		struct arena *a = fresh(p);
		struct purge_event *ev;
		AUTO_TX tx = NULL;

		TRY(store_read(p->room->rs->opt.store, a, &tx));
		TRY(store_purge_placed(tx, p->room->nid, at, p->horizon, EVENTS_AT_ONCE, &ev, &n));
		for (size_t i = 0; i < n; i++) {
			at = ev[i].timeline;
			if (purge_may_be_needed(p, &ev[i]) && !purge_stays_anyhow(p, ev[i].nid))
				vec_push(p->a, &p->list, (struct candidate){ .nid = ev[i].nid });
		}
	} while (n == EVENTS_AT_ONCE);
	return NULL;
}

/* An event that is not part of the timeline belongs to what it was built upon. */
static bool belongs_to_past(struct purge *p, const struct purge_event *ev, const struct map *prevs)
{
	if (ev->flags & EVENT_OUTLIER)
		return ev->flags & EVENT_PURGED;
	for (size_t i = 0; i < ev->n_prevs; i++) {
		const struct purge_event *prev = map_get_i(prevs, ev->prevs[i]);

		if (prev && !(prev->flags & EVENT_OUTLIER) && !candidate(p, prev->nid) && !purge_is_past(p, prev))
			return false;
	}
	return true;
}

static err *find_prevs(struct tx *tx, struct arena *a, const struct purge_event *ev, size_t n, struct map *out)
{
	VEC(int64_t) nids = { 0 };
	struct purge_event *found;
	size_t n_found = 0;

	map_init(out, a);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < ev[i].n_prevs; k++)
			vec_push(a, &nids, ev[i].prevs[k]);
	if (nids.n)
		TRY(store_purge_events_of(tx, nids.p, nids.n, &found, &n_found));
	for (size_t i = 0; i < n_found; i++)
		map_put_i(out, found[i].nid, &found[i]);
	return NULL;
}

static void stays(struct purge *p, const struct purge_event *ev)
{
	state_mark_root(&p->marks, ev->root_after);
	for (size_t i = 0; i < ev->n_auths; i++)
		need(p, ev->auths[i]);
	need(p, ev->replaces);
	need(p, ev->redacted_by);
	if (ev->stream)
		p->shown_from = MIN(p->shown_from, ev->stream);
}

/* Their own kind may be what they were built upon, so the candidates among them are listed before any other is asked
 * for: two rounds. */
static err *walk_unplaced(struct purge *p, bool listing)
{
	int64_t at = 0;
	size_t n;

	do {
		struct arena *a = fresh(p);
		struct purge_event *ev;
		struct map prevs;
		AUTO_TX tx = NULL;

		TRY(store_read(p->room->rs->opt.store, a, &tx));
		TRY(store_purge_unplaced(tx, p->room->nid, at, EVENTS_AT_ONCE, &ev, &n));
		if (listing)
			TRY(find_prevs(tx, a, ev, n, &prevs));
		for (size_t i = 0; i < n; i++) {
			at = ev[i].nid;
			if (!listing) {
				if (!candidate(p, ev[i].nid))
					stays(p, &ev[i]);
			} else if (belongs_to_past(p, &ev[i], &prevs)) {
				vec_push(p->a, &p->list, (struct candidate){ .nid = at, .unplaced = true });
			}
		}
	} while (n == EVENTS_AT_ONCE);
	return NULL;
}

/*
 * What stays
 */
static err *walk_placed(struct purge *p)
{
	int64_t at = p->horizon - 1;
	size_t n;

	do {
		struct arena *a = fresh(p);
		struct purge_event *ev;
		AUTO_TX tx = NULL;

		TRY(store_read(p->room->rs->opt.store, a, &tx));
		TRY(store_purge_placed(tx, p->room->nid, at, INT64_MAX, EVENTS_AT_ONCE, &ev, &n));
		for (size_t i = 0; i < n; i++) {
			at = ev[i].timeline;
			stays(p, &ev[i]);
		}
		if (n < EVENTS_AT_ONCE && p->stay.n) {
			size_t n_ext;

			TRY(store_purge_events_of(tx, p->stay.p, p->stay.n, &ev, &n_ext));
			for (size_t i = 0; i < n_ext; i++)
				stays(p, &ev[i]);
		}
	} while (n == EVENTS_AT_ONCE);
	return NULL;
}

/* The current state, and what it was at every position that a token of a /sync may name and that is still shown. */
static err *journal_begin(struct purge *p)
{
	struct room_head_row *head;
	AUTO_TX tx = NULL;

	TRY(store_read(p->room->rs->opt.store, fresh(p), &tx));
	TRY(store_head_load(tx, p->room->nid, &head));
	if (head)
		state_mark_root(&p->marks, head->root);
	return store_journal_before(tx, p->room->nid, p->shown_from - 1, &p->journal_from);
}

static err *walk_journal(struct purge *p)
{
	int64_t at;
	size_t n;

	TRY(journal_begin(p));
	at = p->journal_from - 1;
	do {
		int64_t *streams, *nodes;
		AUTO_TX tx = NULL;

		TRY(store_read(p->room->rs->opt.store, fresh(p), &tx));
		TRY(store_journal_nodes(tx, p->room->nid, at, EVENTS_AT_ONCE, &streams, &nodes, &n));
		for (size_t i = 0; i < n; i++) {
			at = streams[i];
			state_mark_root(&p->marks, nodes[i]);
		}
	} while (n == EVENTS_AT_ONCE);
	return NULL;
}

static err *begin_marks(struct purge *p)
{
	struct arena *a = fresh(p);
	struct node_row *top;
	int64_t below;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(p->room->rs->opt.store, a, &tx));
	TRY(store_next_node(tx, p->room->nid, &below));
	TRY(store_nodes_down(tx, p->room->nid, below, 1, &top, &n));
	p->sweep_below = n ? top[0].first : 0;
	state_marks_init(&p->marks, below);
	return NULL;
}

static err *mark_rows(struct purge *p, bool (*stop)(void *ctx), void *ctx, bool *out_stopped)
{
	int64_t below = p->marks.below;
	size_t n;

	do {
		struct arena *a = fresh(p);
		struct node_row *rows;
		AUTO_TX tx = NULL;

		*out_stopped = stop && stop(ctx);
		if (*out_stopped)
			return NULL;
		TRY(store_read(p->room->rs->opt.store, a, &tx));
		TRY(store_nodes_down(tx, p->room->nid, below, ROWS_AT_ONCE, &rows, &n));
		for (size_t i = 0; i < n; i++) {
			below = rows[i].first;
			TRY(state_mark_row(&p->marks, a, &rows[i], need, p));
		}
	} while (n == ROWS_AT_ONCE);
	if (p->marks.met != p->marks.marked)
		return err_new(p->a, ERR_INTERNAL, "%" PRId64 " state nodes of the room are missing",
			       p->marks.marked - p->marks.met);
	return NULL;
}

/* Auth events and redactions of what is needed are needed. */
static err *follow_auths(struct purge *p)
{
	while (p->todo.n > 0) {
		struct arena *a = fresh(p);
		const size_t n = MIN(p->todo.n, (size_t)EVENTS_AT_ONCE);
		struct purge_event *ev;
		AUTO_TX tx = NULL;
		size_t found;

		TRY(store_read(p->room->rs->opt.store, a, &tx));
		p->todo.n -= n;
		TRY(store_purge_events_of(tx, p->todo.p + p->todo.n, n, &ev, &found));
		for (size_t i = 0; i < found; i++) {
			need(p, ev[i].redacted_by);
			for (size_t k = 0; k < ev[i].n_auths; k++)
				need(p, ev[i].auths[k]);
		}
	}
	return NULL;
}

err *purge_plan(struct purge *p, bool (*stop)(void *ctx), void *ctx, bool *out_stopped)
{
	*out_stopped = false;
	p->shown_from = INT64_MAX;
	TRY(begin_marks(p));
	TRY(store_intern_find(p->room->rs->opt.store, fresh(p), S("m.room.redaction"), &p->type_redaction));
	TRY(list_placed(p));
	p->n_placed = p->list.n;
	if (p->list.n > 0)
		qsort(p->list.p, p->list.n, sizeof(*p->list.p), by_nid);
	TRY(walk_unplaced(p, true));
	TRY(walk_placed(p));
	TRY(walk_unplaced(p, false));
	TRY(walk_journal(p));
	TRY(mark_rows(p, stop, ctx, out_stopped));
	return *out_stopped ? NULL : follow_auths(p);
}

err *purge_decide(struct purge *p)
{
	lock_assert_held(&p->room->lock);
	for (size_t i = 0; i < p->noted.n; i++)
		need(p, p->noted.p[i]);
	TRY(follow_auths(p));
	p->decided = true;
	return NULL;
}

/*
 * What an event that is received meanwhile may refer to. Under the room's lock.
 */
bool room_forgets_prev(const struct room *room, const struct event_row *row)
{
	const struct purge *p = room->purge;

	if (!p)
		return false;
	return !row->timeline || (row->timeline < p->horizon && !purge_stays_anyhow(p, row->nid));
}

bool room_forgets_auth(struct room *room, int64_t nid)
{
	struct purge *p = room->purge;

	if (!p)
		return false;
	if (p->decided)
		return candidate(p, nid) && !candidate(p, nid)->needed;
	vec_push(p->noted_in, &p->noted, nid);
	return false;
}
