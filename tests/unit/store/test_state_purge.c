/*
 * test_state_purge.c - state trees in the store against plain maps: random states made of one another, dropped, swept,
 * by one who writes meanwhile, with restarts and kill -9. Each state that stays reads as the map says, and no node is
 * left over.
 */
#include "both.h"
#include "test.h"

#include "base/map.h"
#include "store/purge.h"
#include "store/state_nodes.h"
#include "store/tx.h"

enum { ROOM = 9, TYPES = 4, KEYS = 40, MOST_STATES = 24, EVENTS = 1000 };

static uint64_t seed;
static uint64_t draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* A state as the model has it: the event of each key, 0: none. The same bytes are its row in the database. */
struct model {
	int64_t event[TYPES][KEYS];
};

struct state {
	struct state_root root;
	struct model m;
};

struct test {
	struct both *b;
	struct arena *a; /* until the next turn */
	struct node_cache *cache;
	struct node_source src;
	struct state_tree tree;
	int64_t next;
	struct state states[MOST_STATES];
	size_t n;
};

static err *make_table(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "CREATE TABLE models (node BIGINT NOT NULL, model BYTEA NOT NULL)", NO_BIND);
}

/* As at start: what there is, the tables say. */
static void load(struct test *t)
{
	struct rows *rs;
	AUTO_TX tx = NULL;

	if (t->cache)
		node_cache_free(&t->cache);
	t->cache = node_cache_new(t->b->st, 1 + draw(2) * 100000);
	t->src = (struct node_source){ .cache = t->cache, .room = ROOM };
	t->tree = node_source_tree(&t->src);
	t->n = 0;
	both_ok(store_read(t->b->st, t->a, &tx));
	both_ok(store_next_node(tx, ROOM, &t->next));
	both_ok(tx_query(tx, "SELECT node, model FROM models ORDER BY node", NO_BIND, &rs));
	while (rows_next(rs)) {
		struct state *s = &t->states[t->n++];
		const str model = rows_str(rs, 1);

		assert_true(t->n <= MOST_STATES);
		memcpy(&s->m, model.p, sizeof(s->m));
		s->root.node = rows_i64(rs, 0);
	}
	both_ok(rows_end(&rs));
	for (size_t i = 0; i < t->n; i++)
		both_ok(store_root_load(tx, ROOM, t->states[i].root.node, &t->states[i].root));
}

static err *check_entry(void *arg, const struct state_entry *e)
{
	struct model *left = arg;

	ok(left->event[e->type - 1][e->key - 1] == e->event, "key (%d, %d)", (int)e->type, (int)e->key);
	left->event[e->type - 1][e->key - 1] = 0;
	return NULL;
}

static err *check_change(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	struct model *d = arg; /* from, to: both must become the same */

	ok(d[0].event[type - 1][key - 1] == old && d[1].event[type - 1][key - 1] == now, "difference of a key");
	d[0].event[type - 1][key - 1] = now;
	return NULL;
}

static void check_all(struct test *t)
{
	static const struct model empty;

	for (size_t i = 0; i < t->n; i++) {
		const struct state *s = &t->states[i], *other = &t->states[draw(t->n)];
		struct model left = s->m, d[2] = { s->m, other->m };
		bool hash_good;

		both_ok(state_each(&t->tree, t->a, s->root, (struct state_pick){ 0 }, check_entry, &left));
		assert_memory_equal(&left, &empty, sizeof(left));
		both_ok(state_check_hash(&t->tree, t->a, s->root, &hash_good));
		ok(hash_good, "hash");
		both_ok(state_diff(&t->tree, t->a, s->root, other->root, (struct state_pick){ 0 }, check_change, d));
		assert_memory_equal(&d[0], &d[1], sizeof(d[0]));
	}
}

/*
 * Operations
 */
struct saving {
	const struct state_builder *b;
	const struct state *s;
};

static err *save(struct tx *tx, void *arg)
{
	const struct saving *x = arg;
	const str model = { (const char *)&x->s->m, sizeof(x->s->m) };

	TRY(store_nodes_save(tx, ROOM, x->b->rows, x->b->n_rows));
	return tx_run(tx, "INSERT INTO models (node, model) VALUES ($1, $2)", BIND(B(x->s->root.node), B(model)));
}

static err *forget(struct tx *tx, void *arg)
{
	return tx_run(tx, "DELETE FROM models WHERE node = $1", BIND(B(*(int64_t *)arg)));
}

static void drop_state(struct test *t, size_t i)
{
	int64_t node = t->states[i].root.node;

	both_ok(store_do(t->b->st, t->a, forget, &node));
	t->states[i] = t->states[--t->n];
}

/* A new state of an older one (or of none), by a key or by many; forks come by themselves. */
static void add_state(struct test *t)
{
	struct state s = { .root = STATE_EMPTY };
	struct state_entry *e;
	struct state_builder b;
	size_t n = draw(8) ? 1 + draw(3) : 1 + draw(TYPES * KEYS);

	if (t->n && draw(10))
		s = t->states[draw(t->n)];
	e = ARENA_ARRAY(t->a, struct state_entry, n);
	for (size_t i = 0; i < n; i++) {
		e[i] = (struct state_entry){ 1 + (int64_t)draw(TYPES), 1 + (int64_t)draw(KEYS),
					     draw(5) ? 1 + (int64_t)draw(EVENTS) : 0 };
		s.m.event[e[i].type - 1][e[i].key - 1] = e[i].event;
	}
	state_builder_init(&b, t->a, &t->tree);
	both_ok(state_apply(&b, s.root, e, n, &s.root));
	state_seal(&b, &s.root, 1, &t->next);
	for (size_t i = 0; i < t->n; i++) /* nothing changed */
		if (t->states[i].root.node == s.root.node)
			return;
	if (!s.root.node)
		return;
	if (t->n == MOST_STATES)
		drop_state(t, draw(t->n));
	node_cache_queued(t->cache, ROOM, b.rows, b.n_rows);
	both_ok(store_do(t->b->st, t->a, save, &(struct saving){ &b, &s }));
	node_cache_committed(t->cache, ROOM, t->next);
	t->states[t->n++] = s;
}

struct sweeping {
	struct state_marks *m;
	int64_t from, below;
	size_t limit;
	bool more;
};

static err *sweep_piece(struct tx *tx, void *arg)
{
	struct sweeping *x = arg;
	struct state_packed packed;
	struct node_row *rows;
	size_t n;

	TRY(store_nodes_up(tx, ROOM, x->from, x->below, x->limit, &rows, &n));
	x->more = n == x->limit;
	if (n == 0)
		return NULL;
	x->from = rows[n - 1].first + 1;
	TRY(state_pack(x->m, tx_arena(tx), rows, n, &packed));
	return store_nodes_replace(tx, ROOM, &packed);
}

static void mark(struct test *t, struct state_marks *m, int64_t *out_below)
{
	struct node_row *rows;
	int64_t next, below;
	AUTO_TX tx = NULL;
	size_t n;

	both_ok(store_read(t->b->st, t->a, &tx));
	both_ok(store_next_node(tx, ROOM, &next));
	state_marks_init(m, next);
	for (size_t i = 0; i < t->n; i++)
		state_mark_root(m, t->states[i].root.node);
	*out_below = 0;
	for (below = next;; below = rows[n - 1].first) {
		both_ok(store_nodes_down(tx, ROOM, below, 1 + draw(20), &rows, &n));
		if (n == 0)
			break;
		*out_below = MAX(*out_below, rows[0].first);
		for (size_t i = 0; i < n; i++)
			both_ok(state_mark_row(m, t->a, &rows[i], NULL, NULL));
	}
	ok(m->met == m->marked, "every node that is referred to is there");
}

/* Mark and sweep; new states are made between the pieces. `pieces`: where it is cut short. */
static void sweep(struct test *t, size_t pieces, bool meanwhile)
{
	struct state_marks m;
	struct sweeping x = { .m = &m, .from = 0, .limit = 1 + draw(30), .more = true };

	mark(t, &m, &x.below);
	for (; x.more && pieces > 0; pieces--) {
		for (uint64_t k = draw(3); meanwhile && k > 0; k--)
			add_state(t);
		both_ok(store_do(t->b->st, t->a, sweep_piece, &x));
	}
	state_marks_done(&m);
}

struct counting {
	struct state_tree real;
	struct map met;
};
static err *count_node(void *ctx, struct arena *a, int64_t id, struct state_node *out)
{
	struct counting *c = ctx;

	map_put_i(&c->met, id, c);
	return c->real.node(c->real.ctx, a, id, out);
}
static err *ignore(void *arg, const struct state_entry *e)
{
	(void)arg, (void)e;
	return NULL;
}

/* Nodes stored below the newest row are those that a walk of all states meets, each once. */
static void check_no_leak(struct test *t)
{
	struct counting c = { .real = t->tree };
	struct state_tree counting = t->tree;
	struct node_row *rows;
	size_t n, stored = 0, met = 0;
	AUTO_TX tx = NULL;

	map_init(&c.met, t->a);
	counting.node = count_node;
	counting.ctx = &c;
	for (size_t i = 0; i < t->n; i++) {
		struct state_root root;

		both_ok(state_root_of(&counting, t->a, t->states[i].root.node, &root));
		both_ok(state_each(&counting, t->a, root, (struct state_pick){ 0 }, ignore, NULL));
	}
	both_ok(store_read(t->b->st, t->a, &tx));
	both_ok(store_nodes_up(tx, ROOM, 0, INT64_MAX, 1000000, &rows, &n));
	for (size_t i = 0; i + 1 < n; i++) {
		struct node_iter it = node_iter(rows[i].bytes);
		str node;

		for (int64_t id = rows[i].first; node_iter_next(&it, &node); id++) {
			stored += node.n > 0;
			met += node.n > 0 && map_get_i(&c.met, id);
		}
		assert_false(it.bad);
	}
	assert_int_equal(stored, met);
}

static void turn(struct test *t)
{
	AUTO_ARENA a = arena_new();

	t->a = a;
	for (uint64_t k = draw(12); k > 0; k--)
		add_state(t);
	for (uint64_t k = draw(8); k > 0 && t->n > 1; k--)
		drop_state(t, draw(t->n));
	switch (draw(4)) {
	case 0:
		sweep(t, SIZE_MAX, false);
		check_no_leak(t);
		break;
	case 1:
		sweep(t, SIZE_MAX, true);
		break;
	case 2:
		sweep(t, draw(4), true);
		break;
	default:
		break;
	}
	check_all(t);
}

static void restart(struct test *t)
{
	AUTO_ARENA a = arena_new();

	t->a = a;
	node_cache_free(&t->cache);
	both_reopen(t->b);
	load(t);
	check_all(t);
}

static void states_are_maps(struct both *b)
{
	both_ok(store_do(b->st, b->a, make_table, NULL));
	struct test *t = ARENA_NEW(b->a, struct test);

	t->b = b;
	t->a = b->a;
	seed = 0x5eed;
	load(t);
	for (int i = 0; i < 60; i++) {
		turn(t);
		if (i % 7 == 6)
			restart(t);
	}
	node_cache_free(&t->cache);
}
BOTH(states_are_maps)

/* A child does the same until it is killed; each time at another moment. */
static void child_turns(struct both *b, uint64_t child_seed, int out)
{
	struct test *t = ARENA_NEW(b->a, struct test);

	both_open(b);
	t->b = b;
	t->a = b->a;
	seed = child_seed;
	load(t);
	for (;;) {
		turn(t);
		if (write(out, "x", 1) != 1)
			_exit(1);
	}
}

static void killed_at_any_time(struct both *b)
{
	both_ok(store_do(b->st, b->a, make_table, NULL));
	for (uint64_t round = 1; round <= 8; round++) {
		int fds[2], status;
		pid_t child;
		char c;

		store_close(&b->st);
		assert_int_equal(pipe(fds), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			close(fds[0]);
			child_turns(b, round * 0x9e3779b97f4a7c15u, fds[1]);
		}
		close(fds[1]);
		for (uint64_t turns = 0; turns < round && read(fds[0], &c, 1) == 1; turns++)
			;
		kill(child, SIGKILL);
		while (read(fds[0], &c, 1) == 1)
			;
		close(fds[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself");

		struct test *t = ARENA_NEW(b->a, struct test);

		both_open(b);
		t->b = b;
		t->a = b->a;
		seed = round;
		load(t);
		check_all(t);
		sweep(t, SIZE_MAX, false);
		check_all(t);
		check_no_leak(t);
		node_cache_free(&t->cache);
	}
}
BOTH(killed_at_any_time)

TEST_MAIN(BOTH_TESTS(states_are_maps), BOTH_TESTS(killed_at_any_time))
