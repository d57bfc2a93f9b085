/*
 * legacy.h - what clients used before /sync, and a few still do: /initialSync, /rooms/{roomId}/initialSync, /events,
 * /events/{eventId}. Client-Server API, "Syncing" (deprecated calls) and "Room previews".
 *
 * Tokens are those of /sync.
 */
#pragma once

#include "room/client_event.h"
#include "sync/sync.h"

struct legacy_request {
	int64_t user;
	str user_id, device_id;
	int64_t limit; /* of messages a room, or of events; negative: not given */
	bool archived; /* /initialSync: rooms that were left, too */
	str from;      /* /events; STR_NONE: from now on */
	str room_id;   /* /events: of this room, which may be one that anybody may read; STR_NONE: the user's rooms */
	int64_t now;   /* ms since 1970 */
};

/* Write the members of the answer's object. ERR_INVALID_PARAM, ERR_FORBIDDEN. */
NODISCARD err *legacy_initial_sync(struct syncs *ss, struct arena *a, const struct legacy_request *rq, struct jw *w);
NODISCARD err *legacy_room_initial_sync(struct syncs *ss, struct arena *a, const struct legacy_request *rq,
					struct jw *w);

struct legacy_events;
/* What came since the token; *out_seq is what to wait with when there is nothing (legacy_events_any). */
NODISCARD err *legacy_events(struct syncs *ss, struct arena *a, const struct legacy_request *rq,
			     struct legacy_events **out, uint64_t *out_seq);
bool legacy_events_any(const struct legacy_events *ev);
void legacy_events_write(const struct legacy_events *ev, struct jw *w);
/* The room of an event that is stored; ERR_NOT_FOUND. */
NODISCARD err *legacy_event_room(struct syncs *ss, struct arena *a, str event_id, str *out_room_id);
