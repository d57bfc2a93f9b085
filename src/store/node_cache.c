/*
 * node_cache.c - the state nodes that are in memory: those read or written lately, and those not yet in the store.
 *
 * A room's next event is built on the state after the one before, which may still be waiting for its commit. Its nodes
 * are put here when it is queued, where they are found like any other, and may not be evicted until the store has them.
 * If the commit fails they are void, and go.
 *
 * A node never changes once it is committed, so nothing here ever has to be invalidated. Nodes are kept as their bytes
 * (some 50 of them), least recently used ones go first. Rooms are spread over shards with a lock each.
 */
#include <assert.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "store/internal_state_nodes.h"

enum { SHARDS = 16, DEFAULT_BYTES = 32 << 20, ENTRY_COST = sizeof(int64_t) * 14 };

struct entry {
	struct list order; /* in shard.lru, last used first; or in shard.queued, oldest first */
	int64_t key[2];    /* room, node */
	bool queued;
	size_t n;
	char bytes[];
};

struct shard {
	struct lock lock;
	struct map nodes;
	struct list lru, queued;
	size_t bytes; /* of lru */
};

struct node_cache {
	struct store *store;
	uint8_t key[16];
	size_t share; /* bytes that each shard may have, whatever the others do */
	size_t pool;  /* beyond it one may have more while all together have no more than this: a big room is in one
			 shard */
	_Atomic size_t bytes;
	struct shard shards[SHARDS];
};

struct node_cache *node_cache_new(struct store *st, size_t max_bytes)
{
	struct node_cache *c = MEM_NEW(struct node_cache);

	c->store = st;
	c->pool = (max_bytes ? max_bytes : DEFAULT_BYTES) / 2;
	c->share = c->pool / SHARDS;
	store_tree_key(st, c->key);
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		lock_init(&s->lock, RANK_LEAF);
		map_init(&s->nodes, NULL);
		list_init(&s->lru);
		list_init(&s->queued);
	}
	return c;
}

static str entry_key(const struct entry *e) { return (str){ (const char *)e->key, sizeof(e->key) }; }

/* Takes the entry out, and frees it. */
static void drop(struct node_cache *c, struct shard *s, struct entry *e)
{
	map_del(&s->nodes, entry_key(e));
	list_del(&e->order);
	if (!e->queued) {
		s->bytes -= e->n + ENTRY_COST;
		c->bytes -= e->n + ENTRY_COST;
	}
	mem_free(e);
}

void node_cache_free(struct node_cache **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &(*c)->shards[i];

		LIST_EACH_SAFE (&s->lru, it)
			drop(*c, s, LIST_ITEM(it, struct entry, order));
		LIST_EACH_SAFE (&s->queued, it)
			drop(*c, s, LIST_ITEM(it, struct entry, order));
		map_done(&s->nodes);
		lock_done(&s->lock);
	}
	mem_free(*c);
	*c = NULL;
}

static struct shard *shard_of(struct node_cache *c, int64_t room) { return &c->shards[hash_i64(room) % SHARDS]; }

static void evict(struct node_cache *c, struct shard *s)
{
	while (s->bytes > c->share && c->bytes > c->pool)
		drop(c, s, LIST_ITEM(s->lru.prev, struct entry, order));
}

static void settle(struct node_cache *c, struct shard *s, struct entry *e)
{
	e->queued = false;
	list_add_head(&s->lru, &e->order);
	s->bytes += e->n + ENTRY_COST;
	c->bytes += e->n + ENTRY_COST;
}

/* The nodes of one row. What is there already stays, unless the row is newer than anything known (queued). */
static void put_row(struct node_cache *c, struct shard *s, int64_t room, const struct node_row *row, bool queued)
{
	struct node_iter it = node_iter(row->bytes); /* damaged: said when it is asked for */
	str bytes;

	for (int64_t id = row->first; node_iter_next(&it, &bytes); id++) {
		const int64_t key[2] = { room, id };
		struct entry *e = map_get(&s->nodes, (str){ (const char *)key, sizeof(key) });

		if ((e && !queued) || bytes.n == 0)
			continue;
		if (e)
			drop(c, s, e);
		e = mem_zalloc(sizeof(*e) + bytes.n);
		e->key[0] = room;
		e->key[1] = id;
		e->n = bytes.n;
		memcpy(e->bytes, bytes.p, bytes.n);
		map_put(&s->nodes, entry_key(e), e);
		if (queued) {
			e->queued = true;
			list_add_tail(&s->queued, &e->order);
		} else {
			settle(c, s, e);
		}
	}
}

void node_cache_queued(struct node_cache *c, int64_t room, const struct node_row *rows, size_t n)
{
	struct shard *s = shard_of(c, room);
	LOCKED(&s->lock);

	for (size_t i = 0; i < n; i++)
		put_row(c, s, room, &rows[i], true);
}

void node_cache_committed(struct node_cache *c, int64_t room, int64_t below)
{
	struct shard *s = shard_of(c, room);
	LOCKED(&s->lock);

	LIST_EACH_SAFE (&s->queued, it) {
		struct entry *e = LIST_ITEM(it, struct entry, order);

		if (e->key[0] == room && e->key[1] < below) {
			list_del(&e->order);
			settle(c, s, e);
		}
	}
	evict(c, s);
}

void node_cache_failed(struct node_cache *c, int64_t room)
{
	struct shard *s = shard_of(c, room);
	LOCKED(&s->lock);

	LIST_EACH_SAFE (&s->queued, it) {
		struct entry *e = LIST_ITEM(it, struct entry, order);

		if (e->key[0] == room)
			drop(c, s, e);
	}
}

void node_cache_forget(struct node_cache *c, int64_t room)
{
	struct shard *s = shard_of(c, room);
	LOCKED(&s->lock);

	LIST_EACH_SAFE (&s->lru, it) {
		struct entry *e = LIST_ITEM(it, struct entry, order);

		if (e->key[0] == room)
			drop(c, s, e);
	}
}

/* False: not in memory. */
static bool find(struct node_cache *c, int64_t room, int64_t id, struct arena *a, struct state_node *out, err **out_err)
{
	const int64_t key[2] = { room, id };
	struct shard *s = shard_of(c, room);
	LOCKED(&s->lock);
	struct entry *e = map_get(&s->nodes, (str){ (const char *)key, sizeof(key) });

	if (!e)
		return false;
	if (!e->queued) {
		list_del(&e->order);
		list_add_head(&s->lru, &e->order);
	}
	*out_err = state_node_parse(a, (str){ e->bytes, e->n }, id, out);
	return true;
}

static err *fetch(struct node_source *src, struct tx *tx, struct arena *a, int64_t id, struct state_node *out,
		  bool *out_found)
{
	struct shard *s = shard_of(src->cache, src->room);
	struct node_row row;

	TRY(store_nodes_row(tx, src->room, id, &row));
	*out_found = row.n > 0;
	if (!*out_found)
		return NULL;
	TRY(state_node_parse(a, node_row_find(row.bytes, row.first, id), id, out));
	LOCKED(&s->lock);
	put_row(src->cache, s, src->room, &row, false);
	evict(src->cache, s);
	return NULL;
}

static err *source_node(void *ctx, struct arena *a, int64_t id, struct state_node *out)
{
	struct node_source *src = ctx;
	AUTO_TX tx = NULL;
	bool found = false;
	err *e = NULL;

	if (find(src->cache, src->room, id, a, out, &e))
		return e;
	if (src->tx)
		TRY(fetch(src, src->tx, a, id, out, &found));
	if (found)
		return NULL;
	/* A node that was queued when the caller's snapshot was taken, and was committed and evicted since, is in no
	 * older snapshot. */
	TRY(store_read(src->cache->store, a, &tx));
	TRY(fetch(src, tx, a, id, out, &found));
	if (!found)
		return err_new(a, ERR_INTERNAL, "room %" PRId64 " has no state node %" PRId64, src->room, id);
	return NULL;
}

struct state_tree node_source_tree(struct node_source *src)
{
	assert(src->cache && src->room > 0);
	return (struct state_tree){ .key = src->cache->key, .node = source_node, .ctx = src };
}
