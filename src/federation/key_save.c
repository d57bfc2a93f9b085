/*
 * key_save.c - the key ring's part in the store.
 *
 * Lists are written a few at a time, while their servers still count as being asked: whoever waits for one finds it in
 * the store as well. A store that fails loses nothing but time: the keys are in memory.
 */
#include "base/log.h"
#include "federation/internal_key_ring.h"

enum { COUNT_EVERY = 256, FORGET_AT_ONCE = 32, SERVERS_AT_ONCE = 500 };

static void load_rows(struct key_ring *k, struct arena *a, const struct server_key_row *rows, size_t n)
{
	LOCKED(&k->lock);
	for (size_t i = 0; i < n; i++) {
		struct named_key key = { rows[i].key_id, { .until = rows[i].until, .old = rows[i].old } };
		const struct server_keys keys = { .valid_until_ts = rows[i].until, .p = &key, .n = 1 };
		struct server_key_row *changed;
		size_t n_changed;

		if (rows[i].public_key.n != sizeof(key.key.public_key))
			continue;
		memcpy(key.key.public_key, rows[i].public_key.p, sizeof(key.key.public_key));
		key_cache_learn(k, a, key_cache_make(k, rows[i].server), &keys, false, &changed, &n_changed);
	}
}

err *key_load(struct key_ring *k, struct arena *a, struct strs servers)
{
	for (size_t at = 0; at < servers.n; at += SERVERS_AT_ONCE) {
		AUTO_TX tx = NULL;
		struct server_key_row *rows;
		size_t n;

		TRY(store_read(k->opt.store, a, &tx));
		TRY(store_server_keys_of(tx, (struct strs){ servers.p + at, MIN(servers.n - at, SERVERS_AT_ONCE) },
					 &rows, &n));
		store_read_end(&tx);
		load_rows(k, a, rows, n);
	}
	return NULL;
}

void key_save_begin(struct key_saving *s, struct key_ring *k) { *s = (struct key_saving){ .k = k, .a = arena_new() }; }

void key_save(struct key_saving *s, const struct server_key_document *doc, const struct server_key_row *keys, size_t n)
{
	struct server_key_row *copies = ARENA_ARRAY(s->a, struct server_key_row, n);

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		copies[i] = keys[i];
		copies[i].server = arena_keep(s->a, keys[i].server);
		copies[i].key_id = arena_keep(s->a, keys[i].key_id);
		copies[i].public_key = arena_keep(s->a, keys[i].public_key);
	}
	s->lists[s->n].doc = (struct server_key_document){
		.server = arena_keep(s->a, doc->server),
		.json = arena_keep(s->a, doc->json),
		.received_at = doc->received_at,
		.valid_until = doc->valid_until,
	};
	s->lists[s->n].keys = copies;
	s->lists[s->n].n = n;
	if (++s->n == KEY_RING_SAVE)
		key_save_flush(s);
}

static err *save_piece(struct tx *tx, void *arg)
{
	const struct key_saving *s = arg;

	for (size_t i = 0; i < s->n; i++)
		TRY(store_server_keys_save(tx, &s->lists[i].doc, s->lists[i].keys, s->lists[i].n));
	return NULL;
}

static err *forget_piece(struct tx *tx, void *arg)
{
	const struct strs *servers = arg;

	return store_server_keys_forget(tx, *servers);
}

/* Whoever has many names can make us ask for the keys of each: those with whom we share nothing make room for each
 * other. */
static err *forget_strangers(struct key_ring *k, struct arena *a)
{
	AUTO_TX tx = NULL;
	size_t n;
	str *names;

	TRY(store_read(k->opt.store, a, &tx));
	TRY(store_server_keys_strangers(tx, KEY_RING_STRANGERS, 2 * COUNT_EVERY, &names, &n));
	store_read_end(&tx);
	for (size_t at = 0; at < n; at += FORGET_AT_ONCE) {
		struct strs some = { names + at, MIN(n - at, FORGET_AT_ONCE) };

		TRY(store_do(k->opt.store, a, forget_piece, &some));
	}
	return NULL;
}

static bool is_time_to_count(struct key_ring *k, size_t n)
{
	LOCKED(&k->lock);
	k->n_saved += (unsigned)n;
	if (k->n_saved < COUNT_EVERY)
		return false;
	k->n_saved = 0;
	return true;
}

void key_save_flush(struct key_saving *s)
{
	err *e;

	if (s->n == 0)
		return;
	e = store_do(s->k->opt.store, s->a, save_piece, s);
	if (!e && is_time_to_count(s->k, s->n))
		e = forget_strangers(s->k, s->a);
	if (e)
		log_warn(s->k->opt.log, "keys of other servers were not stored", F("error", e->msg));
	s->n = 0;
	arena_reset(s->a);
}

void key_save_end(struct key_saving *s)
{
	key_save_flush(s);
	arena_free(&s->a);
}
