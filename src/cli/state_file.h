/*
 * state_file.h - events and states out of files, for `hearth state resolve`.
 *
 * A file is a JSON object of one of two forms, and several files make one room:
 *
 *	{ "room_version": "11", "events": [ EVENT, ... ], "states": [ [ EVENT_ID, ... ], ... ] }
 *	{ "pdus": [ EVENT, ... ], "auth_chain": [ EVENT, ... ] }
 *
 * The second is the answer to GET /_matrix/federation/v1/state/{roomId}, and one state. Without room_version, what the
 * create event says holds.
 *
 * Events are those of event_file.h; a sketch needs state_key and auth_events, too.
 */
#pragma once

#include "base/map.h"
#include "matrix/event.h"

struct state_ids {
	int64_t *nids;
	size_t n;
};
struct state_file {
	const struct room_version *rv;
	VEC(struct event *) events; /* an event's nid is its place + 1; all auth_events are there */
	struct map by_id;
	VEC(struct state_ids) states; /* no two events under one key */
};

/* Texts are the files' contents, which must live as long as the arena. room_version: STR_NONE, or instead of what the
 * files say. ERR_NOT_JSON, ERR_BAD_JSON (an event that is none, an id that no event has, ...),
 * ERR_UNSUPPORTED_ROOM_VERSION. */
NODISCARD err *state_file_read(struct arena *a, str room_version, const str *texts, size_t n, struct state_file *out);
