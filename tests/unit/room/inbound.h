/* inbound.h - the service that takes what /send brings, over a world; "other" sends. */
#pragma once

#include "forge.h"

#include "base/pool.h"
#include "room/receive/internal_inbound.h"

struct received_world {
	struct world *w;
	struct pool *pool;
	struct key_ring *keys; /* knows the key of "test", which signs everything here */
	struct inbound *in;
	struct inbound_options opt;
	/* Written by the rooms' hook: what was stored, in its order. */
	struct lock lock;
	VEC(str) stored;
	struct arena *stored_in;
};

static inline void note_stored(void *ctx, const struct rooms_stored *ev)
{
	struct received_world *rw = ctx;

	LOCKED(&rw->lock);
	vec_push(rw->stored_in, &rw->stored, arena_keep(rw->stored_in, ev->row->event_id));
}

static inline void inbound_open(struct received_world *rw)
{
	const struct key_ring_options keys = { .store = rw->w->b->st, .own = &rw->w->opt.signer };

	good(key_ring_new(rw->w->a, &keys, &rw->keys));
	rw->opt.rooms = rw->w->rs;
	rw->opt.store = rw->w->b->st;
	rw->opt.keys = rw->keys;
	rw->opt.pool = rw->pool;
	good(inbound_new(rw->w->a, &rw->opt, &rw->in));
	rooms_on_stored(rw->w->rs, note_stored, rw);
}

static inline void inbound_begin(struct received_world *rw, struct world *w)
{
	*rw = (struct received_world){ .w = w, .opt = { .workers = 2 } };
	lock_init(&rw->lock, RANK_LEAF);
	rw->stored_in = arena_new();
	rw->pool = pool_new(1);
	inbound_open(rw);
}

/* The store is closed before what its writer calls goes. */
static inline void inbound_close(struct received_world *rw)
{
	inbound_stop(rw->in);
	store_close(&rw->w->b->st);
	inbound_free(&rw->in);
	key_ring_free(&rw->keys);
}

static inline void inbound_end(struct received_world *rw)
{
	inbound_close(rw);
	arena_free(&rw->stored_in);
	pool_free(&rw->pool);
	lock_done(&rw->lock);
}

static inline void inbound_restart(struct received_world *rw)
{
	inbound_close(rw);
	world_restart(rw->w);
	inbound_open(rw);
}

/* Texts of PDUs as they are sent; those of events with `unsigned`, which does not count. */
static inline err *try_take(struct received_world *rw, const char *origin, const char *txn_id, const str *pdus,
			    size_t n, str *out)
{
	const struct json **list = ARENA_ARRAY(rw->w->a, const struct json *, n + 1);
	const struct inbound_txn txn = { str_c(origin), str_c(txn_id), list, n };

	for (size_t i = 0; i < n; i++) {
		struct json *j;

		good(json_parse(rw->w->a, pdus[i], &json_limits_request, &j));
		list[i] = j;
	}
	return inbound_take(rw->in, rw->w->a, &txn, out);
}

static inline const struct json *send_texts(struct received_world *rw, const str *pdus, size_t n)
{
	static unsigned serial;
	struct json *j;
	str answer;

	good(try_take(rw, "other", arena_printf(rw->w->a, "txn%u", ++serial).p, pdus, n, &answer));
	good(json_parse(rw->w->a, answer, &json_limits_request, &j));
	return json_get(j, S("pdus"));
}

static inline const struct json *send_events(struct received_world *rw, const struct event *const *events, size_t n)
{
	str *texts = ARENA_ARRAY(rw->w->a, str, n);

	for (size_t i = 0; i < n; i++)
		texts[i] = events[i]->bytes;
	return send_texts(rw, texts, n);
}

/* What the answer says of an event: STR_NONE where it was taken. */
static inline str told_of(const struct json *answer, const struct event *ev)
{
	const struct json *one = json_get(answer, ev->event_id);

	ok(one, "the answer names %.*s", STR_ARG(ev->event_id));
	return json_get_str(one, S("error"));
}

static inline size_t n_staged(struct received_world *rw)
{
	struct inbound_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(rw->w->b->st, rw->w->a, &tx));
	good(store_inbound_list(tx, 0, 10000, &rows, &n));
	return n;
}

/* Where it stands among what was stored; SIZE_MAX: it was not. */
static inline size_t place_stored(struct received_world *rw, str event_id)
{
	LOCKED(&rw->lock);
	for (size_t i = 0; i < rw->stored.n; i++)
		if (str_eq(rw->stored.p[i], event_id))
			return i;
	return SIZE_MAX;
}
