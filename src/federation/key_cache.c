/*
 * key_cache.c - the keys in memory, and when a server may be asked again.
 *
 * A server's entry is there while somebody is asking it, and as long as it is not the least lately used: what is
 * dropped is read from the store again. A server is asked a few times a minute at most, however many keys anybody names
 * that it does not have; one that failed is asked after ever longer, unless it talks to us.
 */
#include "base/clock.h"
#include "federation/internal_key_ring.h"

#include <assert.h>

static size_t cost_of(const struct ring_server *s) { return s->n + 1; }

static void drop(struct key_ring *k, struct ring_server *s)
{
	k->n_known -= cost_of(s);
	map_del(&k->servers, s->name);
	list_del(&s->node);
	for (size_t i = 0; i < s->n; i++)
		mem_free((void *)s->keys[i].key_id.p);
	mem_free(s->keys);
	mem_free((void *)s->name.p);
	mem_free(s);
}

void key_cache_clear(struct key_ring *k)
{
	while (!list_is_empty(&k->by_use))
		drop(k, LIST_ITEM(k->by_use.next, struct ring_server, node));
	map_done(&k->servers);
}

static void make_room(struct key_ring *k, const struct ring_server *but)
{
	LIST_EACH_SAFE (&k->by_use, n) {
		struct ring_server *s = LIST_ITEM(n, struct ring_server, node);

		if (k->n_known <= k->opt.max_known)
			return;
		if (!s->busy && s != but)
			drop(k, s);
	}
}

struct ring_server *key_cache_find(struct key_ring *k, str server)
{
	struct ring_server *s = map_get(&k->servers, server);

	lock_assert_held(&k->lock);
	if (s) {
		list_del(&s->node);
		list_add_tail(&k->by_use, &s->node);
	}
	return s;
}

struct ring_server *key_cache_make(struct key_ring *k, str server)
{
	struct ring_server *s = key_cache_find(k, server);

	if (s)
		return s;
	s = MEM_NEW(struct ring_server);
	s->name = str_keep(server);
	list_add_tail(&k->by_use, &s->node);
	map_put(&k->servers, s->name, s);
	k->n_known += cost_of(s);
	make_room(k, s);
	return s;
}

static struct named_key *find_key(const struct ring_server *s, str key_id)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->keys[i].key_id, key_id))
			return &s->keys[i];
	return NULL;
}

const struct server_key *key_cache_key(const struct ring_server *s, str key_id)
{
	const struct named_key *key = find_key(s, key_id);

	return key ? &key->key : NULL;
}

/* What nobody can have is not asked for: no list is believed for longer than a week. */
static bool reaches(const struct server_key *key, int64_t valid_at, int64_t now)
{
	return key->old || key->until >= (valid_at > now + KEY_RING_FURTHEST_MS ? now : valid_at);
}

/* A server that lost its key and made another under the same name is not believed until its list ends here, a week at
 * most. Its own list would replace the key at once (key_cache_learn), but a signature that does not fit is no reason to
 * ask for it: whoever can name a server could make us ask for its keys, and events that the lost key signed could not
 * be verified any more. Synapse keeps to what it has in the same way. A new key has a new name. */
static bool has_want(const struct ring_server *s, const struct key_want *w, int64_t now)
{
	const struct named_key *key = find_key(s, w->key_id);

	if (!str_is_none(w->key_id))
		return key && reaches(&key->key, w->valid_at, now);
	for (size_t i = 0; i < s->n; i++)
		if (!s->keys[i].key.old && reaches(&s->keys[i].key, w->valid_at, now))
			return true;
	return false;
}

bool key_cache_has(const struct ring_server *s, const struct key_ask *ask, int64_t now)
{
	if (!s)
		return false;
	if (ask->anew)
		return !s->busy && s->failures == 0 && s->asked_at >= ask->since;
	for (size_t i = 0; i < ask->wants.n; i++)
		if (!has_want(s, ask->wants.p[i], now))
			return false;
	return true;
}

bool key_cache_may_ask(const struct ring_server *s, const struct key_ask *ask, int64_t now)
{
	const int64_t passed = s ? clock_since(now, s->asked_at) : 0;

	/* A clock that was set back is no reason to wait. */
	if (!s || s->asked_at == 0 || passed < 0)
		return true;
	if (s->asked_at >= ask->since)
		return false;
	if (s->failures > 0 && !ask->speaks &&
	    passed < MIN((int64_t)KEY_RING_PAUSE_MS << MIN(s->failures - 1, 8), KEY_RING_MOST_MS))
		return false;
	return s->lately < KEY_RING_BURST || now >= s->since + KEY_RING_PAUSE_MS;
}

void key_cache_asked(struct ring_server *s, int64_t now, bool good)
{
	if (now >= s->since + KEY_RING_PAUSE_MS || now < s->since) {
		s->since = now;
		s->lately = 0;
	}
	s->lately++;
	s->asked_at = now;
	s->failures = good ? 0 : MIN(s->failures + 1, 16);
}

/* Of a list that came by way of others nobody knows how old it is. What is valid for longer is newer; and what was
 * given up once is not taken up again. Nor do they replace a key, while it is valid, by another one of its name:
 * whoever signs a list of a server with a key that he made himself could be that server. */
static bool is_news(const struct named_key *known, const struct named_key *told, int64_t valid_until, int64_t now)
{
	const bool differs = memcmp(known->key.public_key, told->key.public_key, sizeof(known->key.public_key)) != 0;

	if (known->key.old || (differs && known->key.until >= now))
		return false;
	return told->key.old ? valid_until > known->key.until : told->key.until > known->key.until;
}

static struct named_key *add_key(struct key_ring *k, struct ring_server *s, str key_id)
{
	struct named_key *key;

	if (s->n == SERVER_KEYS_MAX) {
		key = &s->keys[0];
		for (size_t i = 1; i < s->n; i++)
			if (s->keys[i].key.until < key->key.until)
				key = &s->keys[i];
		mem_free((void *)key->key_id.p);
	} else {
		s->keys = mem_realloc(s->keys, (s->n + 1) * sizeof(*s->keys));
		key = &s->keys[s->n++];
		k->n_known++;
	}
	key->key_id = str_keep(key_id);
	return key;
}

void key_cache_learn(struct key_ring *k, struct arena *a, struct ring_server *s, const struct server_keys *keys,
		     bool direct, struct server_key_row **out_changed, size_t *out_n)
{
	struct server_key_row *changed = ARENA_ARRAY(a, struct server_key_row, keys->n);
	size_t n = 0;

	lock_assert_held(&k->lock);
	for (size_t i = 0; i < keys->n; i++) {
		const struct named_key *told = &keys->p[i];
		struct named_key *known = find_key(s, told->key_id);

		if (known && !direct && !is_news(known, told, keys->valid_until_ts, k->opt.now()))
			continue;
		if (!known)
			known = add_key(k, s, told->key_id);
		known->key = told->key;
		changed[n++] = (struct server_key_row){
			.server = arena_keep(a, s->name),
			.key_id = told->key_id,
			.public_key = { (const char *)told->key.public_key, sizeof(told->key.public_key) },
			.until = told->key.until,
			.old = told->key.old,
		};
	}
	make_room(k, s);
	*out_changed = changed;
	*out_n = n;
}
