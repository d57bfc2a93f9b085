/*
 * state.c - what a client must know of a room's state before it applies the timeline, or instead of it.
 *
 * `state` is the difference between the state that the client has, the room's at its token, and the state before the
 * first event of the timeline. On top of that comes what is in force at the end without being in the timeline: what the
 * filter left out of it, and what a fork or a resolution brought into force; a client that applies `state` and then the
 * timeline must arrive where the room is. `state_after` is the difference to the state at the end, timeline or not.
 *
 * The state before an event is the one after it, but for the event's own key, which had what it replaced.
 *
 * With lazy loading, members are left out of whole states, but for those who are needed to show what is told: the
 * senders of the timeline, the heroes of the summary, the reader. Those who changed are always told: "the server MUST
 * return membership events for events in the gap".
 */
#include "sync/v3/internal_v3.h"

#include "room/erased.h"
#include "store/events.h"

#include <stdlib.h>

struct entry {
	int64_t type, key, event;
};
struct delta {
	struct run *r;
	struct task *t;
	struct room_view *view;
	const struct sync_room *room;
	struct state_pick pick;
	VEC(struct entry) base;  /* up to the timeline's start */
	VEC(struct entry) later; /* from there to the end: what the timeline does not show */
	struct map later_keys;   /* event > itself, of keys in `later` */
	struct map shown;        /* events in the timeline */
	struct map members;      /* users whose member event is told */
	const struct event_row *first;
};

/* A root by its number alone: equal to no other but itself. */
static struct state_root root_of(int64_t node)
{
	return (struct state_root){ .node = node, .hash = { node ? UINT64_MAX : 0, (uint64_t)node } };
}

static str key_of(struct arena *a, int64_t type, int64_t key)
{
	int64_t *both = ARENA_ARRAY(a, int64_t, 2);

	both[0] = type;
	both[1] = key;
	return (str){ (const char *)both, 2 * sizeof(*both) };
}

static bool is_first_key(const struct delta *d, int64_t type, int64_t key)
{
	return d->first && d->first->state_key && d->first->type == type && d->first->state_key == key;
}

static void add_base(struct delta *d, int64_t type, int64_t key, int64_t event)
{
	if (is_first_key(d, type, key))
		event = d->first->replaces;
	if (event)
		vec_push(d->r->a, &d->base, (struct entry){ type, key, event });
}

static err *on_base_entry(void *arg, const struct state_entry *e)
{
	add_base(arg, e->type, e->key, e->event);
	return NULL;
}

static err *on_base_change(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct delta *d = arg;

	/* What the first event replaced is what the client has. */
	if (!is_first_key(d, type, key) || d->first->replaces != old)
		add_base(d, type, key, now);
	return NULL;
}

static err *on_later_change(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct delta *d = arg;

	(void)old;
	/* A key that is gone cannot be told. */
	if (!now || map_get_i(&d->shown, now))
		return NULL;
	vec_push(d->r->a, &d->later, (struct entry){ type, key, now });
	(void)map_put(&d->later_keys, key_of(d->r->a, type, key), d);
	return NULL;
}

static err *collect(struct delta *d, struct state_root from, struct state_root start, struct state_root end)
{
	const struct state_tree *tree = room_view_tree(d->view);

	if (d->t->full)
		TRY(state_each(tree, d->r->a, start, d->pick, on_base_entry, d));
	else
		TRY(state_diff(tree, d->r->a, from, start, d->pick, on_base_change, d));
	if (d->first && start.node != end.node)
		TRY(state_diff(tree, d->r->a, start, end, d->pick, on_later_change, d));
	return NULL;
}

static err *find_roots(struct delta *d, struct state_root *from, struct state_root *start, struct state_root *end)
{
	*from = STATE_EMPTY;
	if (!d->t->full)
		TRY(room_state_at_stream(d->view, d->t->above, from));
	TRY(task_root(d->r, d->t, end));
	*from = root_of(from->node);
	*end = root_of(end->node);
	*start = d->first ? root_of(d->first->root_after) : *end;
	return NULL;
}

static void note_member(struct delta *d, const struct entry *e)
{
	if (e->type == d->r->ss->type_member)
		(void)map_put_i(&d->members, e->key, d);
	d->t->members_changed = d->t->members_changed || e->type == d->r->ss->type_member;
}

/*
 * Members for lazy loading
 */

static err *add_member(struct delta *d, struct state_root root, int64_t user, bool redundant, int64_t **nids, size_t *n)
{
	const struct run *r = d->r;
	int64_t event;

	if (map_put_i(&d->members, user, d))
		return NULL;
	TRY(state_get(room_view_tree(d->view), r->a, root, r->ss->type_member, user, &event));
	if (is_first_key(d, r->ss->type_member, user))
		event = d->first->replaces;
	if (event && (redundant || !lazy_has(r->ss->lazy, r->device, d->t->room, user, event, r->since.stream)))
		(*nids)[(*n)++] = event;
	return NULL;
}

/* Are all senders known to the device? Asked without reading anything: no membership changed since its token. */
static bool senders_are_known(struct run *r, const struct task *t, const struct sync_room *room)
{
	for (size_t i = 0; i < room->timeline.n; i++)
		if (!lazy_has(r->ss->lazy, r->device, t->room, room->timeline.rows[i]->sender, 0, r->since.stream))
			return false;
	return true;
}

static err *add_members(struct delta *d, struct state_root root, int64_t **out, size_t *out_n)
{
	const struct sync_timeline *tl = &d->room->timeline;
	const bool redundant = d->t->full || d->r->filter.state.include_redundant_members;

	*out = ARENA_ARRAY(d->r->a, int64_t, tl->n + 1);
	*out_n = 0;
	for (size_t i = 0; i < tl->n; i++)
		TRY(add_member(d, root, tl->rows[i]->sender, redundant, out, out_n));
	/* "Servers MUST include the syncing user's own membership event when they join a room, or when the full state
	 * of rooms is requested". */
	if (d->t->full)
		TRY(add_member(d, root, d->r->rq->user, true, out, out_n));
	return NULL;
}

static int by_nid(const void *x, const void *y)
{
	const struct event_row *const *p = x, *const *q = y;

	return ((*p)->nid > (*q)->nid) - ((*p)->nid < (*q)->nid);
}

/* Why an event is redacted stands in its `unsigned`. What a state event replaced is told with the timeline only. */
static err *load_extras(struct run *r, struct task *t, struct tx *tx, struct sync_room *out)
{
	struct client_extras extras;
	struct room_view *v;

	TRY(client_events_load(tx, r->a, out->state, out->n_state, &extras));
	out->state_extras = extras.p;
	if (!rooms_any_erased(r->ss->opt.rooms, out->state, out->n_state))
		return NULL;
	TRY(task_view(r, t, &v));
	return room_view_erase(v, out->state, out->n_state, extras.p);
}

/* Adds the events that the filter lets through. */
static err *read_rows(struct run *r, struct task *t, const int64_t *nids, size_t n, struct sync_room *out)
{
	const struct event_row **all;
	struct event_row **rows;
	bool redacted = false;
	struct tx *tx;
	size_t found;

	if (n == 0)
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_events_by_nids(tx, nids, n, &rows, &found));
	all = ARENA_ARRAY(r->a, const struct event_row *, out->n_state + found);
	if (out->n_state)
		memcpy(all, out->state, out->n_state * sizeof(*all));
	out->state = all;
	for (size_t i = 0; i < found; i++) {
		bool passes;

		TRY(row_passes(r, &r->filter.state, rows[i], &passes));
		if (passes)
			all[out->n_state++] = rows[i];
	}
	if (out->n_state)
		qsort(all, out->n_state, sizeof(*all), by_nid);
	for (size_t i = 0; i < out->n_state; i++)
		redacted = redacted || all[i]->redacted_by;
	redacted = redacted || rooms_any_erased(r->ss->opt.rooms, all, out->n_state);
	return redacted ? load_extras(r, t, tx, out) : NULL;
}

static bool is_told(const struct sync_room *room, int64_t event)
{
	for (size_t i = 0; i < room->n_state; i++)
		if (room->state[i]->nid == event)
			return true;
	for (size_t i = 0; i < room->timeline.n; i++)
		if (room->timeline.rows[i]->nid == event)
			return true;
	return false;
}

err *state_add_heroes(struct run *r, struct task *t, const int64_t *users, const int64_t *events, size_t n,
		      struct sync_room *out)
{
	int64_t *nids = ARENA_ARRAY(r->a, int64_t, n);
	size_t n_nids = 0;

	for (size_t i = 0; i < n; i++)
		if (events[i] && !is_told(out, events[i]) &&
		    (t->full || !lazy_has(r->ss->lazy, r->device, t->room, users[i], events[i], r->since.stream)))
			nids[n_nids++] = events[i];
	return read_rows(r, t, nids, n_nids, out);
}

void state_remember(struct run *r, const struct task *t, const struct sync_room *room)
{
	for (size_t i = 0; i < room->n_state + room->timeline.n; i++) {
		const struct event_row *row =
			i < room->n_state ? room->state[i] : room->timeline.rows[i - room->n_state];

		if (row->type == r->ss->type_member && row->state_key)
			lazy_sent(r->ss->lazy, r->device, t->room, row->state_key, row->nid, r->position);
	}
}

static err *gather(struct run *r, struct task *t, struct sync_room *out)
{
	struct delta d = { .r = r, .t = t, .room = out };
	struct state_root from, start, end;
	int64_t *nids, *members = NULL;
	size_t n = 0, n_members = 0;

	TRY(task_view(r, t, &d.view));
	map_init(&d.later_keys, r->a);
	map_init(&d.shown, r->a);
	map_init(&d.members, r->a);
	if (out->timeline.n && !r->rq->state_after)
		d.first = out->timeline.rows[0];
	for (size_t i = 0; i < out->timeline.n; i++)
		(void)map_put_i(&d.shown, out->timeline.rows[i]->nid, &d);
	if (r->lazy && t->full)
		d.pick.but = r->ss->type_member;
	TRY(find_roots(&d, &from, &start, &end));
	TRY(collect(&d, from, start, end));
	nids = ARENA_ARRAY(r->a, int64_t, d.base.n + d.later.n + out->timeline.n + 1);
	for (size_t i = 0; i < d.base.n; i++) {
		const struct entry *e = &d.base.p[i];

		if (d.later.n && map_get(&d.later_keys, key_of(r->a, e->type, e->key)))
			continue;
		nids[n++] = e->event;
		note_member(&d, e);
	}
	for (size_t i = 0; i < d.later.n; i++) {
		nids[n++] = d.later.p[i].event;
		note_member(&d, &d.later.p[i]);
	}
	if (r->lazy)
		TRY(add_members(&d, start, &members, &n_members));
	for (size_t i = 0; i < n_members; i++)
		nids[n++] = members[i];
	return read_rows(r, t, nids, n, out);
}

err *state_gather(struct run *r, struct task *t, struct sync_room *out)
{
	const struct sync_timeline *tl = &out->timeline;
	bool changes = false;

	for (size_t i = 0; i < tl->n; i++) {
		changes = changes || (tl->rows[i]->state_key && r->rq->state_after);
		t->members_changed = t->members_changed || tl->rows[i]->type == r->ss->type_member;
	}
	if (!t->events || t->only_own || !event_filter_has_room(&r->filter.state, t->room_id))
		return NULL;
	/* What is told is all that happened, one after the other: the state before it is what the client has. */
	if (t->linear && t->whole && !changes &&
	    (!r->lazy ||
	     (!r->filter.state.include_redundant_members && !t->members_changed && senders_are_known(r, t, out))))
		return NULL;
	return gather(r, t, out);
}
