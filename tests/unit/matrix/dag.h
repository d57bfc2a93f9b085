/*
 * dag.h - rooms as graphs of events in memory, for the tests of state resolution: events are written as short lines,
 * their states are kept as trees.
 */
#pragma once

#include "auth_rows.h"
#include "base/map.h"
#include "json/json.h"
#include "matrix/auth.h"
#include "matrix/state_res.h"
#include "nodes.h"

enum { DAG_MAX = 6000 };
struct dag {
	struct arena *a;
	const struct room_version *rv;
	struct nodes nodes;
	struct event *ev[DAG_MAX + 1]; /* by number, from 1 */
	struct state_root after[DAG_MAX + 1];
	struct auth_list auth[DAG_MAX + 1];
	size_t n;
	struct map by_id, numbers;
	int64_t next_number;
	struct auth_rows rows; /* of all events: io.auth.index = &rows.index to resolve with it */
	struct state_res_io io;
	size_t asked; /* edges asked for */
	struct state_res_facts facts;
};

static inline int64_t dag_number(struct dag *d, str text)
{
	int64_t n = (int64_t)(intptr_t)map_get(&d->numbers, text);

	if (n)
		return n;
	n = d->next_number++;
	map_put(&d->numbers, arena_keep(d->a, text), (void *)(intptr_t)n);
	return n;
}

static inline err *dag_io_number(void *ctx, str text, int64_t *out)
{
	struct dag *d = ctx;

	*out = (int64_t)(intptr_t)map_get(&d->numbers, text);
	return NULL;
}

static inline err *dag_io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	struct dag *d = ctx;

	if (nid < 1 || (size_t)nid > d->n)
		return err_new(a, ERR_INTERNAL, "no event %" PRId64, nid);
	*out = d->ev[nid];
	return NULL;
}

static inline err *dag_io_auth(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	struct dag *d = ctx;

	(void)a;
	d->asked += n;
	for (size_t i = 0; i < n; i++)
		out[i] = d->auth[events[i]];
	return NULL;
}

static inline void dag_init(struct dag *d, struct arena *a, str version)
{
	memset(d, 0, sizeof(*d));
	d->a = a;
	d->rv = room_version_find(version);
	assert_non_null(d->rv);
	nodes_init(&d->nodes, a);
	map_init(&d->by_id, a);
	map_init(&d->numbers, a);
	auth_rows_init(&d->rows, a);
	d->next_number = 1;
	d->io = (struct state_res_io){
		.ctx = d,
		.event = dag_io_event,
		.number = dag_io_number,
		.auth = { .ctx = d, .auth_events = dag_io_auth },
	};
}

static inline const struct event *dag_event(struct dag *d, const char *id)
{
	const struct event *ev = map_get(&d->by_id, str_c(id));

	if (!ev)
		fail_msg("no event %s", id);
	return ev;
}

struct dag_lookup {
	struct dag *d;
	struct state_root root;
};

static inline const struct event *dag_look_up(void *ctx, str type, str state_key)
{
	struct dag_lookup *l = ctx;
	int64_t nid;

	assert_null(state_get(&l->d->nodes.tree, l->d->a, l->root, dag_number(l->d, type), dag_number(l->d, state_key),
			      &nid));
	return nid ? l->d->ev[nid] : NULL;
}

static inline struct state_root dag_resolve(struct dag *d, const struct state_root *roots, size_t n)
{
	struct state_builder b;
	struct state_root out;
	err *e;

	state_builder_init(&b, d->a, &d->nodes.tree);
	e = state_resolve(d->a, d->rv, &b, roots, n, &d->io, &out, &d->facts);
	if (e)
		fail_msg("%.*s (%s)", STR_ARG(e->msg), e->where);
	nodes_seal(&d->nodes, &b, &out, 1);
	return out;
}

static inline struct state_root dag_set(struct dag *d, struct state_root root, const struct event *ev)
{
	struct state_builder b;
	struct state_root out;

	state_builder_init(&b, d->a, &d->nodes.tree);
	assert_null(state_set(&b, root, dag_number(d, ev->type), dag_number(d, ev->state_key), ev->nid, &out));
	nodes_seal(&d->nodes, &b, &out, 1);
	return out;
}

struct dag_line {
	const char *id, *sender, *type, *key, *content;
	const char *prev; /* ids, one space between; NULL: the event before this one */
	const char *auth; /* ids; NULL: selected from the state before */
	int64_t ts;       /* 0: by the order of the lines */
};

static inline size_t dag_split(struct dag *d, const char *list, str *out, size_t max)
{
	str rest = str_c(list), piece;
	size_t n = 0;

	while (str_split_next(&rest, ' ', &piece) && piece.n > 0) {
		assert_true(n < max);
		out[n++] = arena_keep(d->a, piece);
	}
	return n;
}

/* An event that is not yet part of the graph. Its auth_events come from the state `before`, unless named. */
static inline struct event *dag_make(struct dag *d, const struct dag_line *l, struct state_root before)
{
	struct event *ev = ARENA_NEW(d->a, struct event);
	struct json *content;
	str *prev = ARENA_ARRAY(d->a, str, 20), *auth = ARENA_ARRAY(d->a, str, 20);

	assert_null(json_parse(d->a, str_c(l->content), &json_limits_event, &content));
	ev->content = content;
	ev->json = json_new_object(d->a);
	ev->event_id = str_c(l->id);
	ev->room_id = d->rv->room_id_is_create_hash ? S("!create") : S("!room:x");
	ev->sender = str_c(l->sender);
	ev->type = str_c(l->type);
	ev->state_key = str_c(l->key);
	ev->nid = (int64_t)d->n + 1;
	ev->origin_server_ts = l->ts ? l->ts : ev->nid;
	ev->prev_events = prev;
	if (l->prev)
		ev->n_prev_events = dag_split(d, l->prev, prev, 20);
	else if (d->n > 0)
		prev[ev->n_prev_events++] = d->ev[d->n]->event_id;
	ev->auth_events = auth;
	if (l->auth) {
		ev->n_auth_events = dag_split(d, l->auth, auth, 20);
		return ev;
	}
	struct state_key keys[AUTH_KEYS_MAX];
	struct dag_lookup look = { d, before };
	const size_t n = auth_keys(d->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	for (size_t i = 0; i < n; i++) {
		const struct event *found = dag_look_up(&look, keys[i].type, keys[i].state_key);

		if (found)
			auth[ev->n_auth_events++] = found->event_id;
	}
	return ev;
}

static inline void dag_put(struct dag *d, struct event *ev, struct state_root before)
{
	int64_t *auth = ARENA_ARRAY(d->a, int64_t, ev->n_auth_events);
	const struct event **named_events = ARENA_ARRAY(d->a, const struct event *, ev->n_auth_events);
	const struct auth_key key = { dag_number(d, ev->type), dag_number(d, ev->state_key) };
	struct auth_entry entry = { .event = ev->nid, .n_parents = ev->n_auth_events };

	assert_true(d->n < DAG_MAX);
	assert_int_equal(ev->nid, d->n + 1);
	for (size_t i = 0; i < ev->n_auth_events; i++) {
		const struct event *named = map_get(&d->by_id, ev->auth_events[i]);

		assert_non_null(named);
		auth[i] = named->nid;
		named_events[i] = named;
	}
	entry.parents = auth_parents(d->a, ev, named_events, ev->n_auth_events);
	if (event_is_state(ev))
		auth_rows_add(&d->rows, &entry, &key, 1);
	d->ev[++d->n] = ev;
	d->auth[d->n] = (struct auth_list){ auth, ev->n_auth_events };
	assert_null(map_put(&d->by_id, ev->event_id, ev));
	d->after[d->n] = event_is_state(ev) ? dag_set(d, before, ev) : before;
}

/* The state before an event with these prev_events. */
static inline struct state_root dag_before(struct dag *d, const str *prev, size_t n)
{
	struct state_root roots[20];

	if (n == 0)
		return STATE_EMPTY;
	for (size_t i = 0; i < n; i++) {
		const struct event *ev = map_get(&d->by_id, prev[i]);

		assert_non_null(ev);
		roots[i] = d->after[ev->nid];
	}
	return dag_resolve(d, roots, n);
}

/* Adds an event, which must be allowed by the state before it. */
static inline const struct event *dag_add(struct dag *d, const struct dag_line *l)
{
	str prev[20];
	size_t n = l->prev ? dag_split(d, l->prev, prev, 20) : 0;

	if (!l->prev && d->n > 0)
		prev[n++] = d->ev[d->n]->event_id;
	struct dag_lookup look = { d, dag_before(d, prev, n) };
	struct event *ev = dag_make(d, l, look.root);
	err *e = auth_check(d->a, d->rv, ev, dag_look_up, &look);

	if (e)
		fail_msg("%s: %.*s", l->id, STR_ARG(e->msg));
	dag_put(d, ev, look.root);
	return ev;
}

/* A state made of the named events, whatever led there: what another server may claim. */
static inline struct state_root dag_state(struct dag *d, const char *ids)
{
	str id[20];
	const size_t n = dag_split(d, ids, id, 20);
	struct state_root root = STATE_EMPTY;

	for (size_t i = 0; i < n; i++)
		root = dag_set(d, root, map_get(&d->by_id, id[i]));
	return root;
}

/* The id of the event under a key, "" for none. */
static inline str dag_held(struct dag *d, struct state_root root, const char *type, const char *key)
{
	struct dag_lookup look = { d, root };
	const struct event *ev = dag_look_up(&look, str_c(type), str_c(key));

	return ev ? ev->event_id : S("");
}
