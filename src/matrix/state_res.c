/*
 * state_res.c - state resolution: what all versions share, and versions 2 and 2.1. Version 1 is in state_res_v1.c.
 *
 * The sentences of the specification stand where they are carried out. Three things are worth knowing first.
 *
 * States are trees, so the conflicted keys are the differences between the first tree and each other one, and the
 * result is the first tree with the conflicted keys changed. Unconflicted state is never walked: it is looked up, key
 * by key, when an authorisation rule asks for it.
 *
 * An event of the full conflicted set may belong to a key that is not conflicted (it was in the auth difference). It
 * takes part in all checks, and in the end gives way to the unconflicted event of its key.
 *
 * Where the text can be read in two ways, servers must read it alike, for a room whose servers resolve differently
 * falls apart. docs/internals/state-resolution.md lists those places and how they are read here.
 *
 * https://spec.matrix.org/latest/rooms/v11/#state-resolution and
 * https://spec.matrix.org/latest/rooms/v12/#state-resolution
 */
#include "matrix/state_res.h"

#include <assert.h>

#include "matrix/internal_state_res.h"

err *res_event(struct res *r, int64_t nid, const struct event **out)
{
	const struct event *ev = map_get_i(&r->events, nid);

	if (!ev) {
		TRY(r->io->event(r->io->ctx, r->a, nid, &ev));
		assert(ev->nid == nid);
		map_put_i(&r->events, nid, (void *)ev);
	}
	*out = ev;
	return NULL;
}

err *res_will_need(struct res *r, const int64_t *nids, size_t n)
{
	return r->io->will_need && n > 0 ? r->io->will_need(r->io->ctx, r->a, nids, n) : NULL;
}

err *res_among(struct res *r, const struct auth_list *auth, str type, str state_key, const struct event **out)
{
	*out = NULL;
	for (size_t i = 0; i < auth->n && !*out; i++) {
		const struct event *ev;

		TRY(res_event(r, auth->p[i], &ev));
		if (event_is(ev, type, state_key))
			*out = ev;
	}
	return NULL;
}

err *res_key(struct res *r, str type, str state_key, int64_t out[2], bool *out_known)
{
	TRY(r->io->number(r->io->ctx, type, &out[0]));
	TRY(r->io->number(r->io->ctx, state_key, &out[1]));
	*out_known = out[0] != 0 && out[1] != 0;
	return NULL;
}

/* "a given key K is present in every S_i with the same value V": that value, or 0. */
static err *unconflicted(struct res *r, const int64_t key[2], int64_t *out)
{
	*out = 0;
	if (map_get(&r->conflicts, res_pair(key)))
		return NULL;
	return state_get(r->tree, r->a, r->roots[0], key[0], key[1], out);
}

err *res_current(struct res *r, str type, str state_key, const struct event **out)
{
	const struct res_slot *slot;
	int64_t key[2], event;
	bool known;

	*out = NULL;
	TRY(res_key(r, type, state_key, key, &known));
	if (!known)
		return NULL;
	slot = map_get(&r->resolved, res_pair(key));
	if (slot)
		return res_event(r, slot->event, out);
	/* v12, step 2: "starting from an empty state map"; before: "starting from the unconflicted state map". */
	if (r->rv->state_res == STATE_RES_V2_1)
		return NULL;
	TRY(unconflicted(r, key, &event));
	return event ? res_event(r, event, out) : NULL;
}

void res_put(struct res *r, const int64_t key[2], int64_t event)
{
	struct res_slot *slot = map_get(&r->resolved, res_pair(key));

	if (!slot) {
		slot = ARENA_NEW(r->a, struct res_slot);
		memcpy(slot->key, key, sizeof(slot->key));
		map_put(&r->resolved, res_pair(slot->key), slot);
	}
	slot->event = event;
}

/*
 * The full conflicted set
 */
struct diff_of {
	struct res *r;
	size_t root;
};

static err *on_difference(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct diff_of *d = arg;
	struct res *r = d->r;
	const int64_t k[2] = { type, key };
	struct res_conflict *c = map_get(&r->conflicts, res_pair(k));

	if (!c) {
		c = ARENA_NEW(r->a, struct res_conflict);
		c->key[0] = type;
		c->key[1] = key;
		c->event = ARENA_ARRAY(r->a, int64_t, r->n_roots);
		for (size_t i = 0; i < r->n_roots; i++)
			c->event[i] = old; /* states before this one that have no difference here are as the first */
		map_put(&r->conflicts, res_pair(c->key), c);
	}
	c->event[d->root] = now;
	return NULL;
}

/* "If a given key K is present in every S_i with the same value V in each state map, then the pair (K, V) belongs to
 * the unconflicted state map. Otherwise, V belongs to the conflicted state set." */
static err *find_conflicts(struct res *r)
{
	for (size_t i = 1; i < r->n_roots; i++) {
		struct diff_of d = { r, i };

		TRY(state_diff(r->tree, r->a, r->roots[0], r->roots[i], (struct state_pick){ 0 }, on_difference, &d));
	}
	return NULL;
}

static err *is_common(void *ctx, int64_t event, bool *out)
{
	struct res *r = ctx;
	const struct event *ev;
	int64_t key[2], held = 0;
	bool known = false;

	TRY(res_event(r, event, &ev));
	if (event_is_state(ev))
		TRY(res_key(r, ev->type, ev->state_key, key, &known));
	if (known)
		TRY(unconflicted(r, key, &held));
	*out = held == event;
	return NULL;
}

struct commons {
	struct res *r;
	VEC(int64_t) list;
};

static err *on_common(void *arg, const struct state_entry *e)
{
	struct commons *c = arg;

	if (!map_get(&c->r->conflicts, res_pair((const int64_t[]){ e->type, e->key })))
		vec_push(c->r->a, &c->list, e->event);
	return NULL;
}

static err *common(void *ctx, struct arena *a, struct auth_list *out)
{
	struct commons c = { .r = ctx };

	TRY(state_each(c.r->tree, a, c.r->roots[0], (struct state_pick){ 0 }, on_common, &c));
	*out = (struct auth_list){ c.list.p, c.list.n };
	return NULL;
}

/* What each state has under a key. */
static err *held(void *ctx, int64_t type, int64_t key, int64_t *out)
{
	struct res *r = ctx;
	const int64_t k[2] = { type, key };
	const struct res_conflict *c = map_get(&r->conflicts, res_pair(k));
	int64_t same;

	if (c) {
		memcpy(out, c->event, r->n_roots * sizeof(*out));
		return NULL;
	}
	TRY(state_get(r->tree, r->a, r->roots[0], type, key, &same));
	for (size_t i = 0; i < r->n_roots; i++)
		out[i] = same;
	return NULL;
}

struct starts {
	struct auth_start *p;
	size_t n, cap;
};

/* The conflicted state set, and which states each event is in. (An event stands under one key only.) */
static void conflicted_set(struct res *r, struct starts *out)
{
	void *value;
	str key;

	for (size_t i = 0; map_next(&r->conflicts, &i, &key, &value);) {
		const struct res_conflict *c = value;
		const size_t from = out->n;

		for (size_t s = 0; s < r->n_roots; s++) {
			size_t k = from;

			if (!c->event[s])
				continue;
			while (k < out->n && out->p[k].event != c->event[s])
				k++;
			if (k == out->n)
				vec_push(r->a, out, (struct auth_start){ .event = c->event[s] });
			out->p[k].in |= UINT64_C(1) << s;
		}
	}
}

static err *add_items(struct res *r, const int64_t *events, size_t n)
{
	TRY(res_will_need(r, events, n));
	for (size_t i = 0; i < n; i++) {
		struct res_item *it;

		if (map_get_i(&r->items, events[i]))
			continue;
		it = ARENA_NEW(r->a, struct res_item);
		map_put_i(&r->items, events[i], it);
		vec_push(r->a, &r->full, it);
		TRY(res_event(r, events[i], &it->ev));
		TRY(r->io->number(r->io->ctx, it->ev->type, &it->type));
		TRY(r->io->number(r->io->ctx, it->ev->state_key, &it->key));
		if (!event_is_state(it->ev) || !it->type || !it->key)
			return err_new(r->a, ERR_INTERNAL, "%.*s in a state, and no state event",
				       STR_ARG(it->ev->event_id));
	}
	return NULL;
}

/* What each event of the set names in its auth_events; those events are about to be looked at. */
static err *add_auth_events(struct res *r)
{
	int64_t *all = ARENA_ARRAY(r->a, int64_t, r->full.n);
	struct auth_list *lists = ARENA_ARRAY(r->a, struct auth_list, r->full.n);
	VEC(int64_t) named = { 0 };
	struct map seen;

	for (size_t i = 0; i < r->full.n; i++)
		all[i] = r->full.p[i]->ev->nid;
	TRY(r->io->auth.auth_events(r->io->auth.ctx, r->a, all, r->full.n, lists));
	map_init(&seen, r->a);
	for (size_t i = 0; i < r->full.n; i++) {
		r->full.p[i]->auth = lists[i];
		for (size_t k = 0; k < lists[i].n; k++)
			if (!map_get_i(&r->events, lists[i].p[k]) && !map_put_i(&seen, lists[i].p[k], r))
				vec_push(r->a, &named, lists[i].p[k]);
	}
	return res_will_need(r, named.p, named.n);
}

/* "The full conflicted set is the union of the conflicted state set and the auth difference", in v12 also of "the
 * conflicted state subgraph". */
static err *full_conflicted_set(struct res *r)
{
	struct starts starts = { 0 };
	struct auth_list difference, subgraph = { 0 };

	conflicted_set(r, &starts);
	const struct auth_states states = {
		.starts = starts.p,
		.n_starts = starts.n,
		.n_states = r->n_roots,
		.is_common = is_common,
		.common = common,
		.at = held,
		.ctx = r,
	};
	int64_t *events = ARENA_ARRAY(r->a, int64_t, starts.n);

	for (size_t i = 0; i < starts.n; i++)
		events[i] = starts.p[i].event;
	TRY(auth_difference(r->a, &r->io->auth, &states, &difference));
	if (r->rv->state_res == STATE_RES_V2_1)
		TRY(auth_subgraph(r->a, &r->io->auth, events, starts.n, &subgraph));
	TRY(add_items(r, events, starts.n));
	for (size_t i = 0; i < r->full.n; i++)
		res_note(r, STATE_RES_CONFLICTED, r->full.p[i]->ev, NULL);
	TRY(add_items(r, difference.p, difference.n));
	TRY(add_items(r, subgraph.p, subgraph.n));
	for (size_t i = 0; i < r->full.n; i++)
		res_note(r, STATE_RES_FULL, r->full.p[i]->ev, NULL);
	r->facts.full = r->full.n;
	return add_auth_events(r);
}

/*
 * Step 1
 */

/* "A power event is a state event with type m.room.power_levels or m.room.join_rules, or a state event with type
 * m.room.member where the membership is leave or ban and the sender does not match the state_key." */
static bool is_power_event(const struct event *ev)
{
	if (event_is(ev, S("m.room.power_levels"), S("")) || event_is(ev, S("m.room.join_rules"), S("")))
		return true;
	if (!str_eq(ev->type, S("m.room.member")) || str_eq(ev->sender, ev->state_key))
		return false;
	return str_eq(event_membership(ev), S("leave")) || str_eq(event_membership(ev), S("ban"));
}

/* "Select the set X of all power events that appear in the full conflicted set. For each such power event P, enlarge X
 * by adding the events in the auth chain of P which also belong to the full conflicted set." */
static void choose(struct res *r, struct res_items *out)
{
	for (size_t i = 0; i < r->full.n; i++)
		if (is_power_event(r->full.p[i]->ev)) {
			r->full.p[i]->chosen = true;
			vec_push(r->a, out, r->full.p[i]);
		}
	for (size_t i = 0; i < out->n; i++) /* grows as it goes */
		for (size_t k = 0; k < out->p[i]->auth.n; k++) {
			struct res_item *it = map_get_i(&r->items, out->p[i]->auth.p[k]);

			if (!it || it->chosen)
				continue;
			it->chosen = true;
			vec_push(r->a, out, it);
		}
}

/*
 * Steps 2 and 4
 */
static const struct event *look_up(void *ctx, str type, str state_key)
{
	const struct res_lookups *l = ctx;

	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->key[i].type, type) && str_eq(l->key[i].state_key, state_key))
			return l->ev[i];
	return NULL;
}

void res_refuse(struct res *r, enum state_res_step step, const struct event *ev, const err *why)
{
	r->facts.refused++;
	map_put_i(&r->refused, ev->nid, (void *)ev);
	res_note(r, step, ev, why);
}

bool res_allowed(struct res *r, enum state_res_step step, const struct event *ev, const struct res_lookups *l)
{
	const err *refusal = auth_check(r->a, r->rv, ev, look_up, (void *)l);

	if (refusal)
		res_refuse(r, step, ev, refusal);
	else
		res_note(r, step, ev, NULL);
	return !refusal;
}

/* What the authorisation rules may ask for. */
static err *gather(struct res *r, const struct res_item *it, struct res_lookups *l)
{
	const struct event *ev = it->ev;

	l->n = auth_lookups(r->rv, ev->type, ev->state_key, ev->sender, ev->content, l->key);
	for (size_t i = 0; i < l->n; i++) {
		const struct event **found = &l->ev[i];

		TRY(res_current(r, l->key[i].type, l->key[i].state_key, found));
		if (*found)
			continue;
		/* "If a (event_type, state_key) key that is required for checking the authorisation rules is not
		 * present in the state, then the appropriate state event from the event's auth_events is used if the
		 * auth event is not rejected." */
		TRY(res_among(r, &it->auth, l->key[i].type, l->key[i].state_key, found));
		if (*found && (*found)->rejected)
			*found = NULL;
		/* The create event is implied by room_id where it is not among the auth_events. */
		if (!*found && r->rv->create_not_in_auth_events && str_eq(l->key[i].type, S("m.room.create")))
			*found = r->create;
	}
	return NULL;
}

/* "constructs a new room state by iterating through the event list and applying the state event to the room state if
 * the state event is allowed by the authorisation rules. If the state event is not allowed by the authorisation rules,
 * then the event is ignored." */
static err *auth_checks(struct res *r, enum state_res_step step, const struct res_items *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct res_item *it = list->p[i];
		struct res_lookups l;

		TRY(gather(r, it, &l));
		if (res_allowed(r, step, it->ev, &l))
			res_put(r, (const int64_t[]){ it->type, it->key }, it->ev->nid);
	}
	return NULL;
}

/*
 * Step 5
 */

/* "Update the result by replacing any event with the event with the same key from the unconflicted state map, if such
 * an event exists, to get the final resolved state." As changes to the first state. */
static err *finish(struct res *r, struct state_builder *b, struct state_root *out)
{
	VEC(struct state_entry) changes = { 0 };
	void *value;
	str key;

	for (size_t i = 0; map_next(&r->conflicts, &i, &key, &value);) {
		const struct res_conflict *c = value;
		const struct res_slot *slot = map_get(&r->resolved, key);

		vec_push(r->a, &changes, (struct state_entry){ c->key[0], c->key[1], slot ? slot->event : 0 });
	}
	for (size_t i = 0; map_next(&r->resolved, &i, &key, &value);) {
		const struct res_slot *slot = value;
		int64_t held;

		if (map_get(&r->conflicts, key))
			continue;
		TRY(unconflicted(r, slot->key, &held));
		if (!held)
			vec_push(r->a, &changes, (struct state_entry){ slot->key[0], slot->key[1], slot->event });
	}
	TRY(state_apply(b, r->roots[0], changes.p, changes.n, out));
	for (size_t i = 0; i < r->n_roots; i++)
		if (state_same(*out, r->roots[i])) {
			*out = r->roots[i];
			break;
		}
	return NULL;
}

/* The room's create event: every state has it. */
static err *find_create(struct res *r)
{
	int64_t key[2], event = 0;
	bool known;

	TRY(res_key(r, S("m.room.create"), S(""), key, &known));
	for (size_t i = 0; known && !event && i < r->n_roots; i++)
		TRY(state_get(r->tree, r->a, r->roots[i], key[0], key[1], &event));
	return event ? res_event(r, event, &r->create) : NULL;
}

static err *res_v2(struct res *r)
{
	struct res_items first = { 0 }, rest = { 0 };

	TRY(find_create(r));
	TRY(full_conflicted_set(r));
	/* "1. ... Sort X into a list using the reverse topological power ordering." */
	choose(r, &first);
	TRY(res_sort_by_power(r, &first));
	/* "2. Apply the iterative auth checks algorithm" */
	TRY(auth_checks(r, STATE_RES_POWER, &first));
	/* "3. Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on
	 * the power level in the partially resolved state obtained in step 2." */
	for (size_t i = 0; i < r->full.n; i++)
		if (!r->full.p[i]->chosen)
			vec_push(r->a, &rest, r->full.p[i]);
	TRY(res_sort_by_mainline(r, &rest));
	/* "4. Apply the iterative auth checks algorithm on the partial resolved state and the list of events from the
	 * previous step." */
	return auth_checks(r, STATE_RES_MAINLINE, &rest);
}

err *state_resolve(struct arena *a, const struct room_version *rv, struct state_builder *b,
		   const struct state_root *roots, size_t n, const struct state_res_io *io, struct state_root *out,
		   struct state_res_facts *facts)
{
	struct res r = { .a = a, .rv = rv, .io = io, .tree = &b->tree, .roots = roots, .n_roots = n };

	assert(n >= 1 && n <= STATE_RES_MAX_ROOTS);
	map_init(&r.conflicts, a);
	map_init(&r.events, a);
	map_init(&r.items, a);
	map_init(&r.resolved, a);
	map_init(&r.refused, a);
	TRY(find_conflicts(&r));
	r.facts.conflicted = r.conflicts.n;
	*out = roots[0];
	if (r.conflicts.n > 0) {
		TRY(rv->state_res == STATE_RES_V1 ? res_v1(&r) : res_v2(&r));
		TRY(finish(&r, b, out));
		if (facts)
			TRY(res_losses(&r, *out));
	}
	if (facts)
		*facts = r.facts;
	return NULL;
}
