#include "e2ee/shown_keys.h"

#include "base/lru.h"
#include "base/thread.h"

struct entry {
	struct lru_node node;
	struct shown_keys k; /* its texts are in `text` */
	char text[];
};
struct shown_cache {
	struct lock lock;
	struct lru users;
};

struct shown_cache *shown_cache_new(size_t max_bytes)
{
	struct shown_cache *c = MEM_NEW(struct shown_cache);

	lock_init(&c->lock, RANK_SERVICE);
	lru_init(&c->users, max_bytes, NULL);
	return c;
}

void shown_cache_free(struct shown_cache **cp)
{
	struct shown_cache *c = *cp;

	if (!c)
		return;
	lru_done(&c->users);
	lock_done(&c->lock);
	mem_free(c);
	*cp = NULL;
}

void shown_cache_get(struct shown_cache *c, struct arena *a, struct shown_keys *list, size_t n)
{
	LOCKED(&c->lock);
	for (size_t i = 0; i < n; i++) {
		struct shown_keys *k = &list[i];
		struct entry *e = lru_get_i(&c->users, k->user);

		if (!e || e->k.stream != k->stream)
			continue;
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
	struct entry *e;
	char *at;

	if (text > SHOWN_KEYS_MOST)
		return;
	e = mem_zalloc(sizeof(*e) + text);
	at = e->text;
	e->k = *k;
	e->k.devices = put_text(&at, k->devices);
	e->k.master = put_text(&at, k->master);
	e->k.self_signing = put_text(&at, k->self_signing);

	LOCKED(&c->lock);
	lru_put_i(&c->users, k->user, e, sizeof(*e) + text);
}
