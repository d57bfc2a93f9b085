/* admitted.h - a world that other servers knock at: their keys are known, and what they send is made as they would. */
#pragma once

#include "room/notified.h"

#include "base/b64.h"
#include "base/clock.h"
#include "federation/fed.h"
#include "federation/key_ring.h"
#include "room/admit/admit.h"
#include "store/server_keys.h"

#define DAY INT64_C(86400000)

struct host { /* another server */
	str name, key_id;
	struct ed25519_key key;
};
struct admitted {
	struct world *w;
	struct notified n;
	struct log log;
	struct fed *fed;
	struct key_ring *keys;
	struct host far, other;
	int64_t now;
	struct admit *ad;
};

static inline struct signer signer_of(const struct host *h) { return (struct signer){ h->name, h->key_id, &h->key }; }

/* Its key is known, so that nobody has to be asked for it. */
static inline err *write_key(struct tx *tx, void *arg)
{
	const struct host *h = arg;
	const str text = S("{}");
	const struct server_key_row row = {
		.server = h->name,
		.key_id = h->key_id,
		.public_key = { (const char *)h->key.public_key, 32 },
		.until = clock_ms() + DAY,
	};
	const struct server_key_document doc = {
		.server = h->name,
		.json = text,
		.received_at = clock_ms(),
		.valid_until = row.until,
		.key_ids = &row.key_id,
		.n_key_ids = 1,
	};

	return store_server_keys_save(tx, &doc, &row, 1);
}

static inline void host_begin(struct admitted *t, struct host *h, const char *name, const char *key_id, uint8_t seed)
{
	*h = (struct host){ .name = str_c(name), .key_id = str_c(key_id) };
	ed25519_from_seed(&h->key, (const uint8_t[32]){ seed });
	good(store_do(t->w->b->st, t->w->a, write_key, h));
}

static inline void admitted_begin(struct admitted *t, struct world *w)
{
	struct admit_options opt = { .rooms = w->rs, .store = w->b->st };

	*t = (struct admitted){ .w = w, .now = clock_ms() };
	notified_open(&t->n, w);
	log_setup(LOG_ERROR, LOG_TEXT);
	host_begin(t, &t->far, "far", "ed25519:far", 9); /* as in far_room.h */
	host_begin(t, &t->other, "other", "ed25519:other", 8);
	good(fed_new(w->a, &(struct fed_options){ .store = w->b->st, .log = &t->log, .signer = &w->opt.signer },
		     &t->fed));
	good(key_ring_new(
		w->a,
		&(struct key_ring_options){ .store = w->b->st, .fed = t->fed, .log = &t->log, .own = &w->opt.signer },
		&t->keys));
	opt.users = t->n.us;
	opt.keys = t->keys;
	good(admit_new(w->a, &opt, &t->ad));
}

static inline void admitted_end(struct admitted *t)
{
	admit_free(&t->ad);
	key_ring_free(&t->keys);
	fed_free(&t->fed);
	users_free(&t->n.us);
}

static inline err *try_make_of(struct admitted *t, const char *origin, str room_id, str user_id, enum membership to,
			       const struct json **out)
{
	static const str versions[] = { STR("1"), STR("2"), STR("3"), STR("4"),  STR("5"),  STR("6"),
					STR("7"), STR("8"), STR("9"), STR("10"), STR("11"), STR("12") };
	const struct admit_make cmd = {
		.origin = str_c(origin),
		.room_id = room_id,
		.user_id = user_id,
		.to = to,
		.versions = versions,
		.n_versions = ARRAY_LEN(versions),
	};
	const struct room_version *rv;

	return admit_make(t->ad, t->w->a, &cmd, &rv, out);
}

static inline err *try_make(struct admitted *t, str room_id, const char *name, enum membership to,
			    const struct json **out)
{
	return try_make_of(t, "far", room_id, arena_printf(t->w->a, "@%s:far", name), to, out);
}

/* Hashed and signed as its server does it. */
static inline struct json *sealed(struct admitted *t, const struct room_version *rv, const struct json *j,
				  const struct host *by)
{
	struct arena *a = t->w->a;
	const struct signer signer = signer_of(by);
	struct json *event = json_copy(a, j), *hashes = json_new_object(a), *redacted;
	uint8_t hash[32];

	json_del(event, S("signatures"));
	good(event_content_hash(a, event, hash));
	json_set(a, hashes, S("sha256"), json_new_str(a, b64_encode(a, (str){ (char *)hash, sizeof(hash) })));
	json_set(a, event, S("hashes"), hashes);
	redacted = redact_event(a, rv, event);
	good(sign_json(a, redacted, &signer));
	json_set(a, event, S("signatures"), json_get(redacted, S("signatures")));
	return event;
}

/* What a server makes of a template. */
static inline struct json *completed(struct admitted *t, const struct room_version *rv, const struct json *template,
				     const struct host *by)
{
	static int64_t named;
	struct arena *a = t->w->a;
	struct json *event = json_copy(a, template);

	json_set(a, event, S("origin"), json_new_str(a, by->name));
	json_set(a, event, S("origin_server_ts"), json_new_int(a, t->now));
	if (rv->event_format == EVENT_FORMAT_NAMED)
		json_set(a, event, S("event_id"),
			 json_new_str(a, arena_printf(a, "$j%" PRId64 ":%.*s", ++named, STR_ARG(by->name))));
	return sealed(t, rv, event, by);
}

static inline str id_of_event(struct admitted *t, const struct room_version *rv, const struct json *event)
{
	struct event *ev;

	good(event_parse_json(t->w->a, rv, event, &ev));
	return ev->event_id;
}

static inline err *try_send_as(struct admitted *t, const char *origin, str room_id, str event_id, enum membership to,
			       const struct json *event, const struct event **out)
{
	const struct admit_send cmd = {
		.origin = str_c(origin), .room_id = room_id, .event_id = event_id, .to = to, .event = event
	};

	return admit_send(t->ad, t->w->a, &cmd, out);
}

static inline const struct room_version *version_of(struct admitted *t, str room_id)
{
	const struct room_version *rv;
	int64_t room;

	good(rooms_find(t->w->rs, t->w->a, room_id, &room, &rv));
	return rv;
}

/* The whole way. */
static inline err *try_pass(struct admitted *t, str room_id, const char *name, enum membership to,
			    const struct event **out)
{
	const struct room_version *rv = version_of(t, room_id);
	const struct json *template, *event;

	TRY(try_make(t, room_id, name, to, &template));
	event = completed(t, rv, template, &t->far);
	return try_send_as(t, "far", room_id, id_of_event(t, rv, event), to, event, out);
}

static inline enum membership far_is(struct world *w, str room_id, const char *name)
{
	int64_t user, room = room_nid(w, room_id);
	struct member_row *m = NULL;
	AUTO_TX tx = NULL;

	good(store_intern_find(w->b->st, w->a, arena_printf(w->a, "@%s:far", name), &user));
	good(store_read(w->b->st, w->a, &tx));
	if (user)
		good(store_member(tx, room, user, &m));
	return m ? m->membership : MEMBER_NONE;
}

/* ADMITTED(name): the test on both databases. */
#define ADMITTED(name)                                                                                                 \
	static void name##_world(struct world *w)                                                                      \
	{                                                                                                              \
		struct admitted t;                                                                                     \
                                                                                                                       \
		admitted_begin(&t, w);                                                                                 \
		name(&t);                                                                                              \
		admitted_end(&t);                                                                                      \
		store_close(&w->b->st);                                                                                \
		notify_free(&t.n.n);                                                                                   \
	}                                                                                                              \
	WORLD(name##_world)
#define ADMITTED_TESTS(name) WORLD_TESTS(name##_world)
