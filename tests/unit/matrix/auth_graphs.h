/*
 * auth_graphs.h - random graphs of auth_events and random states of them, and what the closure of the graph, worked out
 * by brute force, says about auth differences and conflicted subgraphs. cmocka only; for an index of whatever kind.
 */
#pragma once

#include "matrix/auth_chain.h"
#include "matrix/auth_rows.h"

static uint64_t seed;

static inline int draw(int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int)(seed % (uint64_t)below);
}

static inline void graph_ok(const err *e)
{
	if (e)
		fail_msg("%.*s (%s)", STR_ARG(e->msg), e->where);
}

/*
 * A graph, and its closure
 */
enum { MOST = 120, NAMES = 10, KEYS_MOST = 16 };

struct graph {
	struct arena *a;
	int n, n_keys;
	int key[MOST + 1]; /* from 1; event i has number 10 * i */
	int auth[MOST + 1][NAMES], n_auth[MOST + 1];
	bool reach[MOST + 1][MOST + 1];
	bool there[MOST + 1]; /* in the index */
	struct auth_rows rows;
	struct auth_graph g;
	size_t loaded; /* vertices whose edges were asked for */
};

static inline err *auth_events(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	struct graph *g = ctx;

	g->loaded += n;
	for (size_t i = 0; i < n; i++) {
		const int x = (int)(events[i] / 10);
		int64_t *list = ARENA_ARRAY(a, int64_t, (size_t)g->n_auth[x]);

		for (int k = 0; k < g->n_auth[x]; k++)
			list[k] = 10 * g->auth[x][k];
		out[i] = (struct auth_list){ list, (size_t)g->n_auth[x] };
	}
	return NULL;
}

static inline void close_over(struct graph *g)
{
	memset(g->reach, 0, sizeof(g->reach));
	for (int x = 1; x <= g->n; x++)
		for (int k = 0; k < g->n_auth[x]; k++)
			g->reach[x][g->auth[x][k]] = true;
	for (int via = 1; via <= g->n; via++)
		for (int x = 1; x <= g->n; x++)
			for (int y = 1; g->reach[x][via] && y <= g->n; y++)
				g->reach[x][y] |= g->reach[via][y];
}

static inline struct auth_key key_of(const struct graph *g, int x)
{
	return (struct auth_key){ 1000 + g->key[x], 2000 };
}

enum shape { LIKE_A_ROOM, ANY, FLIPS, CIRCLES, SHAPES };

static inline void draw_graph(struct graph *g, struct arena *a, enum shape shape)
{
	*g = (struct graph){ .a = a };
	g->n = 20 + draw(MOST - 20);
	g->n_keys = 2 + draw(KEYS_MOST - 2);
	g->g = (struct auth_graph){ .ctx = g, .auth_events = auth_events };
	auth_rows_init(&g->rows, a);
	for (int x = 1; x <= g->n; x++) {
		const int names = shape == LIKE_A_ROOM ? 3 : draw(NAMES);

		g->key[x] = draw(g->n_keys);
		for (int k = 0; k < names && x > 1; k++) {
			/* recent ones mostly, so that there are long paths; hubs now and then */
			const int kind = draw(4);
			int y = kind == 0 ? 1 + draw(x - 1) : x - 1 - draw(MIN(x - 1, 6));

			if (kind == 1)
				y = 1 + draw(MIN(x - 1, 4));
			if (shape == CIRCLES && draw(6) == 0)
				y = 1 + draw(g->n);
			g->auth[x][g->n_auth[x]++] = y;
		}
		/* the one before under the same key, or (a fork) one before that */
		for (int y = x - 1, forks = draw(6) == 0; shape != ANY && y > 0; y--)
			if (g->key[y] == g->key[x] && forks-- == 0 && g->n_auth[x] < NAMES) {
				g->auth[x][g->n_auth[x]++] = y;
				break;
			}
		if (shape == FLIPS && g->n_auth[x] > 2 && draw(3))
			g->n_auth[x] = 2;
	}
	close_over(g);
}

/*
 * States
 */
enum { STATES = 64 };
struct states {
	struct graph *g;
	int held[STATES][KEYS_MOST];
	int n;
	struct auth_states s;
};

static inline err *is_common(void *ctx, int64_t event, bool *out)
{
	const struct states *s = ctx;
	const int x = (int)(event / 10);

	*out = true;
	for (int i = 0; i < s->n; i++)
		*out &= s->held[i][s->g->key[x]] == x;
	return NULL;
}

static inline err *common(void *ctx, struct arena *a, struct auth_list *out)
{
	const struct states *s = ctx;
	VEC(int64_t) list = { 0 };

	for (int k = 0; k < s->g->n_keys; k++) {
		bool is = false;

		if (s->held[0][k])
			graph_ok(is_common(ctx, 10 * s->held[0][k], &is));
		if (is)
			vec_push(a, &list, 10 * s->held[0][k]);
	}
	*out = (struct auth_list){ list.p, list.n };
	return NULL;
}

static inline err *at(void *ctx, int64_t type, int64_t key, int64_t *out)
{
	const struct states *s = ctx;

	assert_int_equal(key, 2000);
	for (int i = 0; i < s->n; i++)
		out[i] = 10 * s->held[i][type - 1000];
	return NULL;
}

static inline void draw_states(struct states *s, struct graph *g, int n)
{
	VEC(struct auth_start) starts = { 0 };

	*s = (struct states){ .g = g, .n = n };
	for (int k = 0; k < g->n_keys; k++) {
		int of_key[MOST], n_of_key = 0;
		const bool same = draw(3) != 0;

		for (int x = 1; x <= g->n; x++)
			if (g->key[x] == k)
				of_key[n_of_key++] = x;
		if (n_of_key == 0)
			continue;
		for (int i = 0; i < n; i++) {
			const int late = n_of_key - 1 - draw(MIN(n_of_key, 4));

			s->held[i][k] = draw(8) ? of_key[draw(4) ? late : draw(n_of_key)] : 0;
			if (same)
				s->held[i][k] = s->held[0][k];
		}
	}
	for (int x = 1; x <= g->n; x++) {
		uint64_t in = 0;
		bool is;

		for (int i = 0; i < n; i++)
			in |= (uint64_t)(s->held[i][g->key[x]] == x) << i;
		graph_ok(is_common(s, 10 * x, &is));
		if (in && !is)
			vec_push(g->a, &starts, (struct auth_start){ 10 * x, in });
	}
	s->s = (struct auth_states){
		.starts = starts.p,
		.n_starts = starts.n,
		.n_states = (size_t)n,
		.is_common = is_common,
		.common = common,
		.at = at,
		.ctx = s,
	};
}

static inline bool state_has(const struct states *s, int i, int x)
{
	for (int k = 0; k < s->g->n_keys; k++)
		if (s->held[i][k] == x || (s->held[i][k] && s->g->reach[s->held[i][k]][x]))
			return true;
	return false;
}

static inline void check_difference(struct states *s, uint64_t from, const char *how)
{
	struct graph *g = s->g;
	struct auth_list got;
	bool in[MOST + 1] = { 0 };

	graph_ok(auth_difference(g->a, &g->g, &s->s, &got));
	for (size_t i = 0; i < got.n; i++) {
		if (in[got.p[i] / 10])
			fail_msg("seed %" PRIu64 ", %s: %d twice", from, how, (int)got.p[i] / 10);
		in[got.p[i] / 10] = true;
	}
	for (int x = 1; x <= g->n; x++) {
		int holds = 0;
		bool start = false;

		for (int i = 0; i < s->n; i++)
			holds += state_has(s, i, x);
		for (size_t i = 0; i < s->s.n_starts; i++)
			start |= s->s.starts[i].event == 10 * x;
		if (in[x] != (holds > 0 && holds < s->n && !start))
			fail_msg("seed %" PRIu64 ", %s: %d is %s", from, how, x, in[x] ? "too much" : "missing");
	}
}

static inline void check_subgraph(struct graph *g, const int64_t *events, size_t n, uint64_t from, const char *how)
{
	struct auth_list got;
	bool in[MOST + 1] = { 0 };

	graph_ok(auth_subgraph(g->a, &g->g, events, n, &got));
	for (size_t i = 0; i < got.n; i++) {
		if (in[got.p[i] / 10])
			fail_msg("seed %" PRIu64 ", %s: %d twice", from, how, (int)got.p[i] / 10);
		in[got.p[i] / 10] = true;
	}
	for (int x = 1; x <= g->n; x++) {
		bool above = false, below = false, one = false;

		for (size_t i = 0; i < n; i++) {
			one |= events[i] == 10 * x;
			above |= g->reach[events[i] / 10][x];
			below |= g->reach[x][events[i] / 10];
		}
		if (in[x] != (one || (above && below)))
			fail_msg("seed %" PRIu64 ", %s subgraph: %d is %s", from, how, x,
				 in[x] ? "too much" : "missing");
	}
}
