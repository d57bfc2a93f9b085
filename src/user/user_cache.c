/*
 * user_cache.c - a bounded cache of small texts by (user, number).
 *
 * Writers drop the entry after their commit. A reader that read the store before that commit must not bring the old
 * text back afterwards: `epoch` counts drops, and a fill carries the epoch of its miss.
 */
#include "user/internal_user_cache.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

struct entry {
	struct list node;
	struct key {
		int64_t user, number;
	} key;
	str text;          /* owned, or STR_NONE */
	int64_t filled_ms; /* clock_mono_ms */
};

struct user_cache {
	struct lock lock;
	struct map map;
	struct list lru; /* newest first */
	size_t bytes, max_bytes;
	uint64_t epoch; /* drops so far */
};

static str key_str(const struct key *k) { return (str){ (const char *)k, sizeof(*k) }; }
static size_t cost(const struct entry *e) { return sizeof(*e) + e->text.n + 64; }

struct user_cache *user_cache_new(size_t max_bytes)
{
	struct user_cache *c = MEM_NEW(struct user_cache);

	lock_init(&c->lock, RANK_LEAF);
	map_init(&c->map, NULL);
	list_init(&c->lru);
	c->max_bytes = max_bytes;
	return c;
}

static void forget(struct user_cache *c, struct entry *e)
{
	(void)map_del(&c->map, key_str(&e->key));
	list_del(&e->node);
	c->bytes -= cost(e);
	mem_free((void *)e->text.p);
	mem_free(e);
}

void user_cache_free(struct user_cache **c)
{
	if (!*c)
		return;
	LIST_EACH_SAFE (&(*c)->lru, it)
		forget(*c, LIST_ITEM(it, struct entry, node));
	map_done(&(*c)->map);
	lock_done(&(*c)->lock);
	mem_free(*c);
	*c = NULL;
}

bool user_cache_get(struct user_cache *c, struct arena *a, int64_t user, int64_t number, int64_t max_age_ms, str *out,
		    uint64_t *out_epoch)
{
	const struct key key = { user, number };
	struct entry *e;

	LOCKED(&c->lock);
	*out_epoch = c->epoch;
	e = map_get(&c->map, key_str(&key));
	if (!e || (max_age_ms && clock_mono_ms() - e->filled_ms >= max_age_ms))
		return false;
	list_del(&e->node);
	list_add_head(&c->lru, &e->node);
	*out = arena_keep(a, e->text);
	return true;
}

void user_cache_fill(struct user_cache *c, int64_t user, int64_t number, str text, uint64_t epoch)
{
	const struct key key = { user, number };
	struct entry *e;

	LOCKED(&c->lock);
	if (epoch != c->epoch)
		return;
	e = map_get(&c->map, key_str(&key));
	if (e)
		forget(c, e);
	e = MEM_NEW(struct entry);
	e->key = key;
	e->text = str_keep(text);
	e->filled_ms = clock_mono_ms();
	c->bytes += cost(e);
	(void)map_put(&c->map, key_str(&e->key), e);
	list_add_head(&c->lru, &e->node);
	while (c->bytes > c->max_bytes && c->lru.prev != c->lru.next)
		forget(c, LIST_ITEM(c->lru.prev, struct entry, node));
}

void user_cache_drop(struct user_cache *c, int64_t user, int64_t number)
{
	const struct key key = { user, number };
	struct entry *e;

	LOCKED(&c->lock);
	c->epoch++;
	e = map_get(&c->map, key_str(&key));
	if (e)
		forget(c, e);
}
