/*
 * The index of auth chains against the closure of the graph, worked out by brute force: random graphs of all shapes
 * (added one by one, in bulk, in any order, with edges that become known late, with circles), and the graphs that an
 * adversary would make, where it is counted what a question costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "matrix/auth_graphs.h"

static void good(const err *e) { graph_ok(e); }

static struct auth_entry entry_of(struct graph *g, int x, const bool *edge)
{
	int64_t *auth = ARENA_ARRAY(g->a, int64_t, NAMES);
	struct auth_key *keys = ARENA_ARRAY(g->a, struct auth_key, NAMES);
	struct auth_list *named = ARENA_ARRAY(g->a, struct auth_list, NAMES);
	size_t n = 0;

	for (int k = 0; k < g->n_auth[x]; k++) {
		if (!edge[k])
			continue;
		auth[n] = 10 * g->auth[x][k];
		keys[n] = key_of(g, g->auth[x][k]);
		if (g->there[g->auth[x][k]])
			good(auth_events(g, g->a, &auth[n], 1, &named[n]));
		n++;
	}
	return (struct auth_entry){
		.event = 10 * x,
		.parents = auth_parents_of(g->a, key_of(g, x), auth, n, keys, named),
		.n_parents = n,
	};
}

struct known { /* the edges of an event whose other end is there */
	bool edge[NAMES];
};

static void add(struct graph *g, const int *which, size_t n, const struct known *known)
{
	struct auth_entry *entries = ARENA_ARRAY(g->a, struct auth_entry, n);
	struct auth_key *keys = ARENA_ARRAY(g->a, struct auth_key, n);

	for (size_t i = 0; i < n; i++) {
		entries[i] = entry_of(g, which[i], known[which[i]].edge);
		keys[i] = key_of(g, which[i]);
		g->there[which[i]] = true;
	}
	auth_rows_add(&g->rows, entries, keys, n);
}

/* Everything, in pieces of any size; what a piece names that is not there yet becomes known when it is. */
static void index_graph(struct graph *g, bool in_order)
{
	int order[MOST], at[MOST + 1];
	struct known *known = ARENA_ARRAY(g->a, struct known, MOST + 1);

	for (int i = 0; i < g->n; i++)
		order[i] = i + 1;
	for (int i = g->n - 1; !in_order && i > 0; i--) {
		const int k = draw(i + 1), x = order[i];

		order[i] = order[k];
		order[k] = x;
	}
	for (int i = 0, n; i < g->n; i += n) {
		n = draw(2) ? 1 : 1 + draw(30);
		n = MIN(n, g->n - i);
		for (int k = i; k < i + n; k++)
			at[order[k]] = i;
	}
	for (int i = 0, n; i < g->n; i += n) {
		for (n = 0; i + n < g->n && at[order[i + n]] == i; n++)
			for (int k = 0; k < g->n_auth[order[i + n]]; k++)
				known[order[i + n]].edge[k] = at[g->auth[order[i + n]][k]] <= i;
		add(g, order + i, (size_t)n, known);
		for (int k = 0; k < i; k++) /* those that waited */
			for (int e = 0; e < g->n_auth[order[k]]; e++)
				if (!known[order[k]].edge[e] && at[g->auth[order[k]][e]] == i) {
					known[order[k]].edge[e] = true;
					auth_rows_late(&g->rows, 10 * order[k], 10 * g->auth[order[k]][e]);
				}
	}
}

static void random_graph(enum shape shape, bool in_order, uint64_t from)
{
	AUTO_ARENA a = arena_new();
	struct graph *g = ARENA_NEW(a, struct graph);
	struct states *s = ARENA_NEW(a, struct states);

	seed = from * 0x9e3779b97f4a7c15u + 77;
	draw_graph(g, a, shape);
	index_graph(g, in_order);
	for (int round = 0; round < 12; round++) {
		int64_t events[8];
		size_t n = 0;

		draw_states(s, g, round == 11 ? STATES : 2 + draw(4));
		g->g.index = &g->rows.index;
		check_difference(s, from, "index");
		for (size_t i = 0; i < s->s.n_starts && n < ARRAY_LEN(events); i++)
			events[n++] = s->s.starts[i].event;
		if (n > 0)
			check_subgraph(g, events, n, from, "index");
		g->g.index = NULL;
		check_difference(s, from, "walk");
		if (n > 0 && shape != CIRCLES) /* of the versions that ask for it none has circles */
			check_subgraph(g, events, n, from, "walk");
	}
}

static void the_index_is_the_closure(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 400; s++)
		random_graph((enum shape)(s % CIRCLES), true, s);
}

static void in_any_order_of_arrival(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 400; s++)
		random_graph((enum shape)(s % CIRCLES), false, s);
}

static void circles_are_walked_once(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 400; s++)
		random_graph(CIRCLES, s % 2, s);
}

/*
 * What an adversary would make: counted is what a question costs, in edges loaded and links read.
 */
enum { POWER = 1, RULES, CREATE, USER }; /* keys; users from USER on */

struct town {
	struct arena *a;
	VEC(struct auth_list) auth; /* event i + 1 */
	VEC(int64_t) key;
	struct auth_rows rows;
	struct auth_graph g;
	size_t loaded;
	/* states: the same but for some keys */
	int64_t *common;
	size_t n_keys, n_states;
	struct {
		int64_t key, event[STATES];
	} differs[3];
	size_t n_differs;
};

static err *town_auth(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	struct town *t = ctx;

	(void)a;
	t->loaded += n;
	for (size_t i = 0; i < n; i++)
		out[i] = t->auth.p[events[i] - 1];
	return NULL;
}

static err *town_at(void *ctx, int64_t type, int64_t key, int64_t *out)
{
	const struct town *t = ctx;

	(void)key;
	for (size_t s = 0; s < t->n_states; s++)
		out[s] = t->common[type];
	for (size_t i = 0; i < t->n_differs; i++)
		if (t->differs[i].key == type)
			memcpy(out, t->differs[i].event, t->n_states * sizeof(*out));
	return NULL;
}

static err *nobody_asks(void *ctx, int64_t event, bool *out)
{
	(void)ctx;
	(void)event;
	(void)out;
	fail_msg("asked, with an index");
	return NULL;
}

static struct town *found(struct arena *a, size_t n_keys)
{
	struct town *t = ARENA_NEW(a, struct town);

	t->a = a;
	t->n_keys = n_keys;
	t->common = ARENA_ARRAY(a, int64_t, n_keys);
	auth_rows_init(&t->rows, a);
	t->g = (struct auth_graph){ .ctx = t, .auth_events = town_auth, .index = &t->rows.index };
	return t;
}

/* One more event; what it names, up to the first 0. It is the common one of its key from now on. */
static int64_t event(struct town *t, int64_t key, const int64_t *names)
{
	int64_t *auth = ARENA_ARRAY(t->a, int64_t, NAMES);
	struct auth_key keys[NAMES];
	struct auth_list named[NAMES];
	struct auth_entry e = { .event = (int64_t)t->auth.n + 1 };

	for (; names[e.n_parents]; e.n_parents++) {
		const int64_t y = names[e.n_parents];

		auth[e.n_parents] = y;
		keys[e.n_parents] = (struct auth_key){ t->key.p[y - 1], 1 };
		named[e.n_parents] = t->auth.p[y - 1];
	}
	vec_push(t->a, &t->auth, (struct auth_list){ auth, e.n_parents });
	vec_push(t->a, &t->key, key);
	e.parents = auth_parents_of(t->a, (struct auth_key){ key, 1 }, auth, e.n_parents, keys, named);
	auth_rows_add(&t->rows, &e, &(struct auth_key){ key, 1 }, 1);
	return t->common[key] = e.event;
}
#define EVENT(t, key, ...) event((t), (key), (const int64_t[]){ __VA_ARGS__, 0 })

static void differ(struct town *t, size_t n_states, int64_t key, const int64_t *events)
{
	t->n_states = n_states;
	t->differs[t->n_differs].key = key;
	memcpy(t->differs[t->n_differs++].event, events, n_states * sizeof(*events));
}
#define DIFFER(t, key, ...)                                                                                            \
	differ((t), ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })), (key), (const int64_t[]){ __VA_ARGS__ })

/* The size of the difference and of the subgraph; and that it took no more than so much. */
static void costs(struct town *t, size_t difference, size_t subgraph, size_t most_loaded, size_t most_links)
{
	VEC(struct auth_start) starts = { 0 };
	VEC(int64_t) events = { 0 };
	struct auth_list got;

	for (size_t d = 0; d < t->n_differs; d++)
		for (size_t s = 0; s < t->n_states; s++) {
			size_t i = 0;

			while (i < starts.n && starts.p[i].event != t->differs[d].event[s])
				i++;
			if (i == starts.n) {
				vec_push(t->a, &starts, (struct auth_start){ .event = t->differs[d].event[s] });
				vec_push(t->a, &events, starts.p[i].event);
			}
			starts.p[i].in |= UINT64_C(1) << s;
		}
	const struct auth_states states = {
		.starts = starts.p,
		.n_starts = starts.n,
		.n_states = t->n_states,
		.is_common = nobody_asks,
		.at = town_at,
		.ctx = t,
	};

	t->loaded = t->rows.links = t->rows.asked = 0;
	good(auth_difference(t->a, &t->g, &states, &got));
	assert_int_equal(got.n, difference);
	if (t->loaded > most_loaded || t->rows.links > most_links)
		fail_msg("difference: %zu loaded, %zu links", t->loaded, t->rows.links);
	t->loaded = t->rows.links = 0;
	good(auth_subgraph(t->a, &t->g, events.p, events.n, &got));
	assert_int_equal(got.n, subgraph);
	if (t->loaded > most_loaded || t->rows.links > most_links)
		fail_msg("subgraph: %zu loaded, %zu links", t->loaded, t->rows.links);
}

/* A user changes his membership 50,000 times, and then on two branches; power levels change now and then. */
static void many_flips(void **state)
{
	AUTO_ARENA a = arena_new();
	struct town *t = found(a, 100);
	const int64_t create = EVENT(t, CREATE, 0), admin = EVENT(t, USER, create);
	int64_t levels = EVENT(t, POWER, create, admin), flip = EVENT(t, USER + 1, create, levels), one, two;
	const int64_t rules = EVENT(t, RULES, create, admin, levels);

	(void)state;
	for (int i = 0; i < 50000; i++) {
		if (i % 100 == 0)
			levels = EVENT(t, POWER, create, admin, levels);
		flip = EVENT(t, USER + 1, create, levels, rules, flip);
	}
	assert_true(t->rows.up.n < 2000); /* a link for each change of the levels */
	one = two = flip;
	for (int i = 0; i < 5; i++)
		one = EVENT(t, USER + 1, create, levels, rules, one);
	two = EVENT(t, USER + 1, create, levels, rules, two);
	DIFFER(t, USER + 1, one, two);
	costs(t, 4, 2, 20, 20);
	/* And somebody else's old state beside it: what it names is far below. */
	DIFFER(t, RULES, rules, EVENT(t, RULES, create, admin, levels));
	costs(t, 4, 50000 + 5 + 1 + 2, 50020, 2000); /* all changes under those rules lie between: so says the text */
}

/* Power levels change 10,000 times; members of all times disagree. */
static void many_power_levels(void **state)
{
	AUTO_ARENA a = arena_new();
	struct town *t = found(a, 10100);
	const int64_t create = EVENT(t, CREATE, 0), admin = EVENT(t, USER, create);
	int64_t levels = EVENT(t, POWER, create, admin);

	(void)state;
	for (int i = 0; i < 10000; i++) {
		levels = EVENT(t, POWER, create, admin, levels);
		(void)EVENT(t, USER + 1 + i, create, levels);
	}
	const int64_t early = t->common[USER + 5], late = t->common[USER + 9000];

	DIFFER(t, USER + 5, early, EVENT(t, USER + 5, create, levels, early));
	DIFFER(t, USER + 9000, EVENT(t, USER + 9000, create, levels, late), late);
	costs(t, 0, 4, 10, 200);
}

/* Power levels that a resolution took back, under which 100,000 joined who are still there. */
static void many_name_one(void **state)
{
	AUTO_ARENA a = arena_new();
	struct town *t = found(a, 100100);
	const int64_t create = EVENT(t, CREATE, 0), admin = EVENT(t, USER, create);
	const int64_t levels = EVENT(t, POWER, create, admin), back = EVENT(t, POWER, create, admin, levels);

	(void)state;
	for (int i = 1; i < 100000; i++)
		(void)EVENT(t, USER + i, create, back);
	const int64_t was = t->common[USER + 7];

	t->common[POWER] = levels;
	DIFFER(t, USER + 7, was, EVENT(t, USER + 7, create, back, was));
	costs(t, 0, 2, 10, 100);
}

/* 10,000 branches from one event; as many states as a resolution takes. */
static void many_forks(void **state)
{
	AUTO_ARENA a = arena_new();
	struct town *t = found(a, 100);
	const int64_t create = EVENT(t, CREATE, 0), admin = EVENT(t, USER, create);
	const int64_t levels = EVENT(t, POWER, create, admin), base = EVENT(t, USER + 1, create, levels);
	int64_t tips[STATES];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		const int64_t tip = EVENT(t, USER + 1, create, levels, base), last = EVENT(t, USER + 1, levels, tip);

		if (i % 150 == 0 && i / 150 < STATES)
			tips[i / 150] = last;
	}
	differ(t, STATES, USER + 1, tips);
	costs(t, STATES, STATES, 3 * STATES, 100 * STATES);
}

/* Each was invited by the one before: the last one's auth chain is everybody. */
static void a_long_lineage(void **state)
{
	AUTO_ARENA a = arena_new();
	struct town *t = found(a, 20100);
	const int64_t create = EVENT(t, CREATE, 0);
	int64_t host = EVENT(t, USER, create);
	const int64_t levels = EVENT(t, POWER, create, host), topic_by = host;

	(void)state;
	for (int i = 1; i < 20000; i++) {
		const int64_t invite = EVENT(t, USER + i, create, levels, host);

		host = EVENT(t, USER + i, create, levels, invite);
	}
	DIFFER(t, USER + 19999, host, EVENT(t, USER + 19999, create, levels, host));
	DIFFER(t, RULES, EVENT(t, RULES, create, levels, topic_by), EVENT(t, RULES, create, levels, topic_by));
	costs(t, 0, 4, 20, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_index_is_the_closure),
		cmocka_unit_test(in_any_order_of_arrival),
		cmocka_unit_test(circles_are_walked_once),
		cmocka_unit_test(many_flips),
		cmocka_unit_test(many_power_levels),
		cmocka_unit_test(many_name_one),
		cmocka_unit_test(many_forks),
		cmocka_unit_test(a_long_lineage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
