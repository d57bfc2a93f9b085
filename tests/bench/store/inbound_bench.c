/*
 * inbound_bench.c - what an event of another server costs, from the text of its transaction until it is in its room.
 *
 * Usage: bench-inbound DIRECTORY [EVENTS]        (SQLite, in that directory; 10,000 events a line)
 *
 * Transactions of 1, 10 and 50 events, from 8 servers at once, into one room each or all into one. Parsing, signatures,
 * staging, the rules, the rows, whom it notifies: everything but HTTP and the request's own signature. CPU is that of
 * the whole process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/pool.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "matrix/auth.h"
#include "matrix/push_rules.h"
#include "room/internal_job.h"
#include "room/notify.h"
#include "room/receive/internal_inbound.h"
#include "user/user.h"

enum { SENDERS = 8, MEMBERS = 40 };

struct bench {
	struct arena *a;
	struct store *st;
	struct bus *bus;
	struct rooms *rs;
	struct users *users;
	struct notify *notify;
	struct key_ring *keys;
	struct pool *pool;
	struct inbound *in;
	struct ed25519_key key;
	struct signer signer;
	struct lock lock;
	struct cond more;
	size_t stored, wanted;
};

static void good(const err *e)
{
	if (!e)
		return;
	fprintf(stderr, "bench-inbound: %.*s (%s)\n", STR_ARG(e->msg), e->where);
	exit(1);
}

static void advance(void *ctx, int64_t position) { bus_advance(ctx, position); }

static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	struct bench *b = ctx;

	LOCKED(&b->lock);
	b->stored += ev->row->stream != 0;
	if (b->stored >= b->wanted)
		cond_signal(&b->more);
}

static void start(struct bench *b, str path)
{
	const struct store_options store = { .driver = STORE_SQLITE, .path = path };
	const struct rooms_options rooms = { .signer = b->signer, .default_version = room_version_find(S("12")) };

	good(store_open(b->a, &store, &b->st));
	b->bus = bus_new(1000);
	store_on_commit(b->st, advance, b->bus);
	struct rooms_options opt = rooms;
	opt.store = b->st;
	opt.bus = b->bus;
	good(rooms_new(b->a, &opt, &b->rs));
	b->users = users_new(&(struct users_options){ .store = b->st, .bus = b->bus, .server_name = S("test") });
	push_rules_init();
	b->notify = notify_new(b->rs, b->users);
	good(key_ring_new(b->a, &(struct key_ring_options){ .store = b->st, .own = &b->signer }, &b->keys));
	b->pool = pool_new(1);
	good(inbound_new(b->a,
			 &(struct inbound_options){ .rooms = b->rs, .store = b->st, .keys = b->keys, .pool = b->pool },
			 &b->in));
	rooms_on_stored(b->rs, on_stored, b);
	inbound_start(b->in);
}

static void stop(struct bench *b)
{
	inbound_stop(b->in);
	store_close(&b->st);
	inbound_free(&b->in);
	pool_free(&b->pool);
	key_ring_free(&b->keys);
	notify_free(&b->notify);
	rooms_free(&b->rs);
	users_free(&b->users);
	bus_free(&b->bus);
}

struct graph {                                 /* a room, and what is built upon its last event */
	str id, last[SENDERS], users[MEMBERS]; /* each sender goes on with its own */
	int64_t depth;
};

static str user_name(struct bench *b, size_t i) { return arena_printf(b->a, "@user%zu:test", i); }

static void make_room(struct bench *b, struct graph *g)
{
	struct json *body;
	str id;

	good(json_parse(b->a, S("{\"preset\":\"public_chat\",\"room_version\":\"12\"}"), &json_limits_request, &body));
	for (size_t i = 0; i < MEMBERS; i++) {
		struct actor by = { .user_id = user_name(b, i), .device_id = S("D") };
		struct member_cmd join = { .by = by };

		good(store_intern(b->st, b->a, by.user_id, &by.user));
		join.by = by;
		join.room_id = g->id;
		if (i == 0)
			good(room_create(b->rs, b->a, &(struct create_cmd){ .by = by, .body = body }, &g->id));
		else
			good(room_join(b->rs, b->a, &join, &id));
		g->users[i] = by.user_id;
	}
}

/* The text of an event on the last one, authorised by what is current. */
static str next_event(struct bench *b, struct graph *g, size_t sending, size_t serial)
{
	const struct room_version *rv = room_version_find(S("12"));
	const str sender = g->users[serial % MEMBERS];
	struct json *content = json_new_object(b->a);
	struct state_key keys[AUTH_KEYS_MAX];
	str auth[AUTH_KEYS_MAX];
	struct event_fields f = {
		.room_id = g->id,
		.sender = sender,
		.type = S("m.room.message"),
		.content = content,
		.origin_server_ts = 1700000000000 + (int64_t)serial,
		.depth = ++g->depth + 100,
		.auth_events = auth,
	};
	struct event *ev;

	json_set(b->a, content, S("msgtype"), json_new_str(b->a, S("m.text")));
	json_set(b->a, content, S("body"),
		 json_new_str(b->a,
			      arena_printf(b->a, "message %zu, long enough to be one that somebody says", serial)));
	const size_t n = auth_keys(rv, f.type, STR_NONE, sender, content, keys);
	AUTO_ROOM room = NULL;
	good(room_hold(b->rs, b->a, g->id, &room));
	for (size_t i = 0; i < n; i++) {
		const struct event *now;

		good(room_current_text(room, keys[i].type, keys[i].state_key, &now));
		if (now)
			auth[f.n_auth_events++] = arena_keep(b->a, now->event_id);
	}
	if (str_is_none(g->last[sending]))
		g->last[sending] = arena_keep(b->a, (str){ room->tip.ext[0].id, room->tip.ext[0].id_n });
	f.prev_events = &g->last[sending];
	f.n_prev_events = 1;
	good(event_build(b->a, rv, &f, &b->signer, &ev));
	g->last[sending] = ev->event_id;
	return ev->bytes;
}

struct sender {
	struct bench *b;
	struct thread *thread;
	str origin;
	str *bodies;
	size_t n;
};

static void send_one(struct sender *s, struct arena *a, size_t i)
{
	static _Atomic int serial;
	struct json *body;
	const struct json *pdus;
	str answer;

	good(json_parse(a, s->bodies[i], &(struct json_limits){ 12 << 20, 1000, 1 << 20 }, &body));
	pdus = json_get_array(body, S("pdus"));
	struct inbound_txn txn = { s->origin, arena_printf(a, "%d", serial++),
				   (const struct json *const *)pdus->array.items, pdus->array.n };
	good(inbound_answered(s->b->in, a, txn.origin, txn.txn_id, &answer));
	good(inbound_take(s->b->in, a, &txn, &answer));
}

static void send_all(void *arg)
{
	struct sender *s = arg;
	struct arena *a = arena_new();

	for (size_t i = 0; i < s->n; i++) {
		send_one(s, a, i);
		arena_reset(a);
	}
	arena_free(&a);
}

static double cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void line(struct bench *b, size_t n_rooms, size_t per_txn, size_t events)
{
	struct graph *rooms = ARENA_ARRAY(b->a, struct graph, n_rooms);
	struct sender senders[SENDERS] = { 0 };
	const size_t each = events / SENDERS / per_txn;
	size_t serial = 0;

	for (size_t i = 0; i < n_rooms; i++)
		make_room(b, &rooms[i]);
	for (size_t i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .b = b, .origin = arena_printf(b->a, "server%zu", i), .n = each };
		senders[i].bodies = ARENA_ARRAY(b->a, str, each);
	}
	for (size_t t = 0; t < each; t++) {
		for (size_t i = 0; i < SENDERS; i++) {
			AUTO_BUF buf = BUF_INIT(4 << 20);

			buf_add(&buf, S("{\"pdus\":["));
			for (size_t k = 0; k < per_txn; k++) {
				if (k)
					buf_byte(&buf, ',');
				buf_add(&buf, next_event(b, &rooms[i % n_rooms], i, serial++));
			}
			buf_add(&buf, S("]}"));
			senders[i].bodies[t] = arena_keep(b->a, buf_str(&buf));
		}
	}
	lock_take(&b->lock);
	b->stored = 0;
	b->wanted = each * per_txn * SENDERS;
	lock_drop(&b->lock);

	const double cpu = cpu_us();
	const int64_t wall = clock_mono_us();
	for (size_t i = 0; i < SENDERS; i++)
		senders[i].thread = thread_start("sender", send_all, &senders[i]);
	for (size_t i = 0; i < SENDERS; i++)
		thread_join(&senders[i].thread);
	const int64_t answered = clock_mono_us() - wall;
	lock_take(&b->lock);
	while (b->stored < b->wanted)
		if (!cond_wait_until(&b->more, &b->lock, wall + 60 * 1000000)) {
			fprintf(stderr, "only %zu of %zu\n", b->stored, b->wanted);
			exit(1);
		}
	lock_drop(&b->lock);
	const double all = (double)(each * per_txn * SENDERS);
	const double us = (double)(clock_mono_us() - wall);
	printf("%zu room%s, %2zu a transaction: %6.0f/s, %5.0f us CPU each (answered after %" PRId64 " of %.0f ms)\n",
	       n_rooms, n_rooms > 1 ? "s" : " ", per_txn, all / us * 1e6, (cpu_us() - cpu) / all, answered / 1000,
	       us / 1000);
}

int main(int argc, char **argv)
{
	int64_t events = 10000;
	struct bench b = { 0 };

	if (argc < 2 || (argc > 2 && (!str_to_i64(str_c(argv[2]), &events) || events < 400))) {
		fprintf(stderr, "usage: bench-inbound DIRECTORY [EVENTS, at least 400]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	crypto_init();
	ed25519_from_seed(&b.key, (const uint8_t[32]){ 7 });
	b.signer = (struct signer){ S("test"), S("ed25519:1"), &b.key };
	b.a = arena_new();
	lock_init(&b.lock, RANK_LEAF);
	cond_init(&b.more);
	start(&b, arena_printf(b.a, "%s/inbound.db", argv[1]));
	for (size_t rooms = SENDERS; rooms >= 1; rooms -= rooms > 1 ? rooms - 1 : 1) {
		if (!getenv("ONE"))
			line(&b, rooms, 50, (size_t)events);
		if (!getenv("ONE"))
			line(&b, rooms, 10, (size_t)events);
		line(&b, rooms, 1, (size_t)events / 4);
	}
	stop(&b);
	arena_free(&b.a);
	return 0;
}
