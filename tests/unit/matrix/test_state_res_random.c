/*
 * State resolution on random rooms, against a slow model that is written from the specification's sentences with sets of
 * events as plain arrays: no trees, no differences, no shortcuts. Fixed seeds; every failure names its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dag.h"
#include "matrix/power_levels.h"

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/*
 * The model
 */
enum { EVENTS = 100, KEYS = 64, STATES = 5 };

struct mstate {
	int event[KEYS]; /* 0: none */
};
struct set {
	bool has[EVENTS + 1];
};

struct model {
	struct dag *d;
	struct state_key key[KEYS];
	int n_keys;
	int key_of[EVENTS + 1];
	bool reach[EVENTS + 1][EVENTS + 1]; /* [x][y]: y is in the auth chain of x */
	struct mstate after[EVENTS + 1];
};

static int key_index(struct model *m, str type, str state_key)
{
	for (int i = 0; i < m->n_keys; i++)
		if (str_eq(m->key[i].type, type) && str_eq(m->key[i].state_key, state_key))
			return i;
	assert_true(m->n_keys < KEYS);
	m->key[m->n_keys] = (struct state_key){ type, state_key };
	return m->n_keys++;
}

static void model_put(struct model *m, int x, const struct mstate *before)
{
	const struct event *ev = m->d->ev[x];
	const struct auth_list auth = m->d->auth[x];

	m->key_of[x] = key_index(m, ev->type, ev->state_key);
	for (size_t i = 0; i < auth.n; i++) {
		m->reach[x][auth.p[i]] = true;
		for (int y = 1; y <= EVENTS; y++)
			m->reach[x][y] = m->reach[x][y] || m->reach[auth.p[i]][y];
	}
	m->after[x] = *before;
	if (!ev->rejected)
		m->after[x].event[m->key_of[x]] = x;
}

static int auth_of(const struct model *m, int x, str type, str state_key)
{
	for (size_t i = 0; i < m->d->auth[x].n; i++)
		if (event_is(m->d->ev[m->d->auth[x].p[i]], type, state_key))
			return (int)m->d->auth[x].p[i];
	return 0;
}

static int power_levels_of_event(const struct model *m, int x)
{
	return auth_of(m, x, S("m.room.power_levels"), S(""));
}

static int64_t sender_power(const struct model *m, int x)
{
	const int levels = power_levels_of_event(m, x);
	const struct power_levels pl = power_levels_of(m->d->rv, m->d->ev[1], levels ? m->d->ev[levels] : NULL);

	return power_of_user(&pl, m->d->ev[x]->sender);
}

/* The last two sentences of both comparisons. */
static int by_time(const struct model *m, int x, int y)
{
	const struct event *a = m->d->ev[x], *b = m->d->ev[y];

	if (a->origin_server_ts != b->origin_server_ts)
		return a->origin_server_ts < b->origin_server_ts ? -1 : 1;
	return str_cmp(a->event_id, b->event_id);
}

/* "at each step selecting, among all the candidate vertices, the smallest vertex" */
static int sort_by_power(const struct model *m, const struct set *x_set, int *out)
{
	struct set given = { 0 };
	int n = 0;

	for (;;) {
		int best = 0;

		for (int x = 1; x <= EVENTS; x++) {
			bool ready = x_set->has[x] && !given.has[x];

			for (size_t i = 0; ready && i < m->d->auth[x].n; i++)
				ready = !x_set->has[m->d->auth[x].p[i]] || given.has[m->d->auth[x].p[i]];
			if (!ready)
				continue;
			if (!best || sender_power(m, x) > sender_power(m, best) ||
			    (sender_power(m, x) == sender_power(m, best) && by_time(m, x, best) < 0))
				best = x;
		}
		if (!best)
			return n;
		given.has[best] = true;
		out[n++] = best;
	}
}

static int mainline_position(const struct model *m, int p0, int e)
{
	for (int ej = power_levels_of_event(m, e); ej; ej = power_levels_of_event(m, ej)) {
		int i = 0;

		for (int pi = p0; pi; pi = power_levels_of_event(m, pi), i++)
			if (pi == ej)
				return i;
	}
	return 1000000;
}

static int sort_by_mainline(const struct model *m, int p0, const struct set *rest, int *out)
{
	int n = 0;

	for (int x = 1; x <= EVENTS; x++) {
		int i = n++;

		if (!rest->has[x]) {
			n--;
			continue;
		}
		for (; i > 0; i--) { /* by insertion */
			const int px = mainline_position(m, p0, x), py = mainline_position(m, p0, out[i - 1]);

			if (py > px || (py == px && by_time(m, out[i - 1], x) < 0))
				break;
			out[i] = out[i - 1];
		}
		out[i] = x;
	}
	return n;
}

struct check {
	struct model *m;
	const struct mstate *state;
	int x;
};

static const struct event *in_state_or_auth_events(void *ctx, str type, str state_key)
{
	struct check *c = ctx;
	const int k = key_index(c->m, type, state_key);
	int y = c->state->event[k];

	if (y)
		return c->m->d->ev[y];
	y = auth_of(c->m, c->x, type, state_key);
	if (y && !c->m->d->ev[y]->rejected)
		return c->m->d->ev[y];
	/* Version 12 implies the create event. */
	return c->m->d->rv->create_not_in_auth_events && str_eq(type, S("m.room.create")) ? c->m->d->ev[1] : NULL;
}

static void iterative_auth_checks(struct model *m, const int *list, int n, struct mstate *state)
{
	for (int i = 0; i < n; i++) {
		struct check c = { m, state, list[i] };

		if (auth_check(m->d->a, m->d->rv, m->d->ev[list[i]], in_state_or_auth_events, &c) == NULL)
			state->event[m->key_of[list[i]]] = list[i];
	}
}

static bool is_power_event(const struct event *ev)
{
	if (event_is(ev, S("m.room.power_levels"), S("")) || event_is(ev, S("m.room.join_rules"), S("")))
		return true;
	return str_eq(ev->type, S("m.room.member")) && !str_eq(ev->sender, ev->state_key) &&
	       (str_eq(event_membership(ev), S("leave")) || str_eq(event_membership(ev), S("ban")));
}

static void full_conflicted_set(const struct model *m, const struct mstate *s, int n, const struct set *conflicted,
				struct set *full)
{
	*full = *conflicted;
	/* the auth difference: of what the events of each state are and reach */
	for (int x = 1; x <= EVENTS; x++) {
		int chains = 0;

		for (int i = 0; i < n; i++) {
			bool in = false;

			for (int k = 0; k < m->n_keys; k++)
				in = in || s[i].event[k] == x || (s[i].event[k] && m->reach[s[i].event[k]][x]);
			chains += in;
		}
		if (chains > 0 && chains < n)
			full->has[x] = true;
	}
	/* the conflicted state subgraph */
	for (int x = 1; m->d->rv->state_res == STATE_RES_V2_1 && x <= EVENTS; x++) {
		bool from = false, to = false;

		for (int y = 1; y <= EVENTS; y++) {
			from = from || (conflicted->has[y] && m->reach[y][x]);
			to = to || (conflicted->has[y] && m->reach[x][y]);
		}
		if (from && to)
			full->has[x] = true;
	}
}

static void model_resolve(struct model *m, const struct mstate *s, int n, struct mstate *out)
{
	struct mstate unconflicted = { 0 }, state = { 0 };
	struct set conflicted = { 0 }, full, x_set = { 0 }, rest;
	int list[EVENTS], n_list;
	bool more = true;

	for (int k = 0; k < KEYS; k++) {
		bool same = true;

		for (int i = 1; i < n; i++)
			same = same && s[i].event[k] == s[0].event[k];
		if (same)
			unconflicted.event[k] = s[0].event[k];
		for (int i = 0; !same && i < n; i++)
			conflicted.has[s[i].event[k]] = true;
	}
	conflicted.has[0] = false;
	full_conflicted_set(m, s, n, &conflicted, &full);
	/* 1. */
	for (int x = 1; x <= (int)m->d->n; x++)
		x_set.has[x] = full.has[x] && is_power_event(m->d->ev[x]);
	while (more) {
		more = false;
		for (int x = 1; x <= (int)m->d->n; x++)
			for (size_t i = 0; x_set.has[x] && i < m->d->auth[x].n; i++) {
				const int64_t y = m->d->auth[x].p[i];

				more = more || (full.has[y] && !x_set.has[y]);
				x_set.has[y] = x_set.has[y] || full.has[y];
			}
	}
	n_list = sort_by_power(m, &x_set, list);
	/* 2. */
	if (m->d->rv->state_res != STATE_RES_V2_1)
		state = unconflicted;
	iterative_auth_checks(m, list, n_list, &state);
	/* 3. */
	rest = full;
	for (int x = 1; x <= EVENTS; x++)
		rest.has[x] = rest.has[x] && !x_set.has[x];
	n_list = sort_by_mainline(m, state.event[key_index(m, S("m.room.power_levels"), S(""))], &rest, list);
	/* 4. */
	iterative_auth_checks(m, list, n_list, &state);
	/* 5. */
	for (int k = 0; k < KEYS; k++)
		if (unconflicted.event[k])
			state.event[k] = unconflicted.event[k];
	*out = state;
}

/*
 * Both, side by side
 */
static struct state_root tree_of(struct model *m, const struct mstate *s)
{
	struct state_root root = STATE_EMPTY;
	struct state_builder b;

	state_builder_init(&b, m->d->a, &m->d->nodes.tree);
	for (int k = 0; k < m->n_keys; k++)
		if (s->event[k])
			assert_null(state_set(&b, root, dag_number(m->d, m->key[k].type),
					      dag_number(m->d, m->key[k].state_key), s->event[k], &root));
	nodes_seal(&m->d->nodes, &b, &root, 1);
	return root;
}

/* An index of auth chains, as it might be: it has the answer without asking for edges. */
static err *reached(void *ctx, struct arena *a, const struct auth_states *s, const int64_t *candidates, size_t n,
		    bool *out)
{
	struct model *m = ctx;
	struct auth_list common;

	TRY(s->common(s->ctx, a, &common));
	for (size_t i = 0; i < n; i++) {
		out[i] = false;
		for (size_t k = 0; k < common.n; k++)
			out[i] = out[i] || common.p[k] == candidates[i] || m->reach[common.p[k]][candidates[i]];
	}
	return NULL;
}

static err *model_auth(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	return dag_io_auth(((struct model *)ctx)->d, a, events, n, out);
}

static void compare(struct model *m, const struct mstate *s, int n, uint64_t from_seed)
{
	struct state_root roots[STATES], turned[STATES], want, got;
	struct mstate expected;

	model_resolve(m, s, n, &expected);
	want = tree_of(m, &expected);
	for (int i = 0; i < n; i++)
		roots[i] = tree_of(m, &s[i]);
	got = dag_resolve(m->d, roots, (size_t)n);
	if (!state_same(got, want))
		for (int k = 0; k < m->n_keys; k++)
			if (!str_eq(dag_held(m->d, got, m->key[k].type.p, m->key[k].state_key.p),
				    expected.event[k] ? m->d->ev[expected.event[k]]->event_id : S("")))
				fail_msg("seed %" PRIu64 ": %.*s \"%.*s\" differs", from_seed, STR_ARG(m->key[k].type),
					 STR_ARG(m->key[k].state_key));
	/* In whatever order, with one twice, with an index: the same. */
	for (int i = 0; i < n; i++)
		turned[i] = roots[n - 1 - i];
	assert_true(state_same(dag_resolve(m->d, turned, (size_t)n), want));
	turned[n] = turned[draw((uint64_t)n)];
	assert_true(state_same(dag_resolve(m->d, turned, (size_t)n + 1), want));
	m->d->io.auth = (struct auth_graph){ .ctx = m, .auth_events = model_auth, .reached = reached };
	assert_true(state_same(dag_resolve(m->d, roots, (size_t)n), want));
	m->d->io.auth = (struct auth_graph){ .ctx = m->d, .auth_events = dag_io_auth };
}

/*
 * Random rooms
 */
static const char *const users[] = { "@alice:x", "@bob:x", "@carol:x", "@dave:x", "@erin:x" };

static const char *draw_levels(struct model *m)
{
	static const int level[] = { 0, 0, 25, 50, 75, 100 };
	str list = m->d->rv->creators_above_all ? S("") : S(",\"@alice:x\":100"); /* 12 refuses to name creators */

	for (size_t i = 1; i < ARRAY_LEN(users); i++)
		if (draw(2))
			list = arena_printf(m->d->a, "%.*s,\"%s\":%d", STR_ARG(list), users[i],
					    level[draw(ARRAY_LEN(level))]);
	if (list.n > 0)
		list = str_from(list, 1);
	return arena_cstr(m->d->a,
			  arena_printf(m->d->a, "{\"users\":{%.*s},\"state_default\":%d,\"kick\":25,\"invite\":%d}",
				       STR_ARG(list), draw(2) ? 50 : 25, draw(2) ? 0 : 25));
}

static struct dag_line draw_line(struct model *m)
{
	static const char *const memberships[] = { "join", "join", "join", "leave", "ban", "invite", "knock" };
	static const char *const rules[] = { "public", "public", "invite", "knock" };
	static const char *const types[] = { "m.room.topic", "m.room.name", "org.example" };
	struct dag_line l = { .sender = users[draw(ARRAY_LEN(users))], .key = "" };
	const char *membership;

	l.id = arena_cstr(m->d->a, arena_printf(m->d->a, "$%02x%zu", (unsigned)draw(256), m->d->n + 1));
	l.ts = 1 + (int64_t)draw(4) * 10 + (int64_t)(draw(3) ? m->d->n : draw(m->d->n));
	switch (draw(8)) {
	case 0:
	case 1:
		l.type = "m.room.power_levels";
		l.content = draw_levels(m);
		break;
	case 2:
		l.type = "m.room.join_rules";
		l.content = arena_cstr(m->d->a, arena_printf(m->d->a, "{\"join_rule\":\"%s\"}", rules[draw(4)]));
		break;
	case 3:
	case 4:
	case 5:
		l.type = "m.room.member";
		membership = memberships[draw(ARRAY_LEN(memberships))];
		l.key = draw(2) ? l.sender : users[draw(ARRAY_LEN(users))];
		l.content = arena_cstr(m->d->a, arena_printf(m->d->a, "{\"membership\":\"%s\"}", membership));
		break;
	default:
		l.type = types[draw(ARRAY_LEN(types))];
		l.content = "{}";
	}
	return l;
}

/* One more event after some of those there are; now and then one that the state before refuses, as rejected. */
static void grow(struct model *m, uint64_t from_seed)
{
	for (int attempt = 0; attempt < 50; attempt++) {
		struct dag *d = m->d;
		const size_t n_prev = draw(3) ? 1 : 2 + draw(2);
		struct mstate states[3], before;
		struct state_root roots[3];
		str prev = S("");
		struct dag_line l = draw_line(m);

		for (size_t i = 0; i < n_prev; i++) {
			const size_t x = d->n - (draw(2) ? draw(3) : draw(MIN(12, d->n)));

			prev = arena_join3(d->a, prev, d->ev[x]->event_id, i + 1 < n_prev ? S(" ") : S(""));
			states[i] = m->after[x];
			roots[i] = d->after[x];
		}
		l.prev = arena_cstr(d->a, prev);
		model_resolve(m, states, (int)n_prev, &before);
		struct dag_lookup look = { d, dag_resolve(d, roots, n_prev) };

		if (!state_same(look.root, tree_of(m, &before)))
			fail_msg("seed %" PRIu64 ": the state before event %zu differs", from_seed, d->n + 1);
		struct event *ev = dag_make(d, &l, look.root);
		const bool allowed = auth_check(d->a, d->rv, ev, dag_look_up, &look) == NULL;

		if (!allowed && draw(20) != 0)
			continue;
		ev->rejected = !allowed;
		dag_put(d, ev, look.root);
		if (!allowed)
			d->after[d->n] = look.root;
		model_put(m, (int)d->n, &before);
		return;
	}
}

static void random_room(const char *version, uint64_t from_seed)
{
	static const struct dag_line opening[] = {
		{ "$create", "@alice:x", "m.room.create", "", "{\"creator\":\"@alice:x\"}" },
		{ "$alice", "@alice:x", "m.room.member", "@alice:x", "{\"membership\":\"join\"}" },
		{ "$rules", "@alice:x", "m.room.join_rules", "", "{\"join_rule\":\"public\"}" },
		{ "$bob", "@bob:x", "m.room.member", "@bob:x", "{\"membership\":\"join\"}" },
		{ "$carol", "@carol:x", "m.room.member", "@carol:x", "{\"membership\":\"join\"}" },
	};
	AUTO_ARENA a = arena_new();
	struct dag *d = ARENA_NEW(a, struct dag);
	struct model *m = ARENA_NEW(a, struct model);

	seed = from_seed * 0x9e3779b97f4a7c15u + 12345;
	dag_init(d, a, str_c(version));
	m->d = d;
	for (size_t i = 0; i < ARRAY_LEN(opening); i++) {
		dag_add(d, &opening[i]);
		model_put(m, (int)d->n, &m->after[d->n - 1]);
	}
	while (d->n < 60)
		grow(m, from_seed);
	/* States of any events, met or not; and such as no history led to, with parts of others in them. */
	for (int round = 0; round < 30; round++) {
		const int n = 2 + (int)draw(STATES - 2);
		struct mstate s[STATES];

		for (int i = 0; i < n; i++) {
			s[i] = m->after[5 + draw(d->n - 4)];
			for (uint64_t swaps = round % 3 ? draw(6) : 0; swaps > 0; swaps--) {
				const int x = 2 + (int)draw(d->n - 1);

				s[i].event[m->key_of[x]] = draw(4) ? x : 0;
			}
		}
		compare(m, s, n > STATES - 1 ? STATES - 1 : n, from_seed);
	}
}

static void version_2_is_the_model(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 60; s++)
		random_room(s % 2 ? "10" : "11", s);
}

static void version_2_1_is_the_model(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 60; s++)
		random_room("12", s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2_is_the_model),
		cmocka_unit_test(version_2_1_is_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
