/*
 * token_cache.c - access tokens that were seen lately.
 *
 * Two maps find an entry: by hash for requests, by user (a ring of the user's entries) for logouts. Staleness is
 * excluded by a counter: every drop raises it, and an answer read from the store before the last drop is not put in.
 * That refuses some answers that were good; they are read again next time.
 */
#include "user/token_cache.h"

#include <assert.h>

#include "base/lru.h"
#include "base/thread.h"

struct entry {
	struct lru_node node;
	uint8_t hash[32];
	struct cached_token t; /* its strings point into `text` */
	struct list peers;
	char text[];
};

struct token_cache {
	struct lock lock;
	struct lru by_hash;
	struct map by_user; /* the entry that was put first; the others hang on its `peers` ring */
	uint64_t drops;
};

static str hash_key(const uint8_t hash[32]) { return (str){ (const char *)hash, 32 }; }

static void entry_gone(struct lru *by_hash, void *entry)
{
	struct token_cache *c = LIST_ITEM(by_hash, struct token_cache, by_hash);
	struct entry *e = entry;

	if (map_get_i(&c->by_user, e->t.id.user) == e) {
		map_del_i(&c->by_user, e->t.id.user);
		if (!list_is_empty(&e->peers))
			map_put_i(&c->by_user, e->t.id.user, LIST_ITEM(e->peers.next, struct entry, peers));
	}
	list_del(&e->peers);
	mem_free(e);
}

struct token_cache *token_cache_new(size_t max)
{
	struct token_cache *c = MEM_NEW(struct token_cache);

	assert(max > 0);
	lock_init(&c->lock, RANK_SERVICE);
	lru_init(&c->by_hash, max, entry_gone);
	map_init(&c->by_user, NULL);
	return c;
}

void token_cache_free(struct token_cache **c)
{
	if (!*c)
		return;
	lru_done(&(*c)->by_hash);
	map_done(&(*c)->by_user);
	lock_done(&(*c)->lock);
	mem_free(*c);
	*c = NULL;
}

bool token_cache_get(struct token_cache *c, struct arena *a, const uint8_t hash[32], int64_t now_ms,
		     int64_t seen_every_ms, struct cached_token *out, bool *out_seen)
{
	LOCKED(&c->lock);
	struct entry *e = lru_get(&c->by_hash, hash_key(hash));
	bool due;

	if (!e)
		return false;
	due = now_ms - e->t.seen_ms >= seen_every_ms;
	if (due && out_seen)
		e->t.seen_ms = now_ms;
	*out = e->t;
	out->id.user_id = arena_keep(a, e->t.id.user_id);
	out->id.device_id = arena_keep(a, e->t.id.device_id);
	if (out_seen)
		*out_seen = due;
	return true;
}

uint64_t token_cache_mark(struct token_cache *c)
{
	LOCKED(&c->lock);
	return c->drops;
}

void token_cache_put(struct token_cache *c, const uint8_t hash[32], const struct cached_token *t, uint64_t mark)
{
	const str user_id = t->id.user_id, device_id = t->id.device_id;
	struct entry *e, *first;
	LOCKED(&c->lock);

	if (c->drops != mark)
		return;
	e = mem_zalloc(sizeof(*e) + user_id.n + device_id.n);
	e->t = *t;
	memcpy(e->hash, hash, sizeof(e->hash));
	memcpy(e->text, user_id.p, user_id.n);
	memcpy(e->text + user_id.n, device_id.p, device_id.n);
	e->t.id.user_id = (str){ e->text, user_id.n };
	e->t.id.device_id = (str){ e->text + user_id.n, device_id.n };
	list_init(&e->peers);
	lru_put(&c->by_hash, hash_key(e->hash), e, 1);
	first = map_get_i(&c->by_user, t->id.user);
	if (first)
		list_add_tail(&first->peers, &e->peers);
	else
		map_put_i(&c->by_user, t->id.user, e);
}

static void drop(struct token_cache *c, int64_t user, str device_id)
{
	struct entry *first, *e;
	struct list *it, *next;
	LOCKED(&c->lock);

	c->drops++;
	first = map_get_i(&c->by_user, user);
	if (!first)
		return;
	for (it = first->peers.next; it != &first->peers; it = next) {
		next = it->next;
		e = LIST_ITEM(it, struct entry, peers);
		if (str_is_none(device_id) || str_eq(e->t.id.device_id, device_id))
			lru_drop(&c->by_hash, e);
	}
	if (str_is_none(device_id) || str_eq(first->t.id.device_id, device_id))
		lru_drop(&c->by_hash, first);
}

void token_cache_drop_user(struct token_cache *c, int64_t user) { drop(c, user, STR_NONE); }

void token_cache_drop_device(struct token_cache *c, int64_t user, str device_id)
{
	drop(c, user, device_id.p ? device_id : S(""));
}

size_t token_cache_count(struct token_cache *c)
{
	LOCKED(&c->lock);
	return c->by_hash.cost;
}
