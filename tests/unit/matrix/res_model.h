/*
 * res_model.h - state resolution as slow as it is plain: the sentences of the specification, one after the other, over
 * sets of events that are arrays of bool. No trees, no differences, no index, no shortcut, and nothing of
 * src/matrix/state_res*. Of the library it has events, the authorisation rules, power levels and SHA-1.
 *
 * What is read into the sentences stands in docs/internals/state-resolution.md.
 */
#pragma once

#include <assert.h>

#include "crypto/crypto.h"
#include "matrix/auth.h"
#include "matrix/power_levels.h"

enum { MODEL_EVENTS = 128, MODEL_KEYS = 96 };

struct model_state { /* by key: the event's number, 0: none */
	int event[MODEL_KEYS];
};
struct model_set {
	bool has[MODEL_EVENTS + 1];
};
/* What a resolution met, to see that tests meet all of it. */
struct model_met {
	int conflicted, full, difference, subgraph, refused;
	int saved;    /* reached by what some states alone have, and by what all have: not in the auth difference */
	int rejected; /* rejected events of the full conflicted set */
	int climbs;   /* version 1: keys of power levels, join rules and members with several events */
};
struct model {
	struct arena *a;
	const struct room_version *rv;
	const struct event *ev[MODEL_EVENTS + 1]; /* from 1; the first is the create event */
	int n;
	int auth[MODEL_EVENTS + 1][EVENT_MAX_AUTH], n_auth[MODEL_EVENTS + 1];
	struct model_set chain[MODEL_EVENTS + 1];
	struct state_key key[MODEL_KEYS];
	int n_keys, key_of[MODEL_EVENTS + 1]; /* -1: a message */
	struct model_met met;
};

static inline int model_key(struct model *m, str type, str state_key)
{
	for (int i = 0; i < m->n_keys; i++)
		if (str_eq(m->key[i].type, type) && str_eq(m->key[i].state_key, state_key))
			return i;
	assert(m->n_keys < MODEL_KEYS);
	m->key[m->n_keys] = (struct state_key){ type, state_key };
	return m->n_keys++;
}

static inline int model_find(const struct model *m, str event_id)
{
	for (int x = 1; x <= m->n; x++)
		if (str_eq(m->ev[x]->event_id, event_id))
			return x;
	return 0;
}

/* The events it names must be there. "The auth chain of an event E is the set containing all of E's auth events, all of
 * their auth events, and so on recursively". */
static inline int model_add(struct model *m, const struct event *ev)
{
	const int x = m->n + 1;

	assert(x <= MODEL_EVENTS && ev->n_auth_events <= EVENT_MAX_AUTH);
	for (size_t i = 0; i < ev->n_auth_events; i++) {
		const int y = model_find(m, ev->auth_events[i]);

		assert(y != 0);
		m->auth[x][m->n_auth[x]++] = y;
		m->chain[x].has[y] = true;
		for (int z = 1; z < x; z++)
			m->chain[x].has[z] = m->chain[x].has[z] || m->chain[y].has[z];
	}
	m->ev[x] = ev;
	m->key_of[x] = event_is_state(ev) ? model_key(m, ev->type, ev->state_key) : -1;
	return m->n = x;
}

static inline int model_auth_of(const struct model *m, int x, str type, str state_key)
{
	for (int i = 0; i < m->n_auth[x]; i++)
		if (event_is(m->ev[m->auth[x][i]], type, state_key))
			return m->auth[x][i];
	return 0;
}

static inline int model_levels_of(const struct model *m, int x)
{
	return model_auth_of(m, x, S("m.room.power_levels"), S(""));
}

/*
 * Orders
 */
static inline int64_t model_power(const struct model *m, int x)
{
	const int levels = model_levels_of(m, x);
	const struct power_levels pl = power_levels_of(m->rv, m->ev[1], levels ? m->ev[levels] : NULL);

	return power_of_user(&pl, m->ev[x]->sender);
}

static inline bool model_earlier(const struct model *m, int x, int y)
{
	if (m->ev[x]->origin_server_ts != m->ev[y]->origin_server_ts)
		return m->ev[x]->origin_server_ts < m->ev[y]->origin_server_ts;
	return str_cmp(m->ev[x]->event_id, m->ev[y]->event_id) < 0;
}

static inline bool model_less_by_power(const struct model *m, int x, int y)
{
	const int64_t px = model_power(m, x), py = model_power(m, y);

	return px != py ? px > py : model_earlier(m, x, y);
}

/* "at each step selecting, among all the candidate vertices, the smallest vertex" */
static inline int model_sort_by_power(const struct model *m, const struct model_set *set, int *out)
{
	struct model_set given = { 0 };

	for (int n = 0;; n++) {
		int best = 0;

		for (int x = 1; x <= m->n; x++) {
			bool ready = set->has[x] && !given.has[x];

			for (int i = 0; i < m->n_auth[x]; i++)
				ready = ready && (!set->has[m->auth[x][i]] || given.has[m->auth[x][i]]);
			if (ready && (!best || model_less_by_power(m, x, best)))
				best = x;
		}
		if (!best)
			return n;
		given.has[best] = true;
		out[n] = best;
	}
}

static inline int model_mainline_position(const struct model *m, int p0, int e)
{
	for (int ej = model_levels_of(m, e); ej; ej = model_levels_of(m, ej)) {
		int i = 0;

		for (int pi = p0; pi; pi = model_levels_of(m, pi), i++)
			if (pi == ej)
				return i;
	}
	return MODEL_EVENTS + 1;
}

static inline bool model_less_by_mainline(const struct model *m, int p0, int x, int y)
{
	const int px = model_mainline_position(m, p0, x), py = model_mainline_position(m, p0, y);

	return px != py ? px > py : model_earlier(m, x, y);
}

static inline int model_sort_by_mainline(const struct model *m, int p0, struct model_set left, int *out)
{
	for (int n = 0;; n++) {
		int best = 0;

		for (int x = 1; x <= m->n; x++)
			if (left.has[x] && (!best || model_less_by_mainline(m, p0, x, best)))
				best = x;
		if (!best)
			return n;
		left.has[best] = false;
		out[n] = best;
	}
}

/* Version 1: "ascending depth then descending sha1(event_id)" */
static inline bool model_less_by_depth(const struct model *m, int x, int y)
{
	uint8_t hx[20], hy[20];

	if (m->ev[x]->depth != m->ev[y]->depth)
		return m->ev[x]->depth < m->ev[y]->depth;
	sha1(m->ev[x]->event_id, hx);
	sha1(m->ev[y]->event_id, hy);
	return memcmp(hx, hy, 20) > 0;
}

/*
 * Checks
 */
struct model_check {
	struct model *m;
	const struct model_state *state;
	int x; /* its auth_events count, too; 0: none do (version 1) */
};

static inline const struct event *model_look_up(void *ctx, str type, str state_key)
{
	struct model_check *c = ctx;
	const struct model *m = c->m;
	int y;

	for (int k = 0; k < m->n_keys; k++)
		if (c->state->event[k] && str_eq(m->key[k].type, type) && str_eq(m->key[k].state_key, state_key))
			return m->ev[c->state->event[k]];
	/* "If a (event_type, state_key) key that is required for checking the authorisation rules is not present in the
	 * state, then the appropriate state event from the event's auth_events is used if the auth event is not
	 * rejected." */
	y = c->x ? model_auth_of(m, c->x, type, state_key) : 0;
	if (y && !m->ev[y]->rejected)
		return m->ev[y];
	return m->rv->create_not_in_auth_events && str_eq(type, S("m.room.create")) ? m->ev[1] : NULL;
}

static inline bool model_allowed(struct model *m, int x, const struct model_state *state, bool use_auth_events)
{
	struct model_check c = { m, state, use_auth_events ? x : 0 };
	const bool allowed = auth_check(m->a, m->rv, m->ev[x], model_look_up, &c) == NULL;

	m->met.refused += !allowed;
	return allowed;
}

#include "matrix/res_model_v1.h"
#include "matrix/res_model_v2.h"

/* m->met says what it met. */
static inline void model_resolve(struct model *m, const struct model_state *s, int n, struct model_state *out)
{
	m->met = (struct model_met){ 0 };
	if (m->rv->state_res == STATE_RES_V1)
		model_v1(m, s, n, out);
	else
		model_v2(m, s, n, out);
}
