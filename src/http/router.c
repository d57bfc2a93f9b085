/*
 * router.c - from a path and a method to a route.
 *
 * The tables are compiled once into a trie of path segments. A node has its literal children sorted, at most one
 * child for a {parameter}, and at most one route for each method; a {rest*} ends a path. Literal segments win over
 * parameters, and where the literal way leads to nothing the parameter's is tried. The depth is that of the longest
 * template, so that no path makes the search deep, and two ways a level make it no slower than the few templates that
 * overlap.
 *
 * A parameter takes one segment, which is empty only at the end of a path ("/state/m.room.topic/": the empty state
 * key).
 */
#include "http/internal_http.h"

#include <assert.h>
#include <stdlib.h>

struct node {
	str literal;
	struct node **children; /* sorted by literal */
	size_t n;
	struct node *param;
	struct compiled *routes[METHODS], *rests[METHODS];
};

struct router {
	struct arena *arena;
	struct node root;
};

static const str method_names[METHODS] = { STR("GET"), STR("PUT"), STR("POST"), STR("DELETE"), STR("PATCH") };

enum method router_method(str name)
{
	for (size_t i = 0; i < METHODS; i++)
		if (str_eq(name, method_names[i]))
			return (enum method)i;
	return M_OTHER;
}

enum group router_group(str path)
{
	if (str_eq(path, S("/metrics")))
		return GROUP_METRICS;
	if (str_eq(path, S("/health")))
		return GROUP_HEALTH;
	if (str_starts(path, S("/_matrix/federation/")) || str_starts(path, S("/_matrix/key/")))
		return GROUP_FEDERATION;
	if (str_eq(path, S("/.well-known/matrix/server")))
		return GROUP_SHARED;
	return GROUP_CLIENT;
}

static size_t find_child(const struct node *n, str literal, bool *out_there)
{
	size_t lo = 0, hi = n->n;

	*out_there = false;
	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const int c = str_cmp(n->children[mid]->literal, literal);

		if (c == 0) {
			*out_there = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct node *child(struct router *r, struct node *n, str literal)
{
	bool there;
	size_t at = find_child(n, literal, &there);
	struct node **grown;

	if (there)
		return n->children[at];
	grown = ARENA_ARRAY(r->arena, struct node *, n->n + 1);
	for (size_t i = 0; i < n->n; i++)
		grown[i + (i >= at)] = n->children[i];
	grown[at] = ARENA_NEW(r->arena, struct node);
	grown[at]->literal = literal;
	n->children = grown;
	n->n++;
	return grown[at];
}

static void add(struct router *r, const struct route *route)
{
	struct compiled *c = ARENA_NEW(r->arena, struct compiled);
	struct node *n = &r->root;
	str rest = str_c(route->path), segment;
	const enum method m = router_method(str_c(route->method));
	struct compiled **place;

	assert(m != M_OTHER && route->run && str_starts(rest, S("/")));
	assert(route->lane != LANE_LOOP || route->auth == AUTH_NONE);
	c->route = route;
	c->group = router_group(rest);
	rest = str_from(rest, 1);
	while (str_split_next(&rest, '/', &segment)) {
		assert(!c->rest);
		if (!str_starts(segment, S("{"))) {
			n = child(r, n, segment);
			continue;
		}
		assert(str_ends(segment, S("}")) && c->n_params < HTTP_MAX_PARAMS);
		c->rest = str_ends(segment, S("*}"));
		c->names[c->n_params++] = (str){ segment.p + 1, segment.n - (c->rest ? 3 : 2) };
		if (c->rest)
			break;
		if (!n->param)
			n->param = ARENA_NEW(r->arena, struct node);
		n = n->param;
	}
	assert(str_is_none(rest) || (c->rest && str_is_empty(rest)));
	place = c->rest ? &n->rests[m] : &n->routes[m];
	assert(!*place);
	*place = c;
}

struct router *router_new(const struct route *const *tables)
{
	struct arena *a = arena_new();
	struct router *r = ARENA_NEW(a, struct router);

	r->arena = a;
	for (; *tables; tables++)
		for (const struct route *route = *tables; route->method; route++)
			add(r, route);
	return r;
}

void router_free(struct router **r)
{
	if (*r) {
		struct arena *a = (*r)->arena;

		arena_free(&a);
	}
	*r = NULL;
}

static bool settle(struct compiled *const routes[METHODS], enum method m, struct route_hit *out)
{
	for (unsigned i = 0; i < METHODS; i++)
		if (routes[i])
			out->allowed |= 1u << i;
	if (m == M_OTHER || !routes[m])
		return false;
	out->found = routes[m];
	return true;
}

/* `rest` is what follows the '/' at this node, or STR_NONE at the end of the path. */
static bool find(const struct node *n, str rest, unsigned params, enum method m, struct route_hit *out)
{
	str segment, tail = rest;
	bool there;
	size_t at;

	if (str_is_none(rest))
		return settle(n->routes, m, out);
	str_split_next(&tail, '/', &segment);
	at = find_child(n, segment, &there);
	/* What is v3 today was r0 before the specification's versions; older clients still say so. */
	if (!there && str_eq(segment, S("r0")))
		at = find_child(n, S("v3"), &there);
	if (there && find(n->children[at], tail, params, m, out))
		return true;
	if (n->param && (segment.n > 0 || str_is_none(tail))) {
		if (find(n->param, tail, params + 1, m, out)) {
			out->params[params] = segment;
			return true;
		}
	}
	if (settle(n->rests, m, out)) {
		out->params[params] = rest;
		return true;
	}
	return false;
}

void router_find(const struct router *r, str path, enum method m, struct route_hit *out)
{
	*out = (struct route_hit){ 0 };
	if (str_starts(path, S("/")))
		find(&r->root, str_from(path, 1), 0, m, out);
}

static int by_path(const void *a, const void *b)
{
	const struct route *const *x = a, *const *y = b;
	const int c = str_cmp(str_c((*x)->path), str_c((*y)->path));

	return c ? c : str_cmp(str_c((*x)->method), str_c((*y)->method));
}

void http_list_routes(const struct route *const *tables, struct buf *out)
{
	AUTO_ARENA a = arena_new();
	VEC(const struct route *) all = { 0 };

	for (; *tables; tables++)
		for (const struct route *route = *tables; route->method; route++)
			vec_push(a, &all, route);
	if (all.n > 0)
		qsort(all.p, all.n, sizeof(*all.p), by_path);
	for (size_t i = 0; i < all.n; i++)
		buf_printf(out, "%s %s\n", all.p[i]->method, all.p[i]->path);
}
