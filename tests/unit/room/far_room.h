/*
 * far_room.h - a room of another server: its events, built, hashed and signed there, and what its state is. For tests
 * of what comes from outside. Nobody checks the rules here: also what they refuse can be made.
 */
#pragma once

#include "base/map.h"
#include "matrix/auth.h"
#include "matrix/event.h"
#include "matrix/id.h"
#include "test.h"

struct far {
	struct arena *a;
	const struct room_version *rv;
	struct ed25519_key key;
	struct signer signer;
	str room_id;
	VEC(struct event *) events; /* all, in the order they were made */
	struct map state;           /* "type\0state_key" -> struct event */
	int64_t now, named;
};

static inline str far_user(struct far *f, const char *name)
{
	return arena_printf(f->a, "@%s:%.*s", name, STR_ARG(f->signer.server_name));
}

static inline const struct json *far_json(struct far *f, const char *text)
{
	const str kept = arena_keep(f->a, str_c(text));
	struct json *j;

	for (size_t i = 0; i < kept.n; i++)
		if (kept.p[i] == '\'')
			((char *)kept.p)[i] = '"';
	good(json_parse(f->a, kept, &json_limits_request, &j));
	return j;
}

static inline str far_key(struct far *f, str type, str state_key)
{
	return arena_join3(f->a, type, (str){ "\0", 1 }, state_key);
}

static inline struct event *far_current(struct far *f, const char *type, str state_key)
{
	return map_get(&f->state, far_key(f, str_c(type), state_key));
}

static inline str far_hash(struct far *f, const struct event *ev)
{
	str hash = STR_NONE;

	if (f->rv->event_format == EVENT_FORMAT_NAMED)
		good(event_hash_text(f->a, f->rv, ev, &hash));
	return hash;
}

/* An event with these auth_events, that is not part of the room yet. state_key STR_NONE: a message. */
static inline struct event *far_build(struct far *f, str sender, const char *type, str state_key,
				      const struct json *content, struct event *const *auth, size_t n_auth)
{
	const struct event *last = f->events.n ? f->events.p[f->events.n - 1] : NULL;
	str ids[EVENT_MAX_AUTH], hashes[EVENT_MAX_AUTH], prev, prev_hash;
	struct event_fields fields = {
		.room_id = f->room_id,
		.sender = sender,
		.type = str_c(type),
		.state_key = state_key,
		.content = content,
		.redacts = STR_NONE,
		.origin_server_ts = f->now++,
		.depth = event_depth_after(last ? last->depth : 0),
		.auth_events = ids,
		.n_auth_events = n_auth,
		.prev_events = &prev,
		.n_prev_events = last ? 1 : 0,
	};
	struct event *ev;

	if (last) {
		prev = last->event_id;
		prev_hash = far_hash(f, last);
	}
	for (size_t i = 0; i < n_auth; i++) {
		ids[i] = auth[i]->event_id;
		hashes[i] = far_hash(f, auth[i]);
	}
	if (f->rv->event_format == EVENT_FORMAT_NAMED) {
		fields.auth_hashes = hashes;
		fields.prev_hashes = &prev_hash;
		fields.event_id =
			arena_printf(f->a, "$far%" PRId64 ":%.*s", ++f->named, STR_ARG(f->signer.server_name));
	}
	good(event_build(f->a, f->rv, &fields, &f->signer, &ev));
	return ev;
}

static inline void far_take(struct far *f, struct event *ev)
{
	vec_push(f->a, &f->events, ev);
	if (event_is_state(ev))
		map_put(&f->state, far_key(f, ev->type, ev->state_key), ev);
}

/* A state event that the current state authorises, now part of the room. */
static inline struct event *far_state(struct far *f, str sender, const char *type, str state_key, const char *content)
{
	const struct json *j = far_json(f, content);
	struct event *auth[AUTH_KEYS_MAX], *ev;
	struct state_key keys[AUTH_KEYS_MAX];
	size_t n = auth_keys(f->rv, str_c(type), state_key, sender, j, keys), n_auth = 0;

	for (size_t i = 0; i < n; i++) {
		ev = map_get(&f->state, far_key(f, keys[i].type, keys[i].state_key));
		if (ev)
			auth[n_auth++] = ev;
	}
	ev = far_build(f, sender, type, state_key, j, auth, n_auth);
	far_take(f, ev);
	return ev;
}

static inline struct event *far_member(struct far *f, const char *name, const char *membership)
{
	const str user = far_user(f, name);

	return far_state(f, user, "m.room.member", user,
			 arena_printf(f->a, "{'membership':'%s','displayname':'%s'}", membership, name).p);
}

/* @admin made a public room. */
static inline void far_begin(struct far *f, struct arena *a, const char *version, const char *server)
{
	str create;

	*f = (struct far){ .a = a, .rv = room_version_find(str_c(version)), .now = 1700000000000 };
	crypto_init();
	ed25519_from_seed(&f->key, (const uint8_t[32]){ 9 });
	f->signer = (struct signer){ str_c(server), S("ed25519:far"), &f->key };
	map_init(&f->state, a);
	if (!f->rv->room_id_is_create_hash)
		f->room_id = arena_printf(a, "!room:%s", server);
	create = arena_printf(a, "{'room_version':'%s'%s%s%s}", version,
			      f->rv->creator_in_content ? ",'creator':'@admin:" : "",
			      f->rv->creator_in_content ? server : "", f->rv->creator_in_content ? "'" : "");
	f->room_id = far_state(f, far_user(f, "admin"), "m.room.create", S(""), create.p)->room_id;
	far_member(f, "admin", "join");
	far_state(f, far_user(f, "admin"), "m.room.power_levels", S(""),
		  f->rv->creators_above_all ? "{}" : arena_printf(a, "{'users':{'@admin:%s':100}}", server).p);
	far_state(f, far_user(f, "admin"), "m.room.join_rules", S(""), "{'join_rule':'public'}");
	far_state(f, far_user(f, "admin"), "m.room.history_visibility", S(""), "{'history_visibility':'shared'}");
}
