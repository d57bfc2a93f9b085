/*
 * key_refresh.c - keys are asked for anew before they end, so that nobody has to wait for them.
 *
 * A list holds for a day mostly, and whoever sends the first request behind that waited for its server to be asked. So
 * a key that has just proved a request, and of whose time half is over, is asked for by a thread of its own. One that
 * fails counts as asked now: the next attempt comes when half of what is left is over, and so on. Servers that say
 * nothing are not looked after.
 */
#include "base/clock.h"
#include "federation/internal_key_ring.h"

/* Since when its list is known is not stored: one that was read from the store ages when so much is left of it. */
#define AGEING_MS INT64_C(43200000)

struct due {
	struct list node;
	str server, key_id;
	int64_t until;
};

static bool is_ageing(const struct ring_server *s, const struct server_key *key, int64_t now)
{
	const int64_t left = key->until - now, passed = clock_since(now, s->asked_at);

	if (key->old || left < 0)
		return false;
	if (s->asked_at == 0 || passed < 0)
		return left < AGEING_MS;
	return passed >= KEY_RING_PAUSE_MS && passed >= left;
}

static void due_free(struct due *d)
{
	list_del(&d->node);
	mem_free((void *)d->server.p);
	mem_free((void *)d->key_id.p);
	mem_free(d);
}

void key_refresh_soon(struct key_ring *k, str server, str key_id)
{
	const struct server_key *key;
	struct ring_server *s;
	struct due *d;

	LOCKED(&k->lock);
	s = key_cache_find(k, server);
	key = s ? key_cache_key(s, key_id) : NULL;
	if (!key || s->busy || s->is_due || k->n_due == KEY_RING_DUE || !is_ageing(s, key, k->opt.now()))
		return;
	d = MEM_NEW(struct due);
	*d = (struct due){ .server = str_keep(server), .key_id = str_keep(key_id), .until = key->until };
	s->is_due = true;
	k->n_due++;
	list_add_tail(&k->due, &d->node);
	chore_kick(k->refresher);
}

static size_t take_due(struct key_ring *k, struct arena *a, struct key_want *out, size_t max)
{
	size_t n = 0;

	LOCKED(&k->lock);
	while (n < max && !list_is_empty(&k->due)) {
		struct due *d = LIST_ITEM(k->due.next, struct due, node);

		out[n++] = (struct key_want){
			.server = arena_keep(a, d->server),
			.key_id = arena_keep(a, d->key_id),
			.valid_at = d->until + 1,
			.speaks = true,
		};
		due_free(d);
		k->n_due--;
	}
	return n;
}

static void done(struct key_ring *k, const struct key_want *wants, size_t n)
{
	LOCKED(&k->lock);
	for (size_t i = 0; i < n; i++) {
		struct ring_server *s = key_cache_find(k, wants[i].server);

		if (s)
			s->is_due = false;
	}
}

static err *refresh(struct chore *c, void *ring, struct arena *a)
{
	struct key_ring *k = ring;
	struct key_want wants[KEY_RING_FLIGHTS];
	struct key_set *set;
	err *e = NULL;
	size_t n;

	while (!e && !chore_stopping(c) && (n = take_due(k, a, wants, ARRAY_LEN(wants))) > 0) {
		e = key_ring_get(k, a, wants, n, clock_mono_us() + KEY_RING_WAIT_US, &set);
		done(k, wants, n);
	}
	return e;
}

void key_refresh_start(struct key_ring *k)
{
	list_init(&k->due);
	k->refresher = chore_new("keys", refresh, k, k->opt.log, "keys of other servers were not refreshed");
}

void key_refresh_stop(struct key_ring *k)
{
	chore_free(&k->refresher);
	while (!list_is_empty(&k->due))
		due_free(LIST_ITEM(k->due.next, struct due, node));
}
