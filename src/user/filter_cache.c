/*
 * filter_cache.c - what filters' texts mean.
 *
 * Every run of a poll, and a poll that waits runs twice, needs its filter; parsing it was a sixth of what a delivery
 * costs. What a text means never changes and does not depend on whose it is, so the table is by text, nothing ever has
 * to be dropped, and all the users of one client share an entry. Answers are copies in the asker's arena: a few short
 * lists, made under the lock. A long text, which only a test or an attacker sends, is parsed each time instead.
 */
#include "user/internal_filter_cache.h"

#include "base/lru.h"
#include "base/thread.h"

enum { TEXT_MOST = 2048 };

const struct json_limits filter_limits = { 64 * 1024, 16, 10000 };

struct entry {
	struct lru_node node;
	struct arena *arena; /* holds this */
	struct filter filter;
};

struct filter_cache {
	struct lock lock;
	struct lru by_text;
	uint64_t parses;
};

static void entry_gone(struct lru *by_text, void *entry)
{
	struct arena *a = ((struct entry *)entry)->arena;

	(void)by_text;
	arena_free(&a);
}

struct filter_cache *filter_cache_new(size_t max_filters)
{
	struct filter_cache *c = MEM_NEW(struct filter_cache);

	lock_init(&c->lock, RANK_LEAF);
	lru_init(&c->by_text, max_filters, entry_gone);
	return c;
}

void filter_cache_free(struct filter_cache **c)
{
	if (!*c)
		return;
	lru_done(&(*c)->by_text);
	lock_done(&(*c)->lock);
	mem_free(*c);
	*c = NULL;
}

static bool find(struct filter_cache *c, struct arena *a, str text, struct filter *out)
{
	struct entry *e;

	LOCKED(&c->lock);
	e = lru_get(&c->by_text, text);
	if (!e)
		return false;
	filter_keep(a, &e->filter, out);
	return true;
}

static void put(struct filter_cache *c, str text, const struct filter *f)
{
	struct arena *a = arena_new();
	struct entry *e = ARENA_NEW(a, struct entry);

	e->arena = a;
	filter_keep(a, f, &e->filter);
	LOCKED(&c->lock);
	lru_put(&c->by_text, arena_keep(a, text), e, 1);
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
