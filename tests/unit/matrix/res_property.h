/*
 * res_property.h - what state resolution owes everybody, on one random room: the same as the slow model, whatever the
 * order of the states, given twice or not, with and without an index of auth chains, and in whatever order events got
 * their numbers; a state with itself is that state.
 *
 *	struct res_seen seen = { 0 };
 *	str complaint = res_property(version, (struct draws){ .bytes = data, .left = size }, 40, 6, &seen);
 *
 * STR_NONE: all is well. Else words, in an arena of the caller's.
 */
#pragma once

#include "base/map.h"
#include "matrix/auth_rows.h"
#include "matrix/nodes.h"
#include "matrix/res_rooms.h"
#include "matrix/state_res.h"

/* How often the cases met something: whoever runs many asks for enough of it. */
struct res_seen {
	size_t rooms, events, cases;
	size_t conflicts, refused, difference, saved, subgraph, rejected, climbs, many, losses, resets;
};

/* A model's room with trees, and numbers of its own for events and keys. */
struct res_trees {
	struct res_room *room;
	struct nodes nodes;
	struct event *ev[MODEL_EVENTS + 1];                    /* by number */
	int number[MODEL_EVENTS + 1], event[MODEL_EVENTS + 1]; /* by the model's number; back */
	unsigned text_seed;
	struct map numbers;
	int64_t next_number;
	struct auth_rows rows;
	struct state_res_io io;
};

static inline int64_t res_number(struct res_trees *t, str text)
{
	int64_t n = (int64_t)(intptr_t)map_get(&t->numbers, text);

	if (n)
		return n;
	n = t->next_number;
	t->next_number += t->text_seed ? -1 : 1;
	map_put(&t->numbers, text, (void *)(intptr_t)n);
	return n;
}

static inline err *res_io_number(void *ctx, str text, int64_t *out)
{
	struct res_trees *t = ctx;

	*out = (int64_t)(intptr_t)map_get(&t->numbers, text);
	return NULL;
}

static inline err *res_io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	struct res_trees *t = ctx;

	(void)a;
	assert(nid >= 1 && nid <= t->room->m.n);
	*out = t->ev[nid];
	return NULL;
}

static inline err *res_io_auth(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	struct res_trees *t = ctx;
	const struct model *m = &t->room->m;

	for (size_t i = 0; i < n; i++) {
		const int x = t->event[events[i]];
		int64_t *list = ARENA_ARRAY(a, int64_t, EVENT_MAX_AUTH);

		for (int k = 0; k < m->n_auth[x]; k++)
			list[k] = t->number[m->auth[x][k]];
		out[i] = (struct auth_list){ list, (size_t)m->n_auth[x] };
	}
	return NULL;
}

static inline struct auth_key res_key(struct res_trees *t, int x)
{
	const struct event *ev = t->room->m.ev[x];

	return event_is_state(ev) ? (struct auth_key){ res_number(t, ev->type), res_number(t, ev->state_key) }
				  : (struct auth_key){ 0 };
}

/* The index of auth chains: each event as it comes; or all at once, the last ones first. */
static inline void res_index(struct res_trees *t, bool backwards)
{
	const struct model *m = &t->room->m;
	struct auth_entry *entries = ARENA_ARRAY(m->a, struct auth_entry, (size_t)m->n);
	struct auth_key *keys = ARENA_ARRAY(m->a, struct auth_key, (size_t)m->n);
	size_t n = 0;

	auth_rows_init(&t->rows, m->a);
	for (int i = 1; i <= m->n; i++) {
		const int x = backwards ? m->n + 1 - i : i;
		int64_t *auth = ARENA_ARRAY(m->a, int64_t, EVENT_MAX_AUTH);
		struct auth_key *auth_keys = ARENA_ARRAY(m->a, struct auth_key, EVENT_MAX_AUTH);
		struct auth_list *named = ARENA_ARRAY(m->a, struct auth_list, EVENT_MAX_AUTH);
		const size_t n_auth = (size_t)m->n_auth[x];
		err *e = NULL;

		if (!event_is_state(m->ev[x]))
			continue;
		for (size_t k = 0; k < n_auth; k++) {
			auth[k] = t->number[m->auth[x][k]];
			auth_keys[k] = res_key(t, m->auth[x][k]);
			if (!backwards && !e)
				e = res_io_auth(t, m->a, &auth[k], 1, &named[k]);
		}
		assert(!e);
		keys[n] = res_key(t, x);
		entries[n] = (struct auth_entry){
			.event = t->number[x],
			.parents = auth_parents_of(m->a, keys[n], auth, n_auth, auth_keys, named),
			.n_parents = n_auth,
		};
		n++;
	}
	for (size_t i = 0; !backwards && i < n; i++)
		auth_rows_add(&t->rows, &entries[i], &keys[i], 1);
	if (backwards)
		auth_rows_add(&t->rows, entries, keys, n);
}

static inline void res_trees_init(struct res_trees *t, struct res_room *r, bool backwards)
{
	struct arena *a = r->m.a;

	*t = (struct res_trees){ .room = r, .text_seed = backwards, .next_number = backwards ? 100000 : 1 };
	nodes_init(&t->nodes, a);
	map_init(&t->numbers, a);
	for (int x = 1; x <= r->m.n; x++) {
		const int number = backwards ? r->m.n + 1 - x : x;

		t->ev[number] = ARENA_NEW(a, struct event);
		*t->ev[number] = *r->m.ev[x];
		t->ev[number]->nid = number;
		t->number[x] = number;
		t->event[number] = x;
		if (event_is_state(r->m.ev[x])) { /* as a store does, which numbers what it keeps */
			(void)res_number(t, r->m.ev[x]->type);
			(void)res_number(t, r->m.ev[x]->state_key);
		}
	}
	t->io = (struct state_res_io){
		.ctx = t,
		.event = res_io_event,
		.number = res_io_number,
		.auth = { .ctx = t, .auth_events = res_io_auth },
	};
	res_index(t, backwards);
}

static inline struct state_root res_tree(struct res_trees *t, const struct model_state *s)
{
	const struct model *m = &t->room->m;
	struct state_root root = STATE_EMPTY;
	struct state_entry entries[MODEL_KEYS];
	struct state_builder b;
	size_t n = 0;
	err *e;

	for (int k = 0; k < m->n_keys; k++)
		if (s->event[k])
			entries[n++] =
				(struct state_entry){ res_number(t, m->key[k].type), res_number(t, m->key[k].state_key),
						      t->number[s->event[k]] };
	state_builder_init(&b, m->a, &t->nodes.tree);
	e = state_apply(&b, STATE_EMPTY, entries, n, &root);
	assert(!e);
	nodes_seal(&t->nodes, &b, &root, 1);
	return root;
}

static inline struct state_root res_resolve(struct res_trees *t, const struct state_root *roots, int n,
					    struct state_res_facts *facts)
{
	struct arena *a = t->room->m.a;
	struct state_builder b;
	struct state_root out;
	err *e;

	state_builder_init(&b, a, &t->nodes.tree);
	e = state_resolve(a, t->room->m.rv, &b, roots, (size_t)n, &t->io, &out, facts);
	if (e)
		(void)fprintf(stderr, "%.*s (%s)\n", STR_ARG(e->msg), e->where);
	assert(!e);
	nodes_seal(&t->nodes, &b, &out, 1);
	return out;
}

#include "matrix/res_property_cases.h"
