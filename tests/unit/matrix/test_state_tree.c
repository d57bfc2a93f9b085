/*
 * The state tree against a plain list of entries: every operation, many seeds, also with so few levels that placement
 * hashes collide all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "matrix/state_tree.h"
#include "nodes.h"

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void good(const err *e)
{
	if (e)
		fail_msg("%.*s (%s)", STR_ARG(e->msg), e->where);
}

/* The model: entries in no order, at most one a key. */
enum { MAX_MODEL = 4096 };
struct model {
	struct state_entry e[MAX_MODEL];
	size_t n;
};

static struct state_entry *model_find(struct model *m, int64_t type, int64_t key)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->e[i].type == type && m->e[i].key == key)
			return &m->e[i];
	return NULL;
}

static void model_set(struct model *m, const struct state_entry *e)
{
	struct state_entry *was = model_find(m, e->type, e->key);

	if (was && e->event)
		was->event = e->event;
	else if (was)
		*was = m->e[--m->n];
	else if (e->event)
		m->e[m->n++] = *e;
}

static int by_entry(const void *x, const void *y)
{
	const struct state_entry *a = x, *b = y;

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return a->key < b->key ? -1 : a->key > b->key;
}

static err *collect(void *arg, const struct state_entry *e)
{
	struct model *m = arg;

	m->e[m->n++] = *e;
	return NULL;
}

/* The tree's contents, key by key and as a whole, are the model's; and the hash is that of the contents. */
static void check_same(const struct state_tree *t, struct arena *a, struct state_root root, const struct model *m,
		       struct state_pick pick)
{
	struct model *got = ARENA_NEW(a, struct model), *want = ARENA_NEW(a, struct model);
	struct state_hash sum = { 0 };

	good(state_each(t, a, root, pick, collect, got));
	for (size_t i = 0; i < m->n; i++) {
		sum = state_hash_add(sum, state_entry_hash(t->key, &m->e[i]));
		if ((!pick.only || m->e[i].type == pick.only) && m->e[i].type != pick.but)
			want->e[want->n++] = m->e[i];
	}
	assert_int_equal(got->n, want->n);
	qsort(got->e, got->n, sizeof(got->e[0]), by_entry);
	qsort(want->e, want->n, sizeof(want->e[0]), by_entry);
	assert_memory_equal(got->e, want->e, want->n * sizeof(want->e[0]));
	assert_true(sum.hi == root.hash.hi && sum.lo == root.hash.lo);
	assert_int_equal(root.node == 0, m->n == 0);
}

struct diff_check {
	const struct model *from, *to;
	size_t n;
	int64_t seen[MAX_MODEL * 2][2];
};

static err *on_diff(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct diff_check *d = arg;
	const struct state_entry *x = model_find((struct model *)d->from, type, key);
	const struct state_entry *y = model_find((struct model *)d->to, type, key);

	assert_int_equal(old, x ? x->event : 0);
	assert_int_equal(now, y ? y->event : 0);
	assert_int_not_equal(old, now);
	for (size_t i = 0; i < d->n; i++)
		assert_false(d->seen[i][0] == type && d->seen[i][1] == key);
	d->seen[d->n][0] = type;
	d->seen[d->n++][1] = key;
	return NULL;
}

static size_t model_differences(struct model *x, struct model *y)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		const struct state_entry *e = model_find(y, x->e[i].type, x->e[i].key);

		n += !e || e->event != x->e[i].event;
	}
	for (size_t i = 0; i < y->n; i++)
		n += !model_find(x, y->e[i].type, y->e[i].key);
	return n;
}

static void check_diff(const struct state_tree *t, struct arena *a, const struct state_root r[2], struct model *m[2])
{
	struct diff_check *d = ARENA_NEW(a, struct diff_check);

	d->from = m[0];
	d->to = m[1];
	good(state_diff(t, a, r[0], r[1], (struct state_pick){ 0 }, on_diff, d));
	assert_int_equal(d->n, model_differences(m[0], m[1]));
	assert_int_equal(state_same(r[0], r[1]), d->n == 0);
}

/* Its number is all that is kept of a state. */
static void check_root(const struct state_tree *t, struct arena *a, struct state_root root)
{
	struct state_root got;

	good(state_root_of(t, a, root.node, &got));
	assert_int_equal(got.node, root.node);
	assert_true(state_same(got, root));
	if (root.node > 1)
		assert_non_null(state_root_of(t, a, 1, &got)); /* the first node is some type's */
}

static struct state_entry draw_entry(const struct model *m, uint64_t types, uint64_t keys)
{
	struct state_entry e = { 1 + (int64_t)draw(types), 1 + (int64_t)draw(keys), 1 + (int64_t)draw(1000) };

	if (m->n > 0 && draw(3) == 0)
		e = m->e[draw(m->n)];
	if (draw(4) == 0)
		e.event = 0;
	else if (draw(2) == 0)
		e.event = 1 + (int64_t)draw(1000);
	return e;
}

/* A walk: several states, each made of an earlier one by a batch of changes, sealed or read in the builder. */
static void walk(uint64_t from_seed, unsigned levels)
{
	enum { STATES = 12 };
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_root roots[STATES] = { { 0 } };
	struct model *models[STATES];

	seed = from_seed * 0x9e3779b97f4a7c15u + 1;
	nodes_init(&nodes, a);
	nodes.tree.levels = levels;
	models[0] = ARENA_NEW(a, struct model);
	const uint64_t types = 1 + draw(30), keys = 1 + draw(200), batch = 1 + draw(40);

	for (size_t i = 1; i < STATES; i++) {
		const size_t base = draw(i);
		struct state_builder b;
		struct state_entry changes[80];
		const size_t n = draw(batch + 1);

		models[i] = ARENA_NEW(a, struct model);
		*models[i] = *models[base];
		for (size_t k = 0; k < n; k++) {
			changes[k] = draw_entry(models[i], types, keys);
			model_set(models[i], &changes[k]);
		}
		state_builder_init(&b, a, &nodes.tree);
		roots[i] = roots[base];
		if (draw(2))
			good(state_apply(&b, roots[base], changes, n, &roots[i]));
		else
			for (size_t k = 0; k < n; k++)
				good(state_set(&b, roots[i], changes[k].type, changes[k].key, changes[k].event,
					       &roots[i]));
		check_same(&b.tree, a, roots[i], models[i], (struct state_pick){ 0 });
		nodes_seal(&nodes, &b, &roots[i], 1);
		check_root(&nodes.tree, a, roots[i]);
		check_same(&nodes.tree, a, roots[i], models[i], (struct state_pick){ 0 });
		check_same(&nodes.tree, a, roots[i], models[i],
			   (struct state_pick){ .only = 1 + (int64_t)draw(types) });
		check_same(&nodes.tree, a, roots[i], models[i], (struct state_pick){ .but = 1 + (int64_t)draw(types) });
		for (int k = 0; k < 20; k++) {
			const int64_t type = 1 + (int64_t)draw(types), key = 1 + (int64_t)draw(keys);
			const struct state_entry *e = model_find(models[i], type, key);
			int64_t event;

			good(state_get(&nodes.tree, a, roots[i], type, key, &event));
			assert_int_equal(event, e ? e->event : 0);
		}
		const size_t other = draw(i + 1);

		check_diff(&nodes.tree, a, (const struct state_root[]){ roots[other], roots[i] },
			   (struct model *[]){ models[other], models[i] });
	}
}

static void behaves_as_a_map(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 300; s++)
		walk(s, 0);
}

/* With one level, 8 places share all keys of a type: lists everywhere. */
static void collisions_are_exact(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 150; s++) {
		walk(s, 1);
		walk(s, 2);
	}
}

/* The same contents by another route: same hash, same form (compared byte for byte when sealed into fresh numbers). */
static void form_depends_on_contents_only(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (uint64_t s = 1; s <= 50; s++) {
		struct nodes by_steps, at_once;
		struct state_root x = STATE_EMPTY, y = STATE_EMPTY;
		struct state_builder b, c;
		struct model *m = ARENA_NEW(a, struct model);

		seed = s;
		nodes_init(&by_steps, a);
		nodes_init(&at_once, a);
		state_builder_init(&b, a, &by_steps.tree);
		for (int i = 0; i < 300; i++) {
			const struct state_entry e = draw_entry(m, 5, 100);

			model_set(m, &e);
			good(state_set(&b, x, e.type, e.key, e.event, &x));
		}
		state_builder_init(&c, a, &at_once.tree);
		good(state_apply(&c, y, m->e, m->n, &y));
		assert_true(state_same(x, y));
		nodes_seal(&by_steps, &b, &x, 1);
		nodes_seal(&at_once, &c, &y, 1);
		assert_int_equal(by_steps.rows.n, at_once.rows.n);
		for (size_t i = 0; i < by_steps.rows.n; i++) {
			assert_int_equal(by_steps.rows.p[i].bytes.n, at_once.rows.p[i].bytes.n);
			assert_memory_equal(by_steps.rows.p[i].bytes.p, at_once.rows.p[i].bytes.p,
					    by_steps.rows.p[i].bytes.n);
		}
	}
}

static void setting_what_is_there_makes_nothing(void **state)
{
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_builder b;
	struct state_root x = STATE_EMPTY, y;

	(void)state;
	nodes_init(&nodes, a);
	state_builder_init(&b, a, &nodes.tree);
	for (int64_t k = 1; k < 100; k++)
		good(state_set(&b, x, 1, k, k, &x));
	nodes_seal(&nodes, &b, &x, 1);
	state_builder_init(&b, a, &nodes.tree);
	good(state_set(&b, x, 1, 50, 50, &y));
	assert_int_equal(y.node, x.node);
	good(state_set(&b, x, 1, 200, 0, &y));
	assert_int_equal(y.node, x.node);
	good(state_set(&b, x, 7, 1, 0, &y));
	assert_int_equal(y.node, x.node);
	assert_int_equal(b.fresh.n, 0);
	assert_true(state_same(x, y));
}

/* What was only a step on the way is not written: the rows of five changes hold one path's worth, not five. */
static void steps_on_the_way_are_not_written(void **state)
{
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_builder b;
	struct state_root x = STATE_EMPTY;
	int64_t top;

	(void)state;
	nodes_init(&nodes, a);
	state_builder_init(&b, a, &nodes.tree);
	for (int64_t k = 1; k <= 2000; k++)
		good(state_set(&b, x, 1, k, k, &x));
	nodes_seal(&nodes, &b, &x, 1);
	top = nodes.next;
	assert_true(top < 1200); /* 2000 leaves in nodes of 8 slots: with every step it were 10,000 */
	state_builder_init(&b, a, &nodes.tree);
	for (int64_t i = 1; i <= 5; i++)
		good(state_set(&b, x, 1, 77, 5000 + i, &x));
	nodes_seal(&nodes, &b, &x, 1);
	assert_true(nodes.next - top <= 8);
	assert_int_equal(b.n_rows, 1);
}

/* Two roots of one builder (the states after two events of a room's creation) share what they have in common. */
static void sealed_together(void **state)
{
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_builder b;
	struct state_root r[3];
	int64_t event;

	(void)state;
	nodes_init(&nodes, a);
	state_builder_init(&b, a, &nodes.tree);
	good(state_set(&b, STATE_EMPTY, 1, 1, 10, &r[0]));
	good(state_set(&b, r[0], 2, 2, 20, &r[1]));
	good(state_set(&b, r[1], 1, 1, 30, &r[2]));
	nodes_seal(&nodes, &b, r, 3);
	assert_true(r[0].node > 0 && r[1].node > r[0].node && r[2].node > r[1].node);
	good(state_get(&nodes.tree, a, r[0], 2, 2, &event));
	assert_int_equal(event, 0);
	good(state_get(&nodes.tree, a, r[1], 1, 1, &event));
	assert_int_equal(event, 10);
	good(state_get(&nodes.tree, a, r[2], 1, 1, &event));
	assert_int_equal(event, 30);
}

/* The difference of two big states costs what differs: counted in nodes fetched. */
static void difference_costs_what_differs(void **state)
{
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_builder b;
	struct state_root x, y;
	struct state_entry *e = ARENA_ARRAY(a, struct state_entry, 20000);
	struct diff_check *d = ARENA_NEW(a, struct diff_check);
	struct model *m[2] = { ARENA_NEW(a, struct model), ARENA_NEW(a, struct model) };

	(void)state;
	nodes_init(&nodes, a);
	for (size_t i = 0; i < 20000; i++)
		e[i] = (struct state_entry){ 1, 1 + (int64_t)i, 1 + (int64_t)i };
	state_builder_init(&b, a, &nodes.tree);
	good(state_apply(&b, STATE_EMPTY, e, 20000, &x));
	nodes_seal(&nodes, &b, &x, 1);
	state_builder_init(&b, a, &nodes.tree);
	good(state_set(&b, x, 1, 500, 99999, &y));
	good(state_set(&b, y, 9, 9, 9, &y));
	nodes_seal(&nodes, &b, &y, 1);
	model_set(m[0], &(struct state_entry){ 1, 500, 500 });
	model_set(m[1], &(struct state_entry){ 1, 500, 99999 });
	model_set(m[1], &(struct state_entry){ 9, 9, 9 });
	d->from = m[0];
	d->to = m[1];
	nodes.fetched = 0;
	good(state_diff(&nodes.tree, a, x, y, (struct state_pick){ 0 }, on_diff, d));
	assert_int_equal(d->n, 2);
	assert_true(nodes.fetched <= 2 * 9);
	nodes.fetched = 0;
	good(state_each(&nodes.tree, a, y, (struct state_pick){ .but = 1 }, collect, m[0]));
	assert_true(nodes.fetched <= 3);
}

/* A row that was cut or changed on disk is an error, never a crash. */
static void damaged_rows_are_refused(void **state)
{
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_builder b;
	struct state_root x = STATE_EMPTY;
	size_t refused = 0;

	(void)state;
	nodes_init(&nodes, a);
	state_builder_init(&b, a, &nodes.tree);
	for (int64_t k = 1; k <= 30; k++)
		good(state_set(&b, x, 1 + k % 3, k, k, &x));
	nodes_seal(&nodes, &b, &x, 1);
	const struct node_row row = nodes.rows.p[0];

	for (size_t cut = 0; cut <= row.bytes.n; cut++) {
		/* In memory of its own, so that reading past it is seen. */
		char *copy = mem_alloc(cut + 1);

		memcpy(copy, row.bytes.p, cut);
		for (unsigned flip = 0; flip < 256; flip += cut < row.bytes.n ? 256 : 1) {
			if (cut == row.bytes.n)
				copy[flip % cut] = (char)(copy[flip % cut] ^ (1 << flip % 8));
			for (int64_t id = 0; id <= (int64_t)row.n + 1; id++) {
				struct state_node n;

				refused +=
					state_node_parse(a, node_row_find((str){ copy, cut }, 1, id), id, &n) != NULL;
			}
		}
		mem_free(copy);
	}
	assert_true(refused > row.bytes.n);
}

/* A row whose bytes are whole, and which says that a type's trie came after the node that names it: an error, not the
 * end. */
static void a_type_from_the_future_is_damage(void **state)
{
	static const char bytes[] = "\x01" /* one node */
				    "\xff\xfe"
				    "0123456789abcdef" /* a root */
				    "\x00\xff"
				    "\x01\x09\x01\x09\x01\x09\x01\x09\x01\x09\x01\x09\x01\x09\x01\x09";
	AUTO_ARENA a = arena_new();
	struct nodes nodes;
	struct state_root root;
	int64_t event;
	struct node_row row = { .first = 9, .n = 1, .bytes = { bytes, sizeof(bytes) - 1 } };

	(void)state;
	nodes_init(&nodes, a);
	vec_push(a, &nodes.rows, row);
	assert_int_equal(state_root_of(&nodes.tree, a, 9, &root)->code, ERR_INTERNAL);
	root = (struct state_root){ .node = 9 };
	assert_int_equal(state_get(&nodes.tree, a, root, 1, 1, &event)->code, ERR_INTERNAL);
}

struct entries {
	struct arena *a;
	VEC(struct state_entry) all;
};

static err *keep_entry(void *arg, const struct state_entry *e)
{
	struct entries *x = arg;

	vec_push(x->a, &x->all, *e);
	return NULL;
}

/* Bytes for one more member's event, by the size of the room: docs/internals/state-tree.md has the figures. */
static void bytes_of_a_state_event(void **state)
{
	static const struct {
		size_t members;
		double most;
	} sizes[] = { { 100, 100 }, { 5000, 160 }, { 50000, 190 } };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		AUTO_ARENA a = arena_new();
		AUTO_ARENA scratch = arena_new();
		struct nodes nodes;
		struct state_root x = STATE_EMPTY;
		size_t whole = 0, before = 0;
		const size_t events = 500;

		seed = 7;
		nodes_init(&nodes, a);
		for (int64_t type = 1; type <= 10; type++) {
			struct state_builder b;

			state_builder_init(&b, a, &nodes.tree);
			good(state_set(&b, x, type, 1, type, &x));
			nodes_seal(&nodes, &b, &x, 1);
		}
		for (size_t i = 0; i < sizes[s].members + events; i++) {
			struct state_builder b;

			if (i == sizes[s].members)
				before = nodes.bytes;
			arena_reset(scratch);
			state_builder_init(&b, scratch, &nodes.tree);
			good(state_set(&b, x, 5, 100000 + (int64_t)draw(100000), 2000000 + (int64_t)i * 3, &x));
			nodes_seal(&nodes, &b, &x, 1);
		}
		const double each = (double)(nodes.bytes - before) / (double)events;
		struct nodes bulk;
		struct state_builder b;
		struct entries all = { .a = a };

		nodes_init(&bulk, a);
		good(state_each(&nodes.tree, a, x, (struct state_pick){ 0 }, keep_entry, &all));
		state_builder_init(&b, a, &bulk.tree);
		good(state_apply(&b, STATE_EMPTY, all.all.p, all.all.n, &x));
		nodes_seal(&bulk, &b, &x, 1);
		whole = bulk.bytes;
		print_message(
			"%zu members: %.0f bytes a state event in its row; built whole: %.1f an entry, %zu rows\n",
			sizes[s].members, each, (double)whole / (double)all.all.n, bulk.rows.n);
		assert_true(each < sizes[s].most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(behaves_as_a_map),
		cmocka_unit_test(collisions_are_exact),
		cmocka_unit_test(form_depends_on_contents_only),
		cmocka_unit_test(setting_what_is_there_makes_nothing),
		cmocka_unit_test(steps_on_the_way_are_not_written),
		cmocka_unit_test(sealed_together),
		cmocka_unit_test(difference_costs_what_differs),
		cmocka_unit_test(damaged_rows_are_refused),
		cmocka_unit_test(a_type_from_the_future_is_damage),
		cmocka_unit_test(bytes_of_a_state_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
