/*
 * filter_cache.c - what filters' texts mean.
 *
 * Every run of a poll, and a poll that waits runs twice, needs its filter; parsing it was a sixth of what a delivery
 * costs. What a text means never changes and does not depend on whose it is, so the table is by text, nothing ever has
 * to be dropped, and all the users of one client share an entry. Answers are copies in the asker's arena: a few short
 * lists, made under the lock. A long text, which only a test or an attacker sends, is parsed each time instead.
 */
#include "user/internal_filter_cache.h"

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

enum { TEXT_MOST = 2048 };

const struct json_limits filter_limits = { 64 * 1024, 16, 10000 };

struct entry {
	struct list lru;
	struct arena *arena; /* holds this */
	str text;
	struct filter filter;
};

struct filter_cache {
	struct lock lock;
	struct map by_text;
	struct list lru; /* newest first */
	size_t n, max;
	uint64_t parses;
};

struct filter_cache *filter_cache_new(size_t max_filters)
{
	struct filter_cache *c = MEM_NEW(struct filter_cache);

	lock_init(&c->lock, RANK_LEAF);
	map_init(&c->by_text, NULL);
	list_init(&c->lru);
	c->max = max_filters;
	return c;
}

static void forget(struct filter_cache *c, struct entry *e)
{
	struct arena *a = e->arena;

	(void)map_del(&c->by_text, e->text);
	list_del(&e->lru);
	c->n--;
	arena_free(&a);
}

void filter_cache_free(struct filter_cache **c)
{
	if (!*c)
		return;
	LIST_EACH_SAFE (&(*c)->lru, it)
		forget(*c, LIST_ITEM(it, struct entry, lru));
	map_done(&(*c)->by_text);
	lock_done(&(*c)->lock);
	mem_free(*c);
	*c = NULL;
}

static bool find(struct filter_cache *c, struct arena *a, str text, struct filter *out)
{
	struct entry *e;

	LOCKED(&c->lock);
	e = map_get(&c->by_text, text);
	if (!e)
		return false;
	list_del(&e->lru);
	list_add_head(&c->lru, &e->lru);
	filter_keep(a, &e->filter, out);
	return true;
}

static void put(struct filter_cache *c, str text, const struct filter *f)
{
	struct arena *a = arena_new();
	struct entry *e = ARENA_NEW(a, struct entry);

	e->arena = a;
	e->text = arena_keep(a, text);
	filter_keep(a, f, &e->filter);
	LOCKED(&c->lock);
	if (map_get(&c->by_text, text)) { /* another was faster */
		arena_free(&a);
		return;
	}
	(void)map_put(&c->by_text, e->text, e);
	list_add_head(&c->lru, &e->lru);
	if (++c->n > c->max)
		forget(c, LIST_ITEM(c->lru.prev, struct entry, lru));
}

err *filter_cache_parse(struct filter_cache *c, struct arena *a, str text, struct filter *out)
{
	struct json *json = NULL;

	if (str_is_none(text))
		return filter_parse(a, NULL, out);
	if (text.n <= TEXT_MOST && find(c, a, text, out))
		return NULL;
	lock_take(&c->lock);
	c->parses++;
	lock_drop(&c->lock);
	TRY(json_parse(a, text, &filter_limits, &json));
	TRY(filter_parse(a, json, out));
	if (text.n <= TEXT_MOST)
		put(c, text, out);
	return NULL;
}

uint64_t filter_cache_parses(struct filter_cache *c)
{
	LOCKED(&c->lock);
	return c->parses;
}
