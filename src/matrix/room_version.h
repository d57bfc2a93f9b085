/*
 * room_version.h - what the room versions differ in, as data.
 *
 * One row a version: its predecessor and the differences (room_version.c). Code asks for a property ("are creators
 * above all power levels?"), never for a number. https://spec.matrix.org/latest/rooms/
 */
#pragma once

#include "base/str.h"

/* Which keys of an event's content survive its redaction; a table ends with a row without type. */
struct redact_keep {
	str type;
	bool all;              /* the whole content */
	const str *keys;       /* ends with STR_NONE */
	str nested_key, inner; /* of the object nested_key, only its key inner */
};

/* How an event is named and how it names others. */
enum event_format {
	/* v1, "Event IDs": the event carries event_id, "$opaque_id:domain", chosen by its server; prev_events and
	 * auth_events are pairs of an id and its hashes. */
	EVENT_FORMAT_NAMED = 1,
	/* v3, "Event IDs": "$" and the reference hash in unpadded Base64; prev_events and auth_events are ids. */
	EVENT_FORMAT_HASH,
	/* v4, "Event IDs": the same in URL-safe Base64. */
	EVENT_FORMAT_HASH_URL,
};

/* v2 and v12, "State resolution": v2.1 starts from an empty state and includes the conflicted state subgraph. */
enum state_res { STATE_RES_V1 = 1, STATE_RES_V2, STATE_RES_V2_1 };

/* What levels may be written as, beside integers. v10, "Values in m.room.power_levels events must be integers"; v6,
 * "Event format": "numeric values may no longer be formatted as floats". */
enum level_format { LEVEL_INTEGER, LEVEL_OR_STRING, LEVEL_OR_STRING_OR_FLOAT };

struct room_version {
	str id;
	unsigned number; /* for citing the page of the specification only */
	enum event_format event_format;
	enum state_res state_res;
	enum level_format level_format;
	/* v6, "Canonical JSON": "Servers MUST strictly enforce the JSON format"; before, they MUST NOT. */
	bool strict_json;
	/* v5, "Signing key validity period": valid_until_ts must reach origin_server_ts. */
	bool key_validity;
	/* v1 to v5, "Authorisation rules", rule 4: m.room.aliases is its server's own. */
	bool aliases_rule;
	/* v1 and v2, "Authorisation rules", rule 11: whether a redaction may be sent is an authorisation rule; from v3
	 * on it is asked when it is applied ("Handling redactions"). */
	bool redaction_rule;
	/* v6, "Authorisation rules": the rules of m.room.power_levels cover notifications. */
	bool notifications_rule;
	/* v7, "Authorisation rules": membership and join rule knock. */
	bool knock;
	/* v8, "Authorisation rules": join rule restricted; "Events must be signed by" the authorising server, too. */
	bool restricted;
	/* v10, "Authorisation rules": join rule knock_restricted. */
	bool knock_restricted;
	/* "Redactions": the keys of the event that stay, sorted, and of its content by type. */
	const str *redact_top;
	const struct redact_keep *redact_content;
	/* v11, "Event format": m.room.redaction names its target in content.redacts, before at the top level. */
	bool redacts_in_content;
	/* v11, "Remove the creator property of m.room.create events": before, content.creator must be there. */
	bool creator_in_content;
	/* v12, "Event format": the room's id is the create event's with '!' for '$', and the create event has no
	 * room_id. */
	bool room_id_is_create_hash;
	/* v12, "Authorisation rules": m.room.create MUST NOT be selected for auth_events. */
	bool create_not_in_auth_events;
	/* v12: creators (sender and content.additional_creators of m.room.create) are above every power level. */
	bool creators_above_all;
};

/* NULL for a version that this server does not implement. */
const struct room_version *room_version_find(str id);
/* All versions, in order: for capabilities. */
const struct room_version *room_version_at(size_t i); /* NULL past the last */
#define ROOM_VERSION_DEFAULT S("12")
