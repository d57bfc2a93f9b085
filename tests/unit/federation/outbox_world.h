/*
 * outbox_world.h - an outbox on a store, with servers made of a table: each takes what comes, refuses it, or is dead.
 *
 * Time is told by the test. The network answers at once, on the outbox's thread; `settle` waits until that thread has
 * nothing left to do at this time.
 */
#pragma once

#include "store/both.h"
#include "test.h"

#include "base/clock.h"
#include "base/thread.h"
#include "federation/internal_outbox_txn.h"
#include "store/events.h"
#include "store/fault.h"
#include "store/rooms.h"
#include "store/tx.h"

enum { PEERS = 8, ROOMS = 4, GOT_MOST = 4096, SETTLE_S = 60 };
struct peer { /* another server; `lock` of the world */
	int64_t nid;
	str name;
	int status;     /* what it answers; 0: nothing comes back */
	int bad_status; /* what it answers to a transaction with ... */
	int64_t bad;    /* ... this event; 0: none */
	bool loses;     /* takes it, and the answer does not come back */
	bool holds;     /* its answers wait */
	bool backed_off;
	int64_t backed_off_until, retry_after_ms; /* the latter: 0: it does not say */
	struct fed_call *held;
	int64_t patience_s; /* the last transaction was to be waited for so long */

	int64_t got[GOT_MOST]; /* events by number, the first time each */
	size_t n_got, n_txns, n_pdus, n_edus, n_again, biggest, in_flight, most_in_flight;
	bool last_good, refused; /* the last transaction was taken; was answered, with a refusal */
	int64_t failing_since;
	char edus[1 << 16]; /* their types and contents, one a line */
	size_t edus_n;
	struct map txns; /* id -> what it said */
};
struct ow {
	struct both *b;
	struct arena *a; /* of the test; under `lock` as well, for the peers */
	struct outbox *o;
	struct lock lock;
	struct cond moved;
	struct peer peers[PEERS];
	int64_t rooms[ROOMS];
	struct list ended; /* of struct answer */
	bool woken, asleep;
	int64_t position; /* of the newest event */
	size_t n_started;
};
struct answer {
	struct list node;
	struct fed_call *call;
};
static _Atomic int64_t ow_time = INT64_C(1700000000000);
static inline int64_t ow_now(void) { return ow_time; }
/* Texts of the tests' own. */
static inline struct ow *ow_of(void *batch) { return batch; }

/*
 * The network
 */
static inline struct peer *ow_peer(struct ow *w, str name)
{
	for (size_t i = 0; i < PEERS; i++)
		if (str_eq(w->peers[i].name, name))
			return &w->peers[i];
	fail_msg("nobody is called %.*s", STR_ARG(name));
	return NULL;
}

static inline bool ow_has(const struct peer *p, int64_t event)
{
	for (size_t i = 0; i < p->n_got; i++)
		if (p->got[i] == event)
			return true;
	return false;
}

static inline void ow_take(struct ow *w, struct peer *p, const struct fed_call *call)
{
	const struct json *pdus = json_get_array(call->content, S("pdus")),
			  *edus = json_get_array(call->content, S("edus"));

	(void)w;
	JSON_ITEMS (pdus, i) {
		int64_t event;

		assert_true(json_get_int(pdus->array.items[i], S("n"), &event));
		if (ow_has(p, event)) {
			p->n_again++;
			continue;
		}
		assert_true(p->n_got < GOT_MOST);
		p->got[p->n_got++] = event;
	}
	JSON_ITEMS (edus, i) {
		const struct json *edu = edus->array.items[i];

		p->edus_n += (size_t)snprintf(p->edus + p->edus_n, sizeof(p->edus) - p->edus_n, "%.*s %.*s\n",
					      STR_ARG(json_get_str(edu, S("edu_type"))),
					      STR_ARG(json_get(edu, S("content"))->raw));
		assert_true(p->edus_n < sizeof(p->edus));
	}
}

static inline bool ow_contains(const struct fed_call *call, int64_t event)
{
	const struct json *pdus = json_get_array(call->content, S("pdus"));
	int64_t n;

	JSON_ITEMS (pdus, i)
		if (json_get_int(pdus->array.items[i], S("n"), &n) && n == event)
			return true;
	return false;
}

/* What it is answered; the same id always says the same. */
static inline int ow_answer(struct ow *w, struct peer *p, const struct fed_call *call)
{
	const struct json *pdus = json_get_array(call->content, S("pdus")),
			  *edus = json_get_array(call->content, S("edus"));
	const str id = str_from(call->path, sizeof("/_matrix/federation/v1/send/") - 1);
	str said, *before;

	good(json_canonical(w->a, call->content, JSON_CANON_STRICT, &said));
	assert_true(str_starts(call->path, S("/_matrix/federation/v1/send/")) && id.n > 10);
	assert_non_null(pdus);
	assert_true(pdus->array.n <= 50 && (!edus || (edus->array.n <= 100 && edus->array.n > 0)));
	same_str(json_get_str(call->content, S("origin")), S("test"));
	before = map_get(&p->txns, id);
	if (before) {
		same_str(said, *before);
	} else {
		ok(p->last_good || p->refused || ow_now() - p->failing_since >= REPEAT_MS,
		   "another id before the last was taken");
		before = ARENA_NEW(w->a, str);
		*before = said;
		(void)map_put(&p->txns, arena_keep(w->a, id), before);
	}
	p->n_txns++;
	p->n_pdus += pdus->array.n;
	p->n_edus += edus ? edus->array.n : 0;
	p->biggest = MAX(p->biggest, pdus->array.n);
	if (p->bad && ow_contains(call, p->bad))
		return p->bad_status;
	if (p->status != 200)
		return p->status;
	ow_take(w, p, call);
	return p->loses ? 0 : 200;
}

static inline int ow_answer_noted(struct ow *w, struct peer *p, const struct fed_call *call)
{
	const int status = ow_answer(w, p, call);

	if (p->last_good && status != 200)
		p->failing_since = ow_now();
	p->last_good = status == 200;
	p->refused = status != 200 && status != 0;
	return status;
}

static inline void ow_end(struct ow *w, struct fed_call *call, int status)
{
	struct answer *answer = ARENA_NEW(w->a, struct answer);

	const int64_t retry_after_ms = ow_peer(w, call->destination)->retry_after_ms;

	call->status = status;
	call->error = NULL;
	call->retry_after_ms = status == 429 && retry_after_ms ? retry_after_ms : -1;
	if (status != 200)
		call->error = err_new(w->a, ERR_CONNECTION_FAILED, status ? "it said %d" : "it did not answer", status);
	answer->call = call;
	list_add_tail(&w->ended, &answer->node);
}

static inline void *ow_open(void *ctx) { return ctx; }

static inline void ow_start(void *batch, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	struct ow *w = ow_of(batch);
	struct peer *p;

	(void)a;
	LOCKED(&w->lock);
	p = ow_peer(w, call->destination);
	p->patience_s = (deadline_us - clock_mono_us() + 500000) / 1000000;
	same_str(call->method, S("PUT"));
	ok(!p->backed_off || call->patience == FED_ANYWAY, "asked while it is to be left alone");
	ok(p->in_flight++ == 0, "two transactions at once");
	w->n_started++;
	if (p->holds) {
		assert_null(p->held);
		p->held = call;
	} else {
		ow_end(w, call, ow_answer_noted(w, p, call));
	}
	cond_broadcast(&w->moved);
}

static inline struct fed_call *ow_next(void *batch, int64_t until_us)
{
	struct ow *w = ow_of(batch);
	struct list *node;
	struct fed_call *call;

	LOCKED(&w->lock);
	while (list_is_empty(&w->ended) && !w->woken && until_us > 0) {
		w->asleep = true;
		cond_broadcast(&w->moved);
		cond_wait(&w->moved, &w->lock);
		w->asleep = false;
	}
	w->woken = false;
	node = list_pop(&w->ended);
	if (!node)
		return NULL;
	call = LIST_ITEM(node, struct answer, node)->call;
	ow_peer(w, call->destination)->in_flight--;
	return call;
}

static inline void ow_wake(void *batch)
{
	struct ow *w = ow_of(batch);

	LOCKED(&w->lock);
	w->woken = true;
	cond_broadcast(&w->moved);
}

/* What was under way is forgotten. */
static inline void ow_close(void *batch)
{
	struct ow *w = ow_of(batch);

	LOCKED(&w->lock);
	while (list_pop(&w->ended))
		;
	for (size_t i = 0; i < PEERS; i++) {
		w->peers[i].held = NULL;
		w->peers[i].in_flight = 0;
		w->peers[i].last_good = true; /* a new process, a new id */
	}
}

static inline bool ow_allowed(void *ctx, str name) { return (void)ctx, !str_eq(name, S("forbidden")); }

static inline bool ow_pauses(void *ctx, str name, int64_t *out_until)
{
	struct ow *w = ctx;
	struct peer *p;

	LOCKED(&w->lock);
	p = ow_peer(w, name);
	if (p->backed_off && p->backed_off_until <= ow_now())
		p->backed_off = false;
	*out_until = p->backed_off_until;
	return p->backed_off;
}

static inline err *ow_status(void *ctx, struct arena *a, str name, struct destination_status *out)
{
	(void)ctx;
	(void)a;
	*out = (struct destination_status){ .server_name = name, .last_error = STR_NONE };
	return NULL;
}

static const struct outbox_wire ow_wire = { ow_open,  ow_start,   ow_next,   ow_wake,
					    ow_close, ow_allowed, ow_pauses, ow_status };

/*
 * Time
 */
static inline bool ow_is_quiet(const struct ow *w) { return w->asleep && !w->woken && list_is_empty(&w->ended); }

/* Until nothing is left to do now. A save that is committed wakes the thread. */
static inline void settle(struct ow *w)
{
	bool saving;

	do {
		ow_wake(w);
		lock_take(&w->lock);
		while (!ow_is_quiet(w))
			ok(cond_wait_until(&w->moved, &w->lock, clock_mono_us() + INT64_C(1000000) * SETTLE_S),
			   "it goes on and on");
		lock_drop(&w->lock);
		lock_take(&w->o->lock);
		while (w->o->saving && !w->o->saving->ended)
			cond_wait(&w->o->saved, &w->o->lock);
		saving = w->o->saving && !w->o->saving->failed;
		lock_drop(&w->o->lock);
	} while (saving);
}

static inline void pass(struct ow *w, int64_t ms)
{
	ow_time += ms;
	settle(w);
}

/*
 * Rooms
 */
struct ow_write {
	struct ow *w;
	size_t room;
	struct peer *joins, *leaves; /* or NULL */
	bool is_sent;
	str json;
	int64_t nid, position;
};

static inline err *ow_late(struct tx *tx, void *arg)
{
	struct ow_write *p = arg;
	const int64_t room = p->w->rooms[p->room];

	TRY(tx_position(tx, &p->position));
	if (p->joins)
		TRY(store_room_server_add(tx, room, p->joins->nid, 1, p->position));
	if (p->leaves)
		TRY(store_room_server_add(tx, room, p->leaves->nid, -1, p->position));
	const struct event_row row = {
		.nid = p->nid,
		.room = room,
		.type = 1,
		.sender = 1,
		.stream = p->position,
		.flags = p->is_sent ? EVENT_TO_SEND : 0,
		.event_id = arena_printf(tx_arena(tx), "$%" PRId64, p->nid),
		.json = p->json,
		.prevs = S(""),
		.auths = S(""),
	};
	return store_event_insert(tx, &row);
}

/* Writes it, and nobody is told yet. */
static inline int64_t ow_write(struct ow *w, size_t room, struct peer *joins, struct peer *leaves, str sender,
			       int64_t *out_at)
{
	AUTO_ARENA a = arena_new();
	struct ow_write p = { .w = w, .room = room, .joins = joins, .leaves = leaves, .is_sent = !str_is_none(sender) };
	struct ticket *ticket;

	good(store_next_id(w->b->st, a, SEQ_EVENT, 1, &p.nid));
	p.json = arena_printf(a, "{\"n\":%" PRId64 ",\"sender\":\"%.*s\",\"type\":\"m.room.message\"}", p.nid,
			      STR_ARG(sender));
	good(store_write(w->b->st, a, &(struct piece){ .late = ow_late, .arg = &p }, &ticket));
	good(store_wait(a, ticket));
	*out_at = p.position;
	return p.nid;
}

static inline bool ow_in(struct ow *w, size_t room, const struct peer *p)
{
	AUTO_ARENA a = arena_new();
	struct room_server_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, a, &tx));
	good(store_room_others(tx, w->rooms[room], &rows, &n));
	for (size_t i = 0; i < n; i++)
		if (rows[i].server == p->nid)
			return true;
	return false;
}

/* An event of ours for everybody in the room; who leaves with it gets it, too. */
static inline int64_t say_of(struct ow *w, size_t room, struct peer *leaves, str sender)
{
	int64_t servers[PEERS], at, nid;
	size_t n = 0;

	for (size_t i = 0; i < PEERS; i++)
		if (ow_in(w, room, &w->peers[i]))
			servers[n++] = w->peers[i].nid;
	nid = ow_write(w, room, NULL, leaves, sender, &at);
	outbox_event(w->o, w->rooms[room], at, nid, servers, n);
	return nid;
}
static inline int64_t say(struct ow *w, size_t room) { return say_of(w, room, NULL, S("@u:test")); }
static inline int64_t kick(struct ow *w, size_t room, struct peer *p) { return say_of(w, room, p, S("@u:test")); }

/* Its own server told of it: nobody gets it from us. */
static inline void enter(struct ow *w, size_t room, struct peer *p)
{
	int64_t at;

	(void)ow_write(w, room, p, NULL, STR_NONE, &at);
}

/*
 * Begin and end
 */
static const struct log ow_log;
static inline void ow_open_outbox(struct ow *w)
{
	const struct outbox_options opt = {
		.store = w->b->st,
		.log = &ow_log,
		.server_name = S("test"),
		.now = ow_now,
		.wire = &ow_wire,
		.wire_ctx = w,
	};

	good(outbox_new(w->b->a, &opt, &w->o));
	outbox_start(w->o);
}

static inline void ow_begin(struct ow *w, struct both *b)
{
	static const str names[PEERS] = { STR("one"),  STR("two"), STR("three"), STR("four"),
					  STR("five"), STR("six"), STR("seven"), STR("forbidden") };

	*w = (struct ow){ .b = b, .a = arena_new() };
	lock_init(&w->lock, RANK_LEAF - 1);
	cond_init(&w->moved);
	list_init(&w->ended);
	for (size_t i = 0; i < PEERS; i++) {
		w->peers[i] = (struct peer){ .name = names[i], .status = 200, .last_good = true };
		map_init(&w->peers[i].txns, w->a);
		good(store_intern(b->st, b->a, names[i], &w->peers[i].nid));
	}
	for (size_t i = 0; i < ROOMS; i++)
		good(store_intern(b->st, b->a, arena_printf(b->a, "!room%zu", i), &w->rooms[i]));
	ow_open_outbox(w);
}

/* crash: nothing is saved at the end. */
static inline void ow_stop(struct ow *w, bool crash)
{
	if (crash)
		store_fault(w->b->st, FAULT_COMMIT, 1);
	outbox_stop(w->o);
	store_close(&w->b->st);
	outbox_free(&w->o);
}

static inline void ow_restart(struct ow *w, bool crash)
{
	ow_stop(w, crash);
	both_open(w->b);
	ow_open_outbox(w);
}

static inline void ow_end_all(struct ow *w)
{
	ow_stop(w, false);
	cond_done(&w->moved);
	lock_done(&w->lock);
	arena_free(&w->a);
}

/* Under the lock: what a peer is like. */
#define WITH(w, what)                                                                                                  \
	do {                                                                                                           \
		LOCKED(&(w)->lock);                                                                                    \
		what;                                                                                                  \
	} while (0)

static inline void let_go(struct ow *w, struct peer *p)
{
	LOCKED(&w->lock);
	p->holds = false;
	if (p->held)
		ow_end(w, p->held, ow_answer_noted(w, p, p->held));
	p->held = NULL;
	cond_broadcast(&w->moved);
}

static inline void check_got(struct ow *w, const struct peer *p, const int64_t *events, size_t n, int line)
{
	LOCKED(&w->lock);
	if (p->n_got != n)
		fail_msg("line %d: %.*s got %zu events, not %zu", line, STR_ARG(p->name), p->n_got, n);
	for (size_t i = 0; i < n; i++)
		if (p->got[i] != events[i])
			fail_msg("line %d: %.*s got event %d at %zu, not %d", line, STR_ARG(p->name), (int)p->got[i], i,
				 (int)events[i]);
}
#define got(w, p, ...)                                                                                                 \
	check_got((w), (p), (const int64_t[]){ __VA_ARGS__ }, ARRAY_LEN(((const int64_t[]){ __VA_ARGS__ })), __LINE__)

static inline void ow_run(void (*test)(struct ow *w), bool pg)
{
	struct both b;
	struct ow w;

	both_begin(&b, pg);
	ow_begin(&w, &b);
	test(&w);
	ow_end_all(&w);
	both_end(&b);
}

/* OUTBOX(name): the test on both databases. */
#define OUTBOX(name)                                                                                                   \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		ow_run(name, false);                                                                                   \
	}                                                                                                              \
	static void name##_on_pg(void **state)                                                                         \
	{                                                                                                              \
		(void)state;                                                                                           \
		ow_run(name, true);                                                                                    \
	}
#define OUTBOX_TESTS(name) cmocka_unit_test(name##_on_sqlite), cmocka_unit_test(name##_on_pg)
