/* world.h - a store, a bus and rooms, with people who act in them. Texts of events are JSON with ' for ". */
#pragma once

#include "store/both.h"
#include "test.h"

#include "bus/bus.h"
#include "room/internal_job.h"
#include "store/fault.h"
#include "store/tx.h"

struct world {
	struct both *b;
	struct arena *a;
	struct bus *bus;
	struct rooms *rs;
	struct ed25519_key key;
	struct rooms_options opt;
};

static inline void world_advance(void *ctx, int64_t position) { bus_advance(ctx, position); }

static inline void world_open(struct world *w)
{
	w->bus = bus_new(1000);
	store_on_commit(w->b->st, world_advance, w->bus);
	w->opt.store = w->b->st;
	w->opt.bus = w->bus;
	w->opt.signer = (struct signer){ S("test"), S("ed25519:1"), &w->key };
	if (!w->opt.default_version)
		w->opt.default_version = room_version_find(ROOM_VERSION_DEFAULT);
	good(rooms_new(w->a, &w->opt, &w->rs));
}

static inline void world_begin(struct world *w, struct both *b)
{
	*w = (struct world){ .b = b, .a = b->a };
	ed25519_from_seed(&w->key, (const uint8_t[32]){ 7 });
	world_open(w);
}

static inline void world_end(struct world *w)
{
	store_close(&w->b->st);
	rooms_free(&w->rs);
	bus_free(&w->bus);
}

/* As after a restart: all that memory knew is gone. */
static inline void world_restart(struct world *w)
{
	world_end(w);
	both_open(w->b);
	world_open(w);
}

static inline struct actor who(struct world *w, const char *name)
{
	struct actor by = { .device_id = S("DEV") };

	by.user_id = arena_printf(w->a, "@%s:test", name);
	good(store_intern(w->b->st, w->a, by.user_id, &by.user));
	return by;
}

static inline const struct json *js(struct arena *a, const char *text)
{
	const str kept = arena_keep(a, str_c(text));
	struct json *j;

	for (size_t i = 0; i < kept.n; i++)
		if (kept.p[i] == '\'')
			((char *)kept.p)[i] = '"';
	good(json_parse(a, kept, &json_limits_request, &j));
	return j;
}

static inline err *try_create(struct world *w, struct actor by, const char *body, str *out)
{
	const struct create_cmd cmd = { .by = by, .body = js(w->a, body) };

	return room_create(w->rs, w->a, &cmd, out);
}

static inline str make_room(struct world *w, struct actor by, const char *body)
{
	str id;

	good(try_create(w, by, body, &id));
	return id;
}

static inline err *try_send(struct world *w, struct arena *a, struct actor by, str room_id, const char *type,
			    const char *key, const char *content, const char *txn, str *out)
{
	const struct send_cmd cmd = {
		.by = by,
		.room_id = room_id,
		.type = str_c(type),
		.state_key = str_c(key),
		.content = js(a, content),
		.txn_id = str_c(txn),
		.txn_path = txn ? S("/send/") : STR_NONE,
	};

	return room_send(w->rs, a, &cmd, out);
}

static inline str say(struct world *w, struct actor by, str room_id, const char *text)
{
	const str content = arena_printf(w->a, "{'msgtype':'m.text','body':'%s'}", text);
	str id;

	good(try_send(w, w->a, by, room_id, "m.room.message", NULL, content.p, NULL, &id));
	return id;
}

static inline str set_state(struct world *w, struct actor by, str room_id, const char *type, const char *key,
			    const char *content)
{
	str id;

	good(try_send(w, w->a, by, room_id, type, key, content, NULL, &id));
	return id;
}

typedef err *world_door(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
static inline err *member(struct world *w, world_door *door, struct actor by, str room_id, const char *target)
{
	const struct member_cmd cmd = {
		.by = by,
		.room_id = room_id,
		.target = target ? arena_printf(w->a, "@%s:test", target) : STR_NONE,
	};

	return door(w->rs, w->a, &cmd);
}

static inline err *join(struct world *w, struct actor by, str room_id)
{
	const struct member_cmd cmd = { .by = by, .room_id = room_id };
	str id;

	return room_join(w->rs, w->a, &cmd, &id);
}

/* What the store says. */
static inline int64_t room_nid(struct world *w, str room_id)
{
	int64_t nid;

	good(rooms_find(w->rs, w->a, room_id, &nid, NULL));
	return nid;
}

struct squeeze {
	int64_t room, spacing;
};

static inline err *squeeze_run(struct tx *tx, void *arg)
{
	static const char sql[] = "UPDATE events SET timeline = o.place * $2"
				  " FROM (SELECT nid AS n, ROW_NUMBER() OVER (ORDER BY timeline) AS place FROM events"
				  "  WHERE room = $1 AND timeline IS NOT NULL) o WHERE events.nid = o.n";
	const struct squeeze *s = arg;

	return tx_run(tx, sql, BIND(B(s->room), B(s->spacing)));
}

/* The room's events stand `spacing` apart from now on. */
static inline void squeeze_timeline(struct world *w, str room_id, int64_t spacing)
{
	struct squeeze s = { room_nid(w, room_id), spacing };

	good(store_do(w->b->st, w->a, squeeze_run, &s));
}

static inline struct member_row *membership_row(struct world *w, str room_id, const char *name)
{
	struct member_row *m;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_member(tx, room_nid(w, room_id), who(w, name).user, &m));
	return m;
}

static inline enum membership membership_now(struct world *w, str room_id, const char *name)
{
	const struct member_row *m = membership_row(w, room_id, name);

	return m ? m->membership : MEMBER_NONE;
}

static inline struct event_row *event_row(struct world *w, str event_id)
{
	struct event_row *row;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_event_by_id(tx, event_id, &row));
	return row;
}

/* The current event under a key, from the flat table; NULL: none. */
static inline struct event_row *current(struct world *w, str room_id, const char *type, const char *key)
{
	struct event_row *row = NULL;
	int64_t t, k, nid = 0;
	AUTO_TX tx = NULL;

	good(store_intern_find(w->b->st, w->a, str_c(type), &t));
	good(store_intern_find(w->b->st, w->a, str_c(key), &k));
	good(store_read(w->b->st, w->a, &tx));
	if (t && k)
		good(store_state_get(tx, room_nid(w, room_id), t, k, &nid));
	if (nid)
		good(store_event_by_nid(tx, nid, &row));
	return row;
}

static inline const struct json *content_of(struct world *w, const struct event_row *row)
{
	struct json *j;

	assert_non_null(row);
	good(json_parse(w->a, row->json, &json_limits_event, &j));
	return json_get(j, S("content"));
}

static inline void world_run(void (*test)(struct world *w), bool pg)
{
	struct both b;
	struct world w;

	both_begin(&b, pg);
	world_begin(&w, &b);
	test(&w);
	world_end(&w);
	both_end(&b);
}

/* WORLD(name): the test on both databases. */
#define WORLD(name)                                                                                                    \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		world_run(name, false);                                                                                \
	}                                                                                                              \
	static void name##_on_pg(void **state)                                                                         \
	{                                                                                                              \
		(void)state;                                                                                           \
		world_run(name, true);                                                                                 \
	}
#define WORLD_TESTS(name) cmocka_unit_test(name##_on_sqlite), cmocka_unit_test(name##_on_pg)
