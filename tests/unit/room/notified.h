/* notified.h - a world with users whose push rules count: notifications, receipts, and how much is unread. */
#pragma once

#include "world.h"

#include "crypto/crypto.h"
#include "room/internal_notify.h"
#include "room/receipt.h"
#include "user/account_data.h"

struct notified {
	struct world *w;
	struct users *us;
	struct notify *n;
};

static inline void notified_open(struct notified *t, struct world *w)
{
	static bool ready;
	const struct users_options opt = { .store = w->b->st, .bus = w->bus, .server_name = S("test") };
	int64_t position;
	AUTO_TX tx = NULL;

	if (!ready)
		crypto_init(), push_rules_init();
	ready = true;
	good(store_read(w->b->st, w->a, &tx));
	good(store_stream_head(tx, &position));
	bus_advance(w->bus, position);
	t->w = w;
	t->us = users_new(&opt);
	t->n = notify_new(w->rs, t->us);
}

/* After world_end: hooks run until the store is closed. */
static inline void notified_close(struct notified *t)
{
	users_free(&t->us);
	notify_free(&t->n);
}

/* As after a restart. */
static inline void notified_restart(struct notified *t)
{
	struct world *w = t->w;

	world_end(w);
	notified_close(t);
	both_open(w->b);
	world_open(w);
	notified_open(t, w);
}

/* Who asks, of what, and how much that is; texts live in the world's arena. */
static inline struct unread unread_upto(struct notified *t, struct actor by, str room_id, int64_t upto,
					const int64_t *ignored, size_t n_ignored)
{
	struct unread_query q = { .upto = upto, .ignored = ignored, .n_ignored = n_ignored };
	struct member_row *m;
	struct unread u;
	AUTO_TX tx = NULL;

	good(store_read(t->w->b->st, t->w->a, &tx));
	q.room = room_nid(t->w, room_id);
	q.user = by.user;
	good(store_member(tx, q.room, by.user, &m));
	assert_non_null(m);
	q.since = m->since;
	good(notify_unread(t->n, t->w->a, &tx, &q, &u));
	return u;
}

static inline struct unread unread_of(struct notified *t, struct actor by, str room_id)
{
	return unread_upto(t, by, room_id, bus_position(t->w->bus), NULL, 0);
}

#define counts(u, want_notify, want_highlight)                                                                         \
	do {                                                                                                           \
		const struct unread counts_u_ = (u);                                                                   \
		ok(counts_u_.all.notify == (want_notify) && counts_u_.all.highlight == (want_highlight),               \
		   "unread %d, highlighted %d", (int)counts_u_.all.notify, (int)counts_u_.all.highlight);              \
	} while (0)

static inline err *receipt(struct notified *t, struct actor by, str room_id, str event_id, enum receipt_kind kind,
			   str thread)
{
	const struct receipt_cmd cmd = {
		.by = by, .room_id = room_id, .event_id = event_id, .kind = kind, .thread_id = thread
	};

	return room_receipt(t->w->rs, t->w->a, &cmd);
}

static inline str say_in_thread(struct world *w, struct actor by, str room_id, str root)
{
	const str content = arena_printf(
		w->a, "{'body':'x','msgtype':'m.text','m.relates_to':{'rel_type':'m.thread','event_id':'%.*s'}}",
		STR_ARG(root));
	str id;

	good(try_send(w, w->a, by, room_id, "m.room.message", NULL, content.p, NULL, &id));
	return id;
}

static inline str react(struct world *w, struct actor by, str room_id, str to)
{
	static unsigned serial; /* the same reaction twice is refused */
	const str content =
		arena_printf(w->a, "{'m.relates_to':{'rel_type':'m.annotation','event_id':'%.*s','key':'y%u'}}",
			     STR_ARG(to), serial++);
	str id;

	good(try_send(w, w->a, by, room_id, "m.reaction", NULL, content.p, NULL, &id));
	return id;
}

static inline str mention(struct world *w, struct actor by, str room_id, struct actor whom)
{
	const str content = arena_printf(w->a, "{'body':'x','msgtype':'m.text','m.mentions':{'user_ids':['%.*s']}}",
					 STR_ARG(whom.user_id));
	str id;

	good(try_send(w, w->a, by, room_id, "m.room.message", NULL, content.p, NULL, &id));
	return id;
}

static inline void redact(struct world *w, struct actor by, str room_id, str what)
{
	const struct send_cmd cmd = { .by = by,
				      .room_id = room_id,
				      .type = S("m.room.redaction"),
				      .state_key = STR_NONE,
				      .content = js(w->a, "{}"),
				      .redacts = what };
	str id;

	good(room_send(w->rs, w->a, &cmd, &id));
}

struct rule {
	enum push_kind kind;
	str id;
	const struct json *body;
};
static inline err *rule_put(struct arena *a, str stored, void *arg, str *out)
{
	const struct rule *r = arg;

	return push_rules_put(a, stored, r->kind, r->id, r->body, STR_NONE, STR_NONE, out);
}
static inline void set_rule(struct notified *t, struct actor by, enum push_kind kind, str id, const char *body)
{
	struct rule r = { kind, id, js(t->w->a, body) };

	good(user_push_rules_change(t->us, t->w->a, by.user, rule_put, &r));
}

static inline void notified_run(void (*test)(struct notified *t), bool pg)
{
	struct notified t;
	struct both b;
	struct world w;

	both_begin(&b, pg);
	world_begin(&w, &b);
	notified_open(&t, &w);
	test(&t);
	world_end(&w);
	notified_close(&t);
	both_end(&b);
}

#define NOTIFIED(name)                                                                                                 \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		notified_run(name, false);                                                                             \
	}                                                                                                              \
	static void name##_on_pg(void **state)                                                                         \
	{                                                                                                              \
		(void)state;                                                                                           \
		notified_run(name, true);                                                                              \
	}
#define NOTIFIED_TESTS(name) cmocka_unit_test(name##_on_sqlite), cmocka_unit_test(name##_on_pg)
