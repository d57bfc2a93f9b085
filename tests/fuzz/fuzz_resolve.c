/*
 * fuzz_resolve.c - the states of rooms made of bytes, in every room version's algorithm.
 *
 * The first byte chooses how the room grows. By res_rooms.h: then res_property.h says what must hold, the slow model's
 * result above all. Or by room.h, whose contents are wilder: some events choose their auth_events from the state
 * elsewhere, some were rejected, values are of the wrong type. Then states, met or put together by nobody's history,
 * are resolved: the result is the model's, does not depend on their order nor on one standing twice, one state alone is
 * its own result, what all agree on stays, and everything in the result comes from the room.
 */
#include <stdio.h>
#include <stdlib.h>

#include "room.h"

/* dag.h was written for cmocka's asserts. */
#define assert_non_null(x)     assert((x) != NULL)
#define assert_null(x)         assert((x) == NULL)
#define assert_true(x)         assert(x)
#define assert_int_equal(x, y) assert((int64_t)(x) == (int64_t)(y))
#define fail_msg(...)                                                                                                  \
	do {                                                                                                           \
		(void)fprintf(stderr, __VA_ARGS__);                                                                    \
		abort();                                                                                               \
	} while (0)
#include "dag.h"
#include "res_property.h"

enum { EVENTS = 40, STATES = 5 };

static void select_auth_events(struct room *r, struct dag *d, struct event *ev, struct state_root from)
{
	str *auth = ARENA_ARRAY(d->a, str, AUTH_KEYS_MAX);
	struct dag_lookup look = { d, from };
	struct state_key keys[AUTH_KEYS_MAX];
	const size_t n = auth_keys(r->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	for (size_t i = 0; i < n; i++) {
		const struct event *found = dag_look_up(&look, keys[i].type, keys[i].state_key);

		if (found)
			auth[ev->n_auth_events++] = found->event_id;
	}
	ev->auth_events = auth;
}

static size_t draw_event(struct room *r, const struct dag *d)
{
	return feed_once_in(r->f, 2) ? d->n - feed_below(r->f, MIN(3, d->n)) : 1 + feed_below(r->f, d->n);
}

/* One more event after some of those there are; one that is refused is kept now and then, as rejected. */
static void grow(struct room *r, struct dag *d)
{
	struct state_root roots[3], before;
	struct event *ev;
	str *prev = ARENA_ARRAY(d->a, str, 3);
	size_t n = 0;

	for (size_t want = feed_once_in(r->f, 3) ? 2 + feed_below(r->f, 2) : 1; n < want; n++) {
		const size_t x = feed_once_in(r->f, 2) ? draw_event(r, d) : d->n;

		prev[n] = d->ev[x]->event_id;
		roots[n] = d->after[x];
	}
	before = dag_resolve(d, roots, n);
	r->made = d->n;
	ev = room_event(r, NULL);
	ev->prev_events = prev;
	ev->n_prev_events = n;
	if (str_eq(ev->type, S("m.room.create")))
		return; /* a room has one */
	if (feed_once_in(r->f, 4))
		ev->origin_server_ts = feed_below(r->f, 4);
	ev->depth = feed_once_in(r->f, 4) ? (int64_t)feed_below(r->f, 3) * EVENT_MAX_DEPTH / 2 : ev->nid;
	select_auth_events(r, d, ev, feed_once_in(r->f, 8) ? d->after[draw_event(r, d)] : before);
	struct dag_lookup look = { d, before };
	const bool allowed = !ev->rejected && auth_check(d->a, d->rv, ev, dag_look_up, &look) == NULL;

	if (!allowed && !feed_once_in(r->f, 10))
		return;
	ev->rejected = !allowed;
	dag_put(d, ev, before);
	if (!allowed)
		d->after[d->n] = before;
}

/* A state as met, with parts of others in it: what another server may claim. */
static struct state_root draw_state(struct room *r, struct dag *d)
{
	struct state_root root = d->after[draw_event(r, d)];

	for (unsigned swaps = feed_once_in(r->f, 3) ? feed_below(r->f, 5) : 0; swaps > 0; swaps--) {
		const struct event *ev = d->ev[draw_event(r, d)];

		if (event_is_state(ev) && !str_eq(ev->type, S("m.room.create")))
			root = dag_set(d, root, ev);
	}
	return root;
}

struct agreed {
	struct dag *d;
	const struct state_root *roots;
	struct state_root result;
	size_t n;
};

static err *stays(void *arg, const struct state_entry *e)
{
	const struct agreed *g = arg;
	int64_t at;

	for (size_t i = 0; i < g->n; i++) {
		assert(!state_get(&g->d->nodes.tree, g->d->a, g->roots[i], e->type, e->key, &at));
		if (at != e->event)
			return NULL;
	}
	assert(!state_get(&g->d->nodes.tree, g->d->a, g->result, e->type, e->key, &at));
	assert(at == e->event);
	return NULL;
}

static err *is_in_room(void *arg, const struct state_entry *e)
{
	struct dag *d = arg;

	assert(e->event >= 1 && (size_t)e->event <= d->n);
	assert(dag_number(d, d->ev[e->event]->type) == e->type && dag_number(d, d->ev[e->event]->state_key) == e->key);
	return NULL;
}

struct translation {
	struct dag *d;
	struct model *m;
	struct model_state *out;
};

static err *translate(void *arg, const struct state_entry *e)
{
	struct translation *t = arg;

	t->out->event[t->m->key_of[e->event]] = (int)e->event;
	return NULL;
}

static struct model_state model_state_of(struct dag *d, struct model *m, struct state_root root)
{
	struct model_state s = { { 0 } };
	struct translation t = { d, m, &s };

	assert(!state_each(&d->nodes.tree, d->a, root, (struct state_pick){ 0 }, translate, &t));
	return s;
}

/* The same by the slow model. */
static void check_model(struct dag *d, const struct state_root *roots, size_t n, struct state_root got)
{
	struct model *m = ARENA_NEW(d->a, struct model);
	struct model_state states[STATES], wanted, result;

	m->a = d->a;
	m->rv = d->rv;
	for (size_t x = 1; x <= d->n; x++)
		(void)model_add(m, d->ev[x]);
	for (size_t i = 0; i < n; i++)
		states[i] = model_state_of(d, m, roots[i]);
	model_resolve(m, states, (int)n, &wanted);
	result = model_state_of(d, m, got);
	for (int k = 0; k < m->n_keys; k++)
		assert(result.event[k] == wanted.event[k]);
}

static void check(struct room *r, struct dag *d)
{
	struct state_root roots[STATES + 1], turned[STATES + 1], got;
	const size_t n = 2 + feed_below(r->f, STATES - 1);

	for (size_t i = 0; i < n; i++)
		roots[i] = draw_state(r, d);
	got = dag_resolve(d, roots, n);
	for (size_t turn = 0; turn < n; turn++) {
		for (size_t i = 0; i < n; i++)
			turned[i] = roots[turn % 2 ? (n - 1 - i + turn) % n : (i + turn) % n];
		assert(state_same(dag_resolve(d, turned, n), got));
	}
	turned[n] = turned[feed_below(r->f, n)];
	assert(state_same(dag_resolve(d, turned, n + 1), got));
	assert(state_same(dag_resolve(d, roots, 1), roots[0]));
	turned[0] = turned[1] = got;
	assert(state_same(dag_resolve(d, turned, 2), got));
	check_model(d, roots, n, got);
	struct agreed g = { d, roots, got, n };

	assert(!state_each(&d->nodes.tree, d->a, roots[0], (struct state_pick){ 0 }, stays, &g));
	assert(!state_each(&d->nodes.tree, d->a, got, (struct state_pick){ 0 }, is_in_room, d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);
	struct dag *d = ARENA_NEW(a, struct dag);
	struct event *create;
	struct room r;

	if (feed_byte(&f) % 3 == 1) {
		const struct room_version *rv = room_version_at(feed_below(&f, 12));
		const int events = 10 + (int)feed_below(&f, 40);
		struct res_seen seen = { 0 };
		const char *complaint =
			res_property(a, rv, (struct draws){ .bytes = f.p, .left = f.n }, events, 3, &seen);

		if (complaint)
			fail_msg("version %s: %s\n", rv->id.p, complaint);
		return 0;
	}
	room_init(&r, a, &f);
	dag_init(d, a, r.rv->id);
	create = room_create(&r);
	dag_put(d, create, STATE_EMPTY);
	while (d->n < EVENTS && f.n > 0)
		grow(&r, d);
	check(&r, d);
	return 0;
}
