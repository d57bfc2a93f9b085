/*
 * Room versions as data.
 *
 * A version is its predecessor and what it changed: RULES_12 is RULES_11 followed by the changes, and in a C
 * initialiser the later word about a member wins. So each difference stands once, under the version that brought it,
 * and a row can be compared with the "Changed in" marks of its page of the specification. The table holds the versions
 * that are implemented, and no other.
 *
 * https://spec.matrix.org/latest/rooms/v10/ https://spec.matrix.org/latest/rooms/v11/
 * https://spec.matrix.org/latest/rooms/v12/
 */
#include "matrix/room_version.h"

#pragma GCC diagnostic ignored "-Woverride-init" /* the point of the table */

#define KEYS(...) ((const str[]){ __VA_ARGS__, { NULL, 0 } })

/* v9, "Redactions": "the server must strip off any keys not in the following list". */
static const str redact_top_v9[] = {
	STR("auth_events"), STR("content"),    STR("depth"),   STR("event_id"),
	STR("hashes"),      STR("membership"), STR("origin"),  STR("origin_server_ts"),
	STR("prev_events"), STR("prev_state"), STR("room_id"), STR("sender"),
	STR("signatures"),  STR("state_key"),  STR("type"),    { NULL, 0 },
};
static const struct redact_keep redact_content_v9[] = {
	{ STR("m.room.member"), .keys = KEYS(STR("membership"), STR("join_authorised_via_users_server")) },
	{ STR("m.room.create"), .keys = KEYS(STR("creator")) },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule"), STR("allow")) },
	{ STR("m.room.power_levels"),
	  .keys = KEYS(STR("ban"), STR("events"), STR("events_default"), STR("kick"), STR("redact"),
		       STR("state_default"), STR("users"), STR("users_default")) },
	{ STR("m.room.history_visibility"), .keys = KEYS(STR("history_visibility")) },
	{ .type = { NULL, 0 } },
};

/* v11, "Redactions": "The top-level origin, membership, and prev_state properties are no longer protected from
 * redaction." */
static const str redact_top_v11[] = {
	STR("auth_events"),      STR("content"),     STR("depth"),   STR("event_id"), STR("hashes"),
	STR("origin_server_ts"), STR("prev_events"), STR("room_id"), STR("sender"),   STR("signatures"),
	STR("state_key"),        STR("type"),        { NULL, 0 },
};
/* "The m.room.create event now keeps the entire content property. The m.room.redaction event keeps the redacts property
 * under content. The m.room.power_levels event keeps the invite property under content." And of m.room.member:
 * "Additionally, it allows the signed key of the third_party_invite key." */
static const struct redact_keep redact_content_v11[] = {
	{ STR("m.room.member"), .keys = KEYS(STR("membership"), STR("join_authorised_via_users_server")),
	  .nested_key = STR("third_party_invite"), .inner = STR("signed") },
	{ STR("m.room.create"), .all = true },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule"), STR("allow")) },
	{ STR("m.room.power_levels"),
	  .keys = KEYS(STR("ban"), STR("events"), STR("events_default"), STR("invite"), STR("kick"), STR("redact"),
		       STR("state_default"), STR("users"), STR("users_default")) },
	{ STR("m.room.history_visibility"), .keys = KEYS(STR("history_visibility")) },
	{ STR("m.room.redaction"), .keys = KEYS(STR("redacts")) },
	{ .type = { NULL, 0 } },
};

/* Versions 4 to 9 brought: event ids as URL-safe reference hashes, key validity, strict canonical JSON, knocking,
 * restricted joins; version 10 itself: integers only in power levels, and knock_restricted. All of it is what the code
 * does without asking. */
#define RULES_10                                                                                                       \
	.state_res = STATE_RES_V2, .redact_top = redact_top_v9, .redact_content = redact_content_v9,                   \
	.creator_in_content = true

#define RULES_11                                                                                                       \
	RULES_10, .redact_top = redact_top_v11, .redact_content = redact_content_v11, .redacts_in_content = true,      \
		  .creator_in_content = false

#define RULES_12                                                                                                       \
	RULES_11, .state_res = STATE_RES_V2_1, .room_id_is_create_hash = true, .create_not_in_auth_events = true,      \
		  .creators_above_all = true

static const struct room_version versions[] = {
	{ .id = STR("10"), RULES_10 },
	{ .id = STR("11"), RULES_11 },
	{ .id = STR("12"), RULES_12 },
};

const struct room_version *room_version_at(size_t i) { return i < ARRAY_LEN(versions) ? &versions[i] : NULL; }

const struct room_version *room_version_find(str id)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (str_eq(versions[i].id, id))
			return &versions[i];
	return NULL;
}
