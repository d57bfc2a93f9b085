/*
 * res_rooms.h - random rooms of any version, as graphs of events for res_model.h: forks and merges, power levels fought
 * over, kicks and bans, join rules that change, invites, knocks, restricted joins, depths and times of all kinds,
 * events that the state before them refuses ("rejected"), and states that no history led to.
 *
 * What is drawn comes from a seed, or from bytes (a fuzzer's), which are the only thing that decides: the same bytes,
 * the same room.
 */
#pragma once

#include "matrix/res_model.h"

struct draws {
	uint64_t seed;
	const uint8_t *bytes; /* or NULL: by the seed */
	size_t left;          /* of bytes; after them come zeros */
};

static inline unsigned draw(struct draws *d, unsigned below)
{
	if (d->bytes) {
		if (d->left == 0)
			return 0;
		d->left--;
		return *d->bytes++ % below; /* below 257 everywhere */
	}
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return (unsigned)(d->seed >> 11) % below;
}

struct res_room {
	struct draws d;
	struct model m;
	struct model_state after[MODEL_EVENTS + 1];
	bool plain; /* nothing rejected, and no state without a create event: what other implementations take, too */
};

/* Of three servers; the first creates the room. */
static const char *const res_users[] = { "@alice:x", "@bob:x", "@carol:y", "@dave:y", "@erin:z", "@frank:x" };
enum { RES_USERS = 6 };

struct res_line {
	const char *sender, *type, *key, *content;
	int64_t depth, ts;
};

/* A level as the version may write it. */
static inline const char *res_level(struct res_room *r)
{
	static const int levels[] = { 0, 0, 25, 50, 50, 75, 100, 100, -1, 101 };
	const int level = levels[draw(&r->d, 10)];

	if (r->m.rv->level_format != LEVEL_INTEGER && draw(&r->d, 10) == 0)
		return arena_cstr(r->m.a, arena_printf(r->m.a, "\"%d\"", level));
	return arena_cstr(r->m.a, arena_printf(r->m.a, "%d", level));
}

static inline const char *res_power_levels(struct res_room *r)
{
	static const char *const names[] = { "kick", "ban", "invite", "state_default", "users_default" };
	struct arena *a = r->m.a;
	str users = S(""), rest = S("");

	/* Before version 12 the creator has to be named, lest the room lose its admin; 12 refuses it. */
	if (!r->m.rv->creators_above_all && draw(&r->d, 12) > 0)
		users = S(",\"@alice:x\":100");
	for (unsigned i = 1; i < RES_USERS; i++)
		if (draw(&r->d, 2))
			users = arena_printf(a, "%.*s,\"%s\":%s", STR_ARG(users), res_users[i], res_level(r));
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (draw(&r->d, 4) == 0)
			rest = arena_printf(a, "%.*s,\"%s\":%u", STR_ARG(rest), names[i], 25 * draw(&r->d, 3));
	if (draw(&r->d, 4) == 0)
		rest = arena_printf(a, "%.*s,\"events\":{\"m.room.topic\":%s}", STR_ARG(rest), res_level(r));
	if (draw(&r->d, 8) == 0)
		rest = arena_printf(a, "%.*s,\"notifications\":{\"room\":%s}", STR_ARG(rest), res_level(r));
	users = str_from(users, users.n > 0);
	return arena_cstr(a, arena_printf(a, "{\"users\":{%.*s}%.*s}", STR_ARG(users), STR_ARG(rest)));
}

static inline const char *res_join_rules(struct res_room *r)
{
	static const char *const rules[] = { "public", "public", "invite", "knock", "restricted", "knock_restricted" };

	return arena_cstr(r->m.a, arena_printf(r->m.a, "{\"join_rule\":\"%s\"}", rules[draw(&r->d, 6)]));
}

static inline const char *res_membership(struct res_room *r, bool self)
{
	static const char *const mine[] = { "join", "join", "join", "join", "leave", "knock" };
	static const char *const theirs[] = { "leave", "leave", "ban", "ban", "invite", "invite" };
	const char *membership = self ? mine[draw(&r->d, 6)] : theirs[draw(&r->d, 6)];

	if (strcmp(membership, "join") == 0 && r->m.rv->restricted && draw(&r->d, 2))
		return arena_cstr(r->m.a,
				  arena_printf(r->m.a,
					       "{\"join_authorised_via_users_server\":\"%s\",\"membership\":\"join\"}",
					       res_users[draw(&r->d, RES_USERS)]));
	return arena_cstr(r->m.a, arena_printf(r->m.a, "{\"membership\":\"%s\"}", membership));
}

static inline struct res_line res_draw_line(struct res_room *r, int64_t depth)
{
	static const char *const types[] = { "m.room.topic", "m.room.name", "m.room.third_party_invite",
					     "org.example" };
	const unsigned what = draw(&r->d, 16), when = draw(&r->d, 4);
	struct res_line l = { .sender = res_users[draw(&r->d, RES_USERS)], .key = "", .content = "{}", .depth = depth };

	if (draw(&r->d, 3) == 0)
		l.sender = res_users[0];
	l.ts = 1000 * (int64_t)(when ? r->m.n / 3 : (int)draw(&r->d, 40)); /* many at the same time, some long ago */
	if (draw(&r->d, 4) == 0)
		l.depth = draw(&r->d, 4) ? (int64_t)draw(&r->d, 30) : EVENT_MAX_DEPTH;
	if (what < 4) {
		l.type = "m.room.power_levels";
		l.content = res_power_levels(r);
	} else if (what < 6) {
		l.type = "m.room.join_rules";
		l.content = res_join_rules(r);
	} else if (what < 12) {
		const bool self = draw(&r->d, 2);

		l.type = "m.room.member";
		l.key = self ? l.sender : res_users[draw(&r->d, RES_USERS)];
		l.content = res_membership(r, strcmp(l.key, l.sender) == 0);
	} else if (what == 12 && draw(&r->d, 2)) {
		l.type = "m.room.aliases";
		l.key = strchr(l.sender, ':') + 1;
	} else {
		l.type = types[draw(&r->d, 4)];
		l.key = strcmp(l.type, "org.example") == 0 && draw(&r->d, 2) ? l.sender : "";
	}
	return l;
}

static inline str res_event_id(struct res_room *r, str sender)
{
	const str opaque = arena_printf(r->m.a, "$%02x%d", draw(&r->d, 256), r->m.n + 1);

	if (r->m.rv->event_format != EVENT_FORMAT_NAMED)
		return opaque;
	return arena_join3(r->m.a, opaque, S(":"), str_from(sender, (size_t)(strchr(sender.p, ':') + 1 - sender.p)));
}

/* auth_events by the rules from the state before; the signatures are those of who must sign. */
static inline struct event *res_make(struct res_room *r, const struct res_line *l, const struct model_state *before)
{
	struct model *m = &r->m;
	struct event *ev = ARENA_NEW(m->a, struct event);
	struct json *content, *json = json_new_object(m->a), *signatures = json_new_object(m->a);
	struct state_key keys[AUTH_KEYS_MAX];
	str *auth = ARENA_ARRAY(m->a, str, AUTH_KEYS_MAX), authoriser;
	err *e = json_parse(m->a, str_c(l->content), &json_limits_event, &content);
	size_t n;

	assert(!e);
	*ev = (struct event){ .sender = str_c(l->sender), .type = str_c(l->type), .state_key = str_c(l->key) };
	ev->event_id = res_event_id(r, ev->sender);
	ev->room_id = S("!room:x");
	if (m->rv->room_id_is_create_hash)
		ev->room_id = arena_join2(m->a, S("!"), str_from(m->n ? m->ev[1]->event_id : ev->event_id, 1));
	ev->content = content;
	ev->depth = l->depth;
	ev->origin_server_ts = l->ts;
	ev->auth_events = auth;
	n = auth_keys(m->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);
	for (size_t i = 0; i < n; i++) {
		const int key = model_key(m, keys[i].type, keys[i].state_key);
		int y = before->event[key];

		/* Now and then what another state holds, or what was rejected: as a server may write that sees it so.
		 */
		if (!r->plain && draw(&r->d, 32) == 0)
			for (int x = m->n, tries = (int)draw(&r->d, 8); x > 0 && tries > 0; x--)
				if (m->key_of[x] == key) {
					y = x;
					tries -= m->ev[x]->rejected ? 8 : 1;
				}
		if (y)
			auth[ev->n_auth_events++] = m->ev[y]->event_id;
	}
	authoriser = json_get_str(content, S("join_authorised_via_users_server"));
	if (!str_is_none(authoriser)) {
		struct json *by = json_new_object(m->a);

		json_set(m->a, by, S("ed25519:1"), json_new_str(m->a, S("sig")));
		json_set(m->a, signatures, str_c(strchr(arena_cstr(m->a, authoriser), ':') + 1), by);
	}
	json_set(m->a, json, S("signatures"), signatures);
	ev->json = json;
	return ev;
}

#include "matrix/res_rooms_grow.h"
