/*
 * Room versions as data.
 *
 * A version is its predecessor and what it changed: RULES_12 is RULES_11 followed by the changes, and in a C
 * initialiser the later word about a member wins. So each difference stands once, under the version that brought it,
 * and a row can be compared with the "Changed in" marks of its page of the specification. The table holds the versions
 * that are implemented, and no other.
 *
 * https://spec.matrix.org/latest/rooms/v1/ to https://spec.matrix.org/latest/rooms/v12/
 */
#include "matrix/room_version.h"

#pragma GCC diagnostic ignored "-Woverride-init" /* the point of the table */

#define KEYS(...) ((const str[]){ __VA_ARGS__, { NULL, 0 } })

/* v1, "Redactions": "the server must strip off any keys not in the following list". */
static const str redact_top_v1[] = {
	STR("auth_events"), STR("content"),    STR("depth"),   STR("event_id"),
	STR("hashes"),      STR("membership"), STR("origin"),  STR("origin_server_ts"),
	STR("prev_events"), STR("prev_state"), STR("room_id"), STR("sender"),
	STR("signatures"),  STR("state_key"),  STR("type"),    { NULL, 0 },
};
/* What versions 1 to 10 keep of the types that none of them changes. */
#define KEEP_COMMON                                                                                                    \
	{ STR("m.room.create"), .keys = KEYS(STR("creator")) },                                                        \
		{ STR("m.room.power_levels"),                                                                          \
		  .keys = KEYS(STR("ban"), STR("events"), STR("events_default"), STR("kick"), STR("redact"),           \
			       STR("state_default"), STR("users"), STR("users_default")) },                            \
	{                                                                                                              \
		STR("m.room.history_visibility"), .keys = KEYS(STR("history_visibility"))                              \
	}
static const struct redact_keep redact_content_v1[] = {
	KEEP_COMMON,
	{ STR("m.room.member"), .keys = KEYS(STR("membership")) },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule")) },
	{ STR("m.room.aliases"), .keys = KEYS(STR("aliases")) },
	{ .type = { NULL, 0 } },
};
/* v6: "All significant meaning for m.room.aliases has been removed from the redaction algorithm." */
static const struct redact_keep redact_content_v6[] = {
	KEEP_COMMON,
	{ STR("m.room.member"), .keys = KEYS(STR("membership")) },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule")) },
	{ .type = { NULL, 0 } },
};
/* v8: "m.room.join_rules events now keep allow in addition to other keys in content when being redacted." */
static const struct redact_keep redact_content_v8[] = {
	KEEP_COMMON,
	{ STR("m.room.member"), .keys = KEYS(STR("membership")) },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule"), STR("allow")) },
	{ .type = { NULL, 0 } },
};
/* v9: "m.room.member events now keep join_authorised_via_users_server". */
static const struct redact_keep redact_content_v9[] = {
	KEEP_COMMON,
	{ STR("m.room.member"), .keys = KEYS(STR("membership"), STR("join_authorised_via_users_server")) },
	{ STR("m.room.join_rules"), .keys = KEYS(STR("join_rule"), STR("allow")) },
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

#define RULES_1                                                                                                        \
	.event_format = EVENT_FORMAT_NAMED, .state_res = STATE_RES_V1, .level_format = LEVEL_OR_STRING_OR_FLOAT,       \
	.aliases_rule = true, .redaction_rule = true, .redact_top = redact_top_v1,                                     \
	.redact_content = redact_content_v1, .creator_in_content = true

#define RULES_2 RULES_1, .state_res = STATE_RES_V2

#define RULES_3 RULES_2, .event_format = EVENT_FORMAT_HASH, .redaction_rule = false

#define RULES_4 RULES_3, .event_format = EVENT_FORMAT_HASH_URL

#define RULES_5 RULES_4, .key_validity = true

#define RULES_6                                                                                                        \
	RULES_5, .strict_json = true, .level_format = LEVEL_OR_STRING, .aliases_rule = false,                          \
		 .notifications_rule = true, .redact_content = redact_content_v6

#define RULES_7 RULES_6, .knock = true

#define RULES_8 RULES_7, .restricted = true, .redact_content = redact_content_v8

#define RULES_9 RULES_8, .redact_content = redact_content_v9

#define RULES_10 RULES_9, .knock_restricted = true, .level_format = LEVEL_INTEGER

#define RULES_11                                                                                                       \
	RULES_10, .redact_top = redact_top_v11, .redact_content = redact_content_v11, .redacts_in_content = true,      \
		  .creator_in_content = false

#define RULES_12                                                                                                       \
	RULES_11, .state_res = STATE_RES_V2_1, .room_id_is_create_hash = true, .create_not_in_auth_events = true,      \
		  .creators_above_all = true

static const struct room_version versions[] = {
	{ .id = STR("1"), .number = 1, RULES_1 },    { .id = STR("2"), .number = 2, RULES_2 },
	{ .id = STR("3"), .number = 3, RULES_3 },    { .id = STR("4"), .number = 4, RULES_4 },
	{ .id = STR("5"), .number = 5, RULES_5 },    { .id = STR("6"), .number = 6, RULES_6 },
	{ .id = STR("7"), .number = 7, RULES_7 },    { .id = STR("8"), .number = 8, RULES_8 },
	{ .id = STR("9"), .number = 9, RULES_9 },    { .id = STR("10"), .number = 10, RULES_10 },
	{ .id = STR("11"), .number = 11, RULES_11 }, { .id = STR("12"), .number = 12, RULES_12 },
};

const struct room_version *room_version_at(size_t i) { return i < ARRAY_LEN(versions) ? &versions[i] : NULL; }

const struct room_version *room_version_find(str id)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (str_eq(versions[i].id, id))
			return &versions[i];
	return NULL;
}
