#include "e2ee/shown_keys.h"

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

struct entry {
	struct list lru;
	struct shown_keys k; /* its texts are in `text` */
	size_t bytes;
	char text[];
};
struct shown_cache {
	struct lock lock;
	struct map users;
	struct list lru;
	size_t bytes, max_bytes;
};

struct shown_cache *shown_cache_new(size_t max_bytes)
{
	struct shown_cache *c = MEM_NEW(struct shown_cache);

	lock_init(&c->lock, RANK_SERVICE);
	map_init(&c->users, NULL);
	list_init(&c->lru);
	c->max_bytes = max_bytes;
	return c;
}

static void drop(struct shown_cache *c, struct entry *e)
{
	(void)map_del_i(&c->users, e->k.user);
	list_del(&e->lru);
	c->bytes -= e->bytes;
	mem_free(e);
}

void shown_cache_free(struct shown_cache **cp)
{
	struct shown_cache *c = *cp;

	if (!c)
		return;
	LIST_EACH_SAFE (&c->lru, it)
		drop(c, LIST_ITEM(it, struct entry, lru));
	map_done(&c->users);
	lock_done(&c->lock);
	mem_free(c);
	*cp = NULL;
}

void shown_cache_get(struct shown_cache *c, struct arena *a, struct shown_keys *list, size_t n)
{
	LOCKED(&c->lock);
	for (size_t i = 0; i < n; i++) {
		struct shown_keys *k = &list[i];
		struct entry *e = map_get_i(&c->users, k->user);

		if (!e || e->k.stream != k->stream)
			continue;
		list_del(&e->lru);
		list_add_head(&c->lru, &e->lru);
		k->devices = arena_keep(a, e->k.devices);
		k->master = arena_keep(a, e->k.master);
		k->self_signing = arena_keep(a, e->k.self_signing);
	}
}

static str put_text(char **at, str s)
{
	const str kept = { str_is_none(s) ? NULL : *at, s.n };

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

void shown_cache_put(struct shown_cache *c, const struct shown_keys *k)
{
	const size_t text = k->devices.n + k->master.n + k->self_signing.n;
	struct entry *e, *old;
	char *at;

	if (text > SHOWN_KEYS_MOST)
		return;
	e = mem_zalloc(sizeof(*e) + text);
	list_init(&e->lru);
	at = e->text;
	e->k = *k;
	e->k.devices = put_text(&at, k->devices);
	e->k.master = put_text(&at, k->master);
	e->k.self_signing = put_text(&at, k->self_signing);
	e->bytes = sizeof(*e) + text;

	LOCKED(&c->lock);
	old = map_get_i(&c->users, k->user);
	if (old)
		drop(c, old);
	(void)map_put_i(&c->users, k->user, e);
	list_add_head(&c->lru, &e->lru);
	c->bytes += e->bytes;
	while (c->bytes > c->max_bytes)
		drop(c, LIST_ITEM(c->lru.prev, struct entry, lru));
}
