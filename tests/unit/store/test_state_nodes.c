/* test_state_nodes.c - state trees through the store: what was saved is read back, and what is queued is read before.
 */
#include "both.h"
#include "store/state_nodes.h"
#include "store/tx.h"

enum { ROOM = 5, OTHER = 6, MEMBER = 100 };

/* One event's worth of state, saved as a room would. */
struct change {
	int64_t room;
	const struct state_builder *b;
	struct state_root root;
	bool fail;
	int64_t stream; /* out */
};

static err *save(struct tx *tx, void *arg)
{
	struct change *c = arg;

	TRY(store_nodes_save(tx, c->room, c->b->rows, c->b->n_rows));
	return c->fail ? err_new(tx_arena(tx), ERR_INTERNAL, "for the test") : NULL;
}

static err *journal(struct tx *tx, void *arg)
{
	struct change *c = arg;

	TRY(tx_position(tx, &c->stream));
	return store_room_root_save(tx, c->room, c->stream, c->root.node);
}

static err *commit(struct both *b, struct change *c)
{
	const struct piece p = { .run = save, .late = journal, .arg = c, .shard = c->room };
	struct ticket *t;

	TRY(store_write(b->st, b->a, &p, &t));
	return store_wait(b->a, t);
}

struct room {
	struct both *b;
	struct node_cache *cache;
	struct node_source src;
	struct state_tree tree;
	struct state_root root;
	int64_t next;
};

static void open_room(struct room *r, struct both *b, size_t cache_bytes)
{
	*r = (struct room){ .b = b, .cache = node_cache_new(b->st, cache_bytes), .next = 1 };
	r->src = (struct node_source){ .cache = r->cache, .room = ROOM };
	r->tree = node_source_tree(&r->src);
}

/* Builds, queues, and (unless told otherwise) commits. */
static err *set(struct room *r, const struct state_entry *e, size_t n, bool fail, int64_t *out_stream)
{
	struct state_builder sb;
	struct change c = { .room = ROOM, .b = &sb, .fail = fail };

	state_builder_init(&sb, r->b->a, &r->tree);
	TRY(state_apply(&sb, r->root, e, n, &c.root));
	state_seal(&sb, &c.root, 1, &r->next);
	node_cache_queued(r->cache, ROOM, sb.rows, sb.n_rows);
	TRY(commit(r->b, &c));
	node_cache_committed(r->cache, ROOM, r->next);
	r->root = c.root;
	if (out_stream)
		*out_stream = c.stream;
	return NULL;
}

static int64_t get(struct room *r, struct state_root root, int64_t type, int64_t key)
{
	int64_t event = -1;

	both_ok(state_get(&r->tree, r->b->a, root, type, key, &event));
	return event;
}

static err *count(void *arg, const struct state_entry *e)
{
	size_t *n = arg;

	assert_int_equal(e->event, e->key * 10 + e->type);
	++*n;
	return NULL;
}

static void states_come_back(struct both *b)
{
	struct state_entry e[3000];
	struct state_root roots[20], got;
	int64_t streams[20], next;
	struct room r;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		e[i] = (struct state_entry){ MEMBER + (int64_t)(i % 3), 1 + (int64_t)i, 0 };
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		e[i].event = e[i].key * 10 + e[i].type;
	open_room(&r, b, 0);
	both_ok(set(&r, e, 2900, false, &streams[0])); /* built whole: many rows */
	roots[0] = r.root;
	for (size_t i = 1; i < 20; i++) {
		both_ok(set(&r, &e[2900 + 5 * i - 5], 5, false, &streams[i]));
		roots[i] = r.root;
	}
	node_cache_free(&r.cache);
	both_reopen(b);
	for (size_t size = 1; size <= 1 << 22; size <<= 21) { /* a cache that keeps nothing; one that keeps all */
		open_room(&r, b, size);
		for (size_t i = 0; i < 20; i++) {
			n = 0;
			both_ok(state_each(&r.tree, b->a, roots[i], (struct state_pick){ 0 }, count, &n));
			assert_int_equal(n, 2900 + 5 * i);
			assert_int_equal(get(&r, roots[i], e[2000].type, e[2000].key), e[2000].event);
		}
		node_cache_free(&r.cache);
	}

	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	for (size_t i = 0; i < 20; i++) {
		both_ok(store_root_load(tx, ROOM, roots[i].node, &got));
		assert_true(state_same(got, roots[i]));
		both_ok(store_room_root_at(tx, ROOM, streams[i], &got));
		assert_int_equal(got.node, roots[i].node);
		assert_true(state_same(got, roots[i]));
	}
	both_ok(store_room_root_at(tx, ROOM, streams[0] - 1, &got));
	assert_int_equal(got.node, 0);
	both_ok(store_room_root_at(tx, ROOM, INT64_MAX, &got));
	assert_int_equal(got.node, roots[19].node);
	both_ok(store_root_load(tx, ROOM, 0, &got));
	assert_true(state_same(got, STATE_EMPTY));
	assert_non_null(store_root_load(tx, ROOM, 1, &got)); /* a node, but no root */
	assert_non_null(store_root_load(tx, OTHER, roots[3].node, &got));
	both_ok(store_next_node(tx, ROOM, &next));
	assert_int_equal(next, roots[19].node + 1);
	both_ok(store_next_node(tx, OTHER, &next));
	assert_int_equal(next, 1);
}
BOTH(states_come_back)

static void queued_nodes_are_read_and_kept(struct both *b)
{
	struct state_builder sb;
	struct state_root root = STATE_EMPTY;
	struct change c = { .room = ROOM, .b = &sb };
	struct room r;

	open_room(&r, b, 1); /* evicts all it may */
	state_builder_init(&sb, b->a, &r.tree);
	for (int64_t k = 1; k <= 500; k++)
		both_ok(state_set(&sb, root, MEMBER, k, k, &root));
	state_seal(&sb, &root, 1, &r.next);
	node_cache_queued(r.cache, ROOM, sb.rows, sb.n_rows);
	for (int64_t k = 1; k <= 500; k++)
		assert_int_equal(get(&r, root, MEMBER, k), k);
	c.root = root;
	both_ok(commit(b, &c));
	node_cache_committed(r.cache, ROOM, r.next);
	const uint64_t before = store_statements_here();

	assert_int_equal(get(&r, root, MEMBER, 77), 77);
	assert_true(store_statements_here() > before); /* evicted now, and read from the store */
	node_cache_free(&r.cache);
}
BOTH(queued_nodes_are_read_and_kept)

static void read_once_then_from_memory(struct both *b)
{
	struct state_entry e[200];
	struct room r;
	uint64_t before;

	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		e[i] = (struct state_entry){ MEMBER, 1 + (int64_t)i, 7 };
	open_room(&r, b, 0);
	both_ok(set(&r, e, ARRAY_LEN(e), false, NULL));
	const struct state_root root = r.root;

	before = store_statements_here();
	assert_int_equal(get(&r, root, MEMBER, 9), 7); /* just written: no SQL */
	assert_int_equal(store_statements_here(), before);
	node_cache_free(&r.cache);
	open_room(&r, b, 0);
	assert_int_equal(get(&r, root, MEMBER, 9), 7);
	assert_true(store_statements_here() > before);
	before = store_statements_here();
	assert_int_equal(get(&r, root, MEMBER, 9), 7);
	assert_int_equal(store_statements_here(), before);
	node_cache_free(&r.cache);
}
BOTH(read_once_then_from_memory)

/* The numbers of a piece that failed are given again, to other nodes. */
static void failed_nodes_are_forgotten(struct both *b)
{
	const struct state_entry first = { MEMBER, 1, 10 }, lost = { MEMBER, 2, 20 }, instead = { MEMBER, 3, 30 };
	struct room r;

	open_room(&r, b, 0);
	both_ok(set(&r, &first, 1, false, NULL));
	const int64_t next = r.next;

	assert_non_null(set(&r, &lost, 1, true, NULL));
	node_cache_failed(r.cache, ROOM);
	r.next = next;
	both_ok(set(&r, &instead, 1, false, NULL));
	assert_int_equal(get(&r, r.root, MEMBER, 1), 10);
	assert_int_equal(get(&r, r.root, MEMBER, 2), 0);
	assert_int_equal(get(&r, r.root, MEMBER, 3), 30);
	node_cache_free(&r.cache);
	open_room(&r, b, 0);
	r.root.node = 0;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_room_root_at(tx, ROOM, INT64_MAX, &r.root));
	r.src.tx = tx;
	assert_int_equal(get(&r, r.root, MEMBER, 2), 0);
	assert_int_equal(get(&r, r.root, MEMBER, 3), 30);
	node_cache_free(&r.cache);
}
BOTH(failed_nodes_are_forgotten)

/* The reader's snapshot is older than the commit, and the cache has let the node go. */
static void a_snapshot_from_before_the_commit(struct both *b)
{
	struct room r;
	AUTO_TX tx = NULL;

	open_room(&r, b, 1);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(set(&r, &(struct state_entry){ MEMBER, 1, 10 }, 1, false, NULL));
	r.src.tx = tx;
	assert_int_equal(get(&r, r.root, MEMBER, 1), 10);
	const struct state_root never = { .node = 99 };
	int64_t event;

	assert_non_null(state_get(&r.tree, b->a, never, MEMBER, 1, &event));
	node_cache_free(&r.cache);
}
BOTH(a_snapshot_from_before_the_commit)

static err *purge(struct tx *tx, void *arg) { return store_nodes_purge_room(tx, ROOM, 10, arg); }

static void a_room_goes_in_pieces(struct both *b)
{
	struct state_root got;
	struct room r;
	bool more = true;
	int pieces = 0;
	int64_t next;

	open_room(&r, b, 0);
	for (int64_t k = 1; k <= 20; k++)
		both_ok(set(&r, &(struct state_entry){ MEMBER, k, k }, 1, false, NULL));
	node_cache_free(&r.cache);
	for (; more; pieces++)
		both_ok(store_do(b->st, b->a, purge, &more));
	assert_int_equal(pieces, 5); /* 40 rows, and one time to see that there are no more */
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_room_root_at(tx, ROOM, INT64_MAX, &got));
	assert_int_equal(got.node, 0);
	both_ok(store_next_node(tx, ROOM, &next));
	assert_int_equal(next, 1);
}
BOTH(a_room_goes_in_pieces)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(states_come_back),
		BOTH_TESTS(queued_nodes_are_read_and_kept),
		BOTH_TESTS(read_once_then_from_memory),
		BOTH_TESTS(failed_nodes_are_forgotten),
		BOTH_TESTS(a_snapshot_from_before_the_commit),
		BOTH_TESTS(a_room_goes_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
