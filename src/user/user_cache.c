/*
 * user_cache.c - a bounded cache of small texts by (user, number).
 *
 * Writers drop the entry after their commit. A reader that read the store before that commit must not bring the old
 * text back afterwards: `epoch` counts drops, and a fill carries the epoch of its miss.
 */
#include "user/internal_user_cache.h"

#include "base/clock.h"
#include "base/lru.h"
#include "base/thread.h"

struct entry {
	struct lru_node node;
	struct key {
		int64_t user, number;
	} key;
	str text;          /* owned, or STR_NONE */
	int64_t filled_ms; /* clock_mono_ms */
};

struct user_cache {
	struct lock lock;
	struct lru texts;
	uint64_t epoch; /* drops so far */
};

static str key_str(const struct key *k) { return (str){ (const char *)k, sizeof(*k) }; }
static size_t cost(const struct entry *e) { return sizeof(*e) + e->text.n + 64; }

static void entry_gone(struct lru *texts, void *entry)
{
	struct entry *e = entry;

	(void)texts;
	mem_free((void *)e->text.p);
	mem_free(e);
}

struct user_cache *user_cache_new(size_t max_bytes)
{
	struct user_cache *c = MEM_NEW(struct user_cache);

	lock_init(&c->lock, RANK_LEAF);
	lru_init(&c->texts, max_bytes, entry_gone);
	return c;
}

void user_cache_free(struct user_cache **c)
{
	if (!*c)
		return;
	lru_done(&(*c)->texts);
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
	e = lru_get(&c->texts, key_str(&key));
	if (!e || (max_age_ms && clock_mono_ms() - e->filled_ms >= max_age_ms))
		return false;
	*out = arena_keep(a, e->text);
	return true;
}

void user_cache_fill(struct user_cache *c, int64_t user, int64_t number, str text, uint64_t epoch)
{
	struct entry *e;

	LOCKED(&c->lock);
	if (epoch != c->epoch)
		return;
	e = MEM_NEW(struct entry);
	e->key = (struct key){ user, number };
	e->text = str_keep(text);
	e->filled_ms = clock_mono_ms();
	lru_put(&c->texts, key_str(&e->key), e, cost(e));
}

void user_cache_drop(struct user_cache *c, int64_t user, int64_t number)
{
	const struct key key = { user, number };

	LOCKED(&c->lock);
	c->epoch++;
	lru_drop(&c->texts, lru_get(&c->texts, key_str(&key)));
}
