/*
 * auth_chain.c - the auth difference and the conflicted subgraph.
 *
 * The chains of two whole states are nearly the same, and nearly all of the room's history that matters; walking them
 * would cost the size of the room. But what the states have in common (the same event under the same key) is in every
 * chain, with everything below it. So only events reachable from those that are in some states only can be in some
 * chains only; the walk down from these stops wherever it meets a common event, which is soon, and usually nothing is
 * found on the way.
 *
 * What is found on the way might still be reachable from a common event, and then is in every chain. That is the one
 * question which may need whole states. With an index (auth_index.h) it is put for each vertex when it is met, and the
 * walk goes on only below what is in the difference: it costs what it finds. Without one, the chains are walked whole,
 * then those of the common events just met, which mostly hold what is looked for, and the others only if something is
 * still open.
 */
#include "matrix/auth_chain.h"

#include <assert.h>

#include "base/map.h"
#include "matrix/internal_auth_index.h"

struct vertex {
	int64_t event;
	uint64_t in;           /* the states whose chain holds it, as far as known */
	struct auth_list auth; /* its edges */
	struct vertex **to;    /* the same as vertices; NULL before they are asked for */
	size_t next;           /* depth first: the edge to follow next */
	bool loaded, start, common, swept, open, leads;
};

struct vertices {
	struct vertex **p;
	size_t n, cap;
};

struct walk {
	struct arena *a;
	const struct auth_graph *g;
	struct map by_event;
	struct vertices all;
};

static void walk_init(struct walk *w, struct arena *a, const struct auth_graph *g)
{
	*w = (struct walk){ .a = a, .g = g };
	map_init(&w->by_event, a);
}

static struct vertex *vertex_of(struct walk *w, int64_t event, bool *out_new)
{
	struct vertex *v = map_get_i(&w->by_event, event);

	*out_new = v == NULL;
	if (v)
		return v;
	v = ARENA_NEW(w->a, struct vertex);
	v->event = event;
	map_put_i(&w->by_event, event, v);
	vec_push(w->a, &w->all, v);
	return v;
}

/* Asks for the edges of those vertices that have none yet, all at once; `found` gets the vertices that are new. */
static err *load_edges(struct walk *w, const struct vertices *layer, struct vertices *found)
{
	int64_t *events = ARENA_ARRAY(w->a, int64_t, layer->n);
	struct auth_list *lists = ARENA_ARRAY(w->a, struct auth_list, layer->n);
	size_t n = 0;

	for (size_t i = 0; i < layer->n; i++)
		if (!layer->p[i]->loaded)
			events[n++] = layer->p[i]->event;
	if (n > 0)
		TRY(w->g->auth_events(w->g->ctx, w->a, events, n, lists));
	n = 0;
	for (size_t i = 0; i < layer->n; i++) {
		struct vertex *v = layer->p[i];

		if (v->loaded)
			continue;
		v->loaded = true;
		v->auth = lists[n++];
		v->to = ARENA_ARRAY(w->a, struct vertex *, v->auth.n);
		for (size_t k = 0; k < v->auth.n; k++) {
			bool is_new;

			v->to[k] = vertex_of(w, v->auth.p[k], &is_new);
			if (is_new)
				vec_push(w->a, found, v->to[k]);
		}
	}
	return NULL;
}

/* Everything below the vertices of `layer`. With `states`: not below common events, which are marked. */
static err *load_below(struct walk *w, struct vertices layer, const struct auth_states *states)
{
	while (layer.n > 0) {
		struct vertices found = { 0 }, next = { 0 };

		TRY(load_edges(w, &layer, &found));
		for (size_t i = 0; i < found.n; i++) {
			struct vertex *v = found.p[i];

			if (states)
				TRY(states->is_common(states->ctx, v->event, &v->common));
			if (!v->common)
				vec_push(w->a, &next, v);
		}
		layer = next;
	}
	return NULL;
}

/* Hands the states that a start is in down to everything below it. */
static void spread_states(struct walk *w, const struct vertices *starts)
{
	struct vertices todo = { 0 };

	for (size_t i = 0; i < starts->n; i++)
		vec_push(w->a, &todo, starts->p[i]);
	while (todo.n > 0) {
		const struct vertex *v = todo.p[--todo.n];

		for (size_t i = 0; i < v->auth.n; i++) {
			struct vertex *to = v->to[i];

			if (to->common || (to->in | v->in) == to->in)
				continue;
			to->in |= v->in;
			vec_push(w->a, &todo, to);
		}
	}
}

/* Walks down from the vertices, closing the open ones it meets; ends when none is open (*left). */
static err *sweep(struct walk *w, struct vertices layer, size_t *left)
{
	while (layer.n > 0 && *left > 0) {
		struct vertices found = { 0 }, next = { 0 };

		for (size_t i = 0; i < layer.n; i++) {
			struct vertex *v = layer.p[i];

			*left -= v->open;
			v->open = false;
			v->swept = true;
		}
		TRY(load_edges(w, &layer, &found));
		for (size_t i = 0; i < layer.n; i++)
			for (size_t k = 0; k < layer.p[i]->auth.n; k++) {
				struct vertex *to = layer.p[i]->to[k];

				if (!to->swept)
					vec_push(w->a, &next, to);
				to->swept = true;
			}
		layer = next;
	}
	return NULL;
}

/* Which of the open vertices are below common events? Those are closed. */
static err *close_reached(struct walk *w, const struct auth_states *s, size_t left)
{
	struct vertices layer = { 0 };
	struct auth_list common;

	for (size_t i = 0; i < w->all.n; i++)
		if (w->all.p[i]->common)
			vec_push(w->a, &layer, w->all.p[i]);
	TRY(sweep(w, layer, &left));
	if (left == 0)
		return NULL;
	TRY(s->common(s->ctx, w->a, &common));
	layer = (struct vertices){ 0 };
	for (size_t i = 0; i < common.n; i++) {
		bool is_new;
		struct vertex *v = vertex_of(w, common.p[i], &is_new);

		if (!v->swept)
			vec_push(w->a, &layer, v);
	}
	return sweep(w, layer, &left);
}

/* The same with an index: below what all chains hold nothing is looked at. */
static err *difference_by_index(struct walk *w, const struct auth_states *s, uint64_t everywhere, struct vertices layer,
				struct vertices *out)
{
	struct auth_search *search;

	TRY(auth_search_begin(w->a, w->g->index, s, &search));
	while (layer.n > 0) {
		struct vertices found = { 0 }, next = { 0 };
		int64_t *events;
		uint64_t *in;

		TRY(load_edges(w, &layer, &found));
		for (size_t i = 0; i < layer.n; i++) /* of those decided before nothing is new */
			for (size_t k = 0; k < layer.p[i]->auth.n; k++)
				layer.p[i]->to[k]->in |= layer.p[i]->in;
		events = ARENA_ARRAY(w->a, int64_t, found.n);
		in = ARENA_ARRAY(w->a, uint64_t, found.n);
		for (size_t i = 0; i < found.n; i++) {
			events[i] = found.p[i]->event;
			in[i] = found.p[i]->in;
		}
		TRY(auth_search_states(search, events, found.n, in));
		for (size_t i = 0; i < found.n; i++) {
			found.p[i]->in = in[i];
			if (in[i] == everywhere)
				continue;
			vec_push(w->a, &next, found.p[i]);
			vec_push(w->a, out, found.p[i]);
		}
		layer = next;
	}
	return NULL;
}

static err *difference_by_walk(struct walk *w, const struct auth_states *s, uint64_t everywhere,
			       const struct vertices *starts, struct vertices *out)
{
	size_t open = 0;

	TRY(load_below(w, *starts, s));
	spread_states(w, starts);
	for (size_t i = 0; i < w->all.n; i++) {
		struct vertex *v = w->all.p[i];

		v->open = !v->start && !v->common && v->in != everywhere;
		open += v->open;
	}
	if (open > 0)
		TRY(close_reached(w, s, open));
	for (size_t i = 0; i < w->all.n; i++)
		if (w->all.p[i]->open)
			vec_push(w->a, out, w->all.p[i]);
	return NULL;
}

static void list_of(struct arena *a, const struct vertices *v, struct auth_list *out)
{
	int64_t *events = ARENA_ARRAY(a, int64_t, v->n);

	for (size_t i = 0; i < v->n; i++)
		events[i] = v->p[i]->event;
	*out = (struct auth_list){ events, v->n };
}

err *auth_difference(struct arena *a, const struct auth_graph *g, const struct auth_states *s, struct auth_list *out)
{
	const uint64_t everywhere = s->n_states == 64 ? UINT64_MAX : (UINT64_C(1) << s->n_states) - 1;
	struct vertices starts = { 0 }, difference = { 0 };
	struct walk w;

	assert(s->n_states >= 1 && s->n_states <= 64);
	walk_init(&w, a, g);
	for (size_t i = 0; i < s->n_starts; i++) {
		bool is_new;
		struct vertex *v = vertex_of(&w, s->starts[i].event, &is_new);

		assert(is_new);
		v->start = true;
		v->in = s->starts[i].in;
		vec_push(a, &starts, v);
	}
	if (g->index)
		TRY(difference_by_index(&w, s, everywhere, starts, &difference));
	else
		TRY(difference_by_walk(&w, s, everywhere, &starts, &difference));
	list_of(a, &difference, out);
	return NULL;
}

static err *load_whole(struct walk *w, const int64_t *events, size_t n)
{
	struct vertices starts = { 0 };

	for (size_t i = 0; i < n; i++) {
		bool is_new;
		struct vertex *v = vertex_of(w, events[i], &is_new);

		v->start = true;
		if (is_new)
			vec_push(w->a, &starts, v);
	}
	return load_below(w, starts, NULL);
}

/* Marks every vertex below `top` that leads to a start, itself included. Chains are long: no recursion. */
static void mark_leading(struct walk *w, struct vertex *top)
{
	struct vertices path = { 0 };

	if (top->swept)
		return;
	top->swept = true;
	vec_push(w->a, &path, top);
	while (path.n > 0) {
		struct vertex *v = path.p[path.n - 1];

		if (v->next < v->auth.n) {
			struct vertex *to = v->to[v->next++];

			if (to->swept)
				continue;
			to->swept = true;
			vec_push(w->a, &path, to);
			continue;
		}
		v->leads = v->start;
		for (size_t i = 0; i < v->auth.n; i++)
			v->leads = v->leads || v->to[i]->leads;
		path.n--;
	}
}

/* Down from the events, but only where the index says that it leads to one of them again. */
static err *subgraph_by_index(struct walk *w, const int64_t *events, size_t n, struct vertices *out)
{
	struct auth_between *between;
	struct vertices layer = { 0 };

	TRY(auth_between_find(w->a, w->g->index, events, n, &between));
	for (size_t i = 0; i < n; i++) {
		bool is_new;
		struct vertex *v = vertex_of(w, events[i], &is_new);

		if (is_new)
			vec_push(w->a, &layer, v);
	}
	while (layer.n > 0) {
		struct vertices found = { 0 }, next = { 0 };
		bool *has;
		struct auth_list list;

		for (size_t i = 0; i < layer.n; i++)
			vec_push(w->a, out, layer.p[i]);
		TRY(load_edges(w, &layer, &found));
		list_of(w->a, &found, &list);
		has = ARENA_ARRAY(w->a, bool, found.n);
		TRY(auth_between_has(between, list.p, list.n, has));
		for (size_t i = 0; i < found.n; i++)
			if (has[i])
				vec_push(w->a, &next, found.p[i]);
		layer = next;
	}
	return NULL;
}

static err *subgraph_by_walk(struct walk *w, const int64_t *events, size_t n, struct vertices *out)
{
	TRY(load_whole(w, events, n));
	for (size_t i = 0; i < w->all.n; i++)
		mark_leading(w, w->all.p[i]);
	for (size_t i = 0; i < w->all.n; i++)
		if (w->all.p[i]->leads)
			vec_push(w->a, out, w->all.p[i]);
	return NULL;
}

err *auth_subgraph(struct arena *a, const struct auth_graph *g, const int64_t *events, size_t n, struct auth_list *out)
{
	struct vertices subgraph = { 0 };
	struct walk w;

	walk_init(&w, a, g);
	TRY(g->index ? subgraph_by_index(&w, events, n, &subgraph) : subgraph_by_walk(&w, events, n, &subgraph));
	list_of(a, &subgraph, out);
	return NULL;
}

err *auth_chain(struct arena *a, const struct auth_graph *g, const int64_t *events, size_t n, struct auth_list *out)
{
	VEC(int64_t) chain = { 0 };
	struct walk w;

	walk_init(&w, a, g);
	TRY(load_whole(&w, events, n));
	for (size_t i = 0; i < w.all.n; i++)
		for (size_t k = 0; k < w.all.p[i]->auth.n; k++)
			w.all.p[i]->to[k]->open = true;
	for (size_t i = 0; i < w.all.n; i++)
		if (w.all.p[i]->open)
			vec_push(a, &chain, w.all.p[i]->event);
	*out = (struct auth_list){ chain.p, chain.n };
	return NULL;
}
