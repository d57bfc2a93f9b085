/*
 * room.h - small rooms out of bytes, for the targets that need events which know each other: any room version, members
 * of three servers, contents that are mostly sensible and sometimes of the wrong type or at an extreme. The events are
 * views made by hand: neither hashed nor signed, but with the signatures' names.
 */
#pragma once

#include "base/b64.h"
#include "fuzz.h"
#include "json/json.h"
#include "matrix/auth.h"
#include "matrix/power_levels.h"

struct room {
	struct arena *a;
	struct feed *f;
	const struct room_version *rv;
	struct ed25519_key key; /* of the identity server that third-party invites name */
	str room_id;
	size_t made;
};

static const str room_users[] = { STR("@a:x"), STR("@b:x"), STR("@c:y"),    STR("@d:y"),
				  STR("@e:z"), STR("@:x"),  STR("@F G:x:8") };

static inline str room_user(struct room *r) { return room_users[feed_below(r->f, ARRAY_LEN(room_users))]; }

static inline void room_init(struct room *r, struct arena *a, struct feed *f)
{
	static const uint8_t seed[32] = "a seed for tests of 32 bytes....";

	*r = (struct room){ .a = a, .f = f };
	r->rv = room_version_at(feed_below(f, 12));
	assert(r->rv);
	r->room_id = r->rv->room_id_is_create_hash ? S("!0") : S("!0:x");
	ed25519_from_seed(&r->key, seed);
}

static inline struct json *room_json(struct room *r, str text)
{
	struct json *j = NULL;
	err *e = json_parse(r->a, text, &json_limits_event, &j);

	assert(!e);
	return j;
}

static inline void room_put(struct room *r, struct json *object, str key, str json_text)
{
	json_set(r->a, object, key, room_json(r, json_text));
}

static inline void room_put_str(struct room *r, struct json *object, str key, str value)
{
	json_set(r->a, object, key, json_new_str(r->a, value));
}

/* Anything, as JSON: what stands where something else is expected. */
static inline str room_odd(struct room *r)
{
	static const str odd[] = { STR("null"),
				   STR("true"),
				   STR("{}"),
				   STR("[]"),
				   STR("\"\""),
				   STR("\"join\""),
				   STR("1.5"),
				   STR("1e400"),
				   STR("-0"),
				   STR("[\"@a:x\"]"),
				   STR("{\"@a:x\":\"50\"}"),
				   STR("\"@a:x\""),
				   STR("-1"),
				   STR("\"\\u0000\""),
				   STR("18446744073709551616"),
				   STR("{\"signed\":1}") };

	return odd[feed_below(r->f, ARRAY_LEN(odd))];
}

static inline str room_level(struct room *r)
{
	static const str levels[] = { STR("0"),
				      STR("1"),
				      STR("25"),
				      STR("49"),
				      STR("50"),
				      STR("51"),
				      STR("75"),
				      STR("99"),
				      STR("100"),
				      STR("-1"),
				      STR("-50"),
				      STR("9007199254740991"),
				      STR("-9007199254740991") };
	static const str rare[] = { STR("\"50\""),
				    STR("\" 100 \""),
				    STR("\"+7\""),
				    STR("\"0x10\""),
				    STR("\"1_0\""),
				    STR("\"-5\""),
				    STR("50.5"),
				    STR("1e2"),
				    STR("1e400"),
				    STR("-0.0"),
				    STR("9007199254740992"),
				    STR("9223372036854775807"),
				    STR("-9223372036854775808"),
				    STR("18446744073709551616"),
				    STR("\"9223372036854775808\""),
				    STR("\"\""),
				    STR("\"1e2\""),
				    STR("\"NaN\"") };

	if (feed_once_in(r->f, 40))
		return room_odd(r);
	return feed_once_in(r->f, 8) ? rare[feed_below(r->f, ARRAY_LEN(rare))]
				     : levels[feed_below(r->f, ARRAY_LEN(levels))];
}

static inline struct json *room_levels_map(struct room *r, const str *names, size_t n)
{
	struct json *map = json_new_object(r->a);

	for (unsigned i = feed_below(r->f, 5); i > 0; i--) {
		const str name = names[feed_below(r->f, n)];

		room_put(r, map, name, room_level(r));
	}
	return map;
}

static inline struct json *room_power_levels(struct room *r)
{
	static const str names[] = { STR("users_default"), STR("events_default"), STR("state_default"), STR("ban"),
				     STR("redact"),        STR("kick"),           STR("invite") };
	static const str types[] = {
		STR("m.room.power_levels"), STR("m.room.message"), STR("m.room.topic"), STR("m.room.member"),
		STR("m.room.redaction"),    STR("m.room.create"),  STR("room")
	};
	static const str users[] = { STR("@a:x"), STR("@b:x"),   STR("@c:y"), STR("@d:y"),
				     STR("@e:z"), STR("nobody"), STR("@:x") };
	struct json *c = json_new_object(r->a);
	const unsigned with = feed_byte(r->f);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (with >> i & 1)
			room_put(r, c, names[i], room_level(r));
	json_set(r->a, c, S("users"), room_levels_map(r, users, feed_once_in(r->f, 4) ? 7 : 5));
	if (with >> 7)
		json_set(r->a, c, S("events"), room_levels_map(r, types, ARRAY_LEN(types)));
	if (feed_once_in(r->f, 4))
		json_set(r->a, c, S("notifications"), room_levels_map(r, types, ARRAY_LEN(types)));
	if (feed_once_in(r->f, 30))
		room_put(r, c, S("users"), room_odd(r));
	return c;
}

static inline struct json *room_third_party(struct room *r, str mxid)
{
	struct json *outer = json_new_object(r->a), *inner = json_new_object(r->a);
	const struct signer by = { S("id.server"), S("ed25519:0"), &r->key };

	room_put_str(r, inner, S("mxid"), feed_once_in(r->f, 8) ? room_user(r) : mxid);
	room_put_str(r, inner, S("token"), feed_once_in(r->f, 8) ? S("other") : S("token"));
	if (!feed_once_in(r->f, 4)) {
		err *e = sign_json(r->a, inner, &by);

		assert(!e);
	} else {
		room_put(r, inner, S("signatures"),
			 S("{\"id.server\":{\"ed25519:0\":\"AAAA\",\"x\":\"y\"},\"q\":{\"ed25519:1\":{}}}"));
	}
	if (feed_once_in(r->f, 10))
		room_put(r, inner, feed_once_in(r->f, 2) ? S("mxid") : S("token"), room_odd(r));
	json_set(r->a, outer, S("signed"), inner);
	if (feed_once_in(r->f, 10))
		room_put(r, outer, S("signed"), room_odd(r));
	return outer;
}

static inline struct json *room_member(struct room *r, str target)
{
	static const str memberships[] = { STR("join"), STR("join"),  STR("invite"), STR("leave"),
					   STR("ban"),  STR("knock"), STR("") };
	struct json *c = json_new_object(r->a);
	const str membership = memberships[feed_below(r->f, ARRAY_LEN(memberships))];

	room_put_str(r, c, S("membership"), membership);
	if (feed_once_in(r->f, 6))
		room_put_str(r, c, S("join_authorised_via_users_server"), room_user(r));
	if (str_eq(membership, S("invite")) && feed_once_in(r->f, 3))
		json_set(r->a, c, S("third_party_invite"), room_third_party(r, target));
	if (feed_once_in(r->f, 40))
		room_put(r, c, S("membership"), room_odd(r));
	if (feed_once_in(r->f, 40))
		room_put(r, c, S("join_authorised_via_users_server"), room_odd(r));
	if (feed_once_in(r->f, 40))
		room_put(r, c, S("third_party_invite"), room_odd(r));
	return c;
}

static inline struct json *room_invite_keys(struct room *r)
{
	struct json *c = json_new_object(r->a), *list = json_new_array(r->a), *one = json_new_object(r->a);
	const str good = b64_encode(r->a, (str){ (const char *)r->key.public_key, 32 });

	room_put_str(r, c, S("public_key"), feed_once_in(r->f, 3) ? S("AAAA") : good);
	room_put_str(r, one, S("public_key"), feed_once_in(r->f, 3) ? S("!") : good);
	json_append(r->a, list, one);
	if (feed_once_in(r->f, 3))
		json_set(r->a, c, S("public_keys"), list);
	if (feed_once_in(r->f, 10))
		room_put(r, c, S("public_keys"), room_odd(r));
	return c;
}

static inline struct json *room_create_content(struct room *r)
{
	struct json *c = json_new_object(r->a);

	if (r->rv->creator_in_content && !feed_once_in(r->f, 20))
		room_put_str(r, c, S("creator"), feed_once_in(r->f, 10) ? room_user(r) : S("@a:x"));
	if (feed_once_in(r->f, 4))
		room_put(r, c, S("additional_creators"), S("[\"@b:x\",\"@c:y\"]"));
	if (feed_once_in(r->f, 8))
		room_put(r, c, S("m.federate"), feed_once_in(r->f, 4) ? room_odd(r) : S("false"));
	if (feed_once_in(r->f, 8))
		room_put_str(r, c, S("room_version"), feed_once_in(r->f, 4) ? S("99") : r->rv->id);
	if (feed_once_in(r->f, 20))
		room_put(r, c, S("additional_creators"), room_odd(r));
	return c;
}

static inline struct json *room_join_rules(struct room *r)
{
	static const str rules[] = { STR("public"),           STR("invite"),  STR("knock"), STR("restricted"),
				     STR("knock_restricted"), STR("private"), STR("") };
	struct json *c = json_new_object(r->a);

	room_put_str(r, c, S("join_rule"), rules[feed_below(r->f, ARRAY_LEN(rules))]);
	if (feed_once_in(r->f, 40))
		room_put(r, c, S("join_rule"), room_odd(r));
	return c;
}

/* The members that stand at the top of an event and that the rules read there. */
static inline void room_json_of(struct room *r, struct event *ev)
{
	struct json *top = json_new_object(r->a), *signatures = json_new_object(r->a);
	const str authoriser = json_get_str(ev->content, S("join_authorised_via_users_server"));
	const str colon = str_is_none(authoriser) ? S("") : str_from(authoriser, str_find(authoriser, ':'));

	room_put(r, signatures, S("x"), S("{\"ed25519:1\":\"AAAA\"}"));
	if (colon.n > 1 && !feed_once_in(r->f, 8))
		room_put(r, signatures, str_from(colon, 1), S("{\"ed25519:1\":\"AAAA\"}"));
	json_set(r->a, top, S("content"), ev->content);
	json_set(r->a, top, S("signatures"), signatures);
	room_put_str(r, top, S("type"), ev->type);
	room_put_str(r, top, S("sender"), ev->sender);
	if (event_is_state(ev))
		room_put_str(r, top, S("state_key"), ev->state_key);
	if (!(r->rv->room_id_is_create_hash && str_eq(ev->type, S("m.room.create")) && !feed_once_in(r->f, 20)))
		room_put_str(r, top, S("room_id"), ev->room_id);
	if (!str_is_none(ev->redacts))
		room_put_str(r, top, S("redacts"), ev->redacts);
	ev->json = top;
}

static inline str room_event_id(struct room *r, size_t i)
{
	return arena_printf(r->a, r->rv->event_format == EVENT_FORMAT_NAMED ? "$%zu:x" : "$%zu", i);
}

static inline struct event *room_begin(struct room *r, str type, str state_key)
{
	struct event *ev = ARENA_NEW(r->a, struct event);

	ev->type = type;
	ev->state_key = state_key;
	ev->event_id = room_event_id(r, r->made);
	ev->room_id = r->room_id;
	ev->nid = (int64_t)++r->made;
	ev->origin_server_ts = ev->nid;
	return ev;
}

/* The create event: the first one made, usually a good one. */
static inline struct event *room_create(struct room *r)
{
	struct event *ev = room_begin(r, S("m.room.create"), S(""));

	ev->sender = S("@a:x");
	ev->content = room_create_content(r);
	room_json_of(r, ev);
	return ev;
}

static inline const struct json *room_content(struct room *r, str type, str state_key)
{
	if (str_eq(type, S("m.room.power_levels")))
		return room_power_levels(r);
	if (str_eq(type, S("m.room.member")))
		return room_member(r, state_key);
	if (str_eq(type, S("m.room.join_rules")))
		return room_join_rules(r);
	if (str_eq(type, S("m.room.third_party_invite")))
		return room_invite_keys(r);
	if (str_eq(type, S("m.room.create")))
		return room_create_content(r);
	return json_new_object(r->a);
}

/* Any event; `prev` is the one it comes after, or NULL. */
static inline struct event *room_event(struct room *r, const struct event *prev)
{
	static const str types[] = { STR("m.room.member"),
				     STR("m.room.member"),
				     STR("m.room.member"),
				     STR("m.room.power_levels"),
				     STR("m.room.power_levels"),
				     STR("m.room.join_rules"),
				     STR("m.room.third_party_invite"),
				     STR("m.room.topic"),
				     STR("m.room.message"),
				     STR("m.room.aliases"),
				     STR("m.room.redaction"),
				     STR("m.room.create"),
				     STR("org.example") };
	const str type = types[feed_below(r->f, ARRAY_LEN(types))];
	struct event *ev = room_begin(r, type, S(""));
	str *prev_events = ARENA_ARRAY(r->a, str, 2);

	ev->sender = room_user(r);
	if (str_eq(type, S("m.room.member")))
		ev->state_key = feed_once_in(r->f, 2) ? room_user(r) : ev->sender;
	else if (str_eq(type, S("m.room.third_party_invite")))
		ev->state_key = S("token");
	else if (str_eq(type, S("m.room.aliases")))
		ev->state_key = feed_once_in(r->f, 2) ? S("y") : S("x");
	else if (str_eq(type, S("m.room.message")) || str_eq(type, S("m.room.redaction")))
		ev->state_key = STR_NONE;
	if (feed_once_in(r->f, 16))
		ev->state_key = feed_once_in(r->f, 2) ? STR_NONE : feed_once_in(r->f, 2) ? room_user(r) : S("else");
	if (str_eq(type, S("m.room.redaction")))
		ev->redacts = feed_once_in(r->f, 2) ? S("$1:y") : S("$1");
	ev->content = room_content(r, type, ev->state_key);
	ev->prev_events = prev_events;
	if (prev)
		prev_events[ev->n_prev_events++] = prev->event_id;
	if (feed_once_in(r->f, 30))
		prev_events[ev->n_prev_events++] = S("$else:x");
	if (feed_once_in(r->f, 60))
		ev->room_id = r->rv->room_id_is_create_hash ? S("!9") : S("!9:y");
	ev->rejected = feed_once_in(r->f, 60);
	room_json_of(r, ev);
	return ev;
}
