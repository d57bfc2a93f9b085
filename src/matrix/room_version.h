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

enum state_res { STATE_RES_V2 = 2, STATE_RES_V2_1 };

struct room_version {
	str id;
	/* v12, "State resolution": v2.1 starts from an empty state and includes the conflicted state subgraph. */
	enum state_res state_res;
	/* v11, "Redactions": the keys of the event that stay, sorted, and of its content by type. */
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
