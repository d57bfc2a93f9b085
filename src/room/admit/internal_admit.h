/* internal_admit.h - what the files of admit/ share. */
#pragma once

#include "room/admit/admit.h"
#include "room/internal_job.h"
#include "room/waiting.h"

enum {
	ADMIT_KEYS_MS = 15000, /* for keys that are lacking */
	ADMIT_KEYS_PLACES = 6, /* who may wait for them */
};

struct admit {
	struct admit_options opt;
	struct waiting waiting; /* for keys, by the server that asks; and for others by the user who was bound */
};
/* ERR_NOT_FOUND unless a user of this server is joined. Under the room's lock. */
NODISCARD err *admit_inside(struct room *room);
/* ERR_INCOMPATIBLE_ROOM_VERSION, with the room's version. */
NODISCARD err *admit_incompatible(struct arena *a, str version);
/* A user who is neither in nor invited may join by what the room demands: ERR_UNABLE_TO_AUTHORISE_JOIN, ERR_FORBIDDEN.
 * Under the room's lock. */
NODISCARD err *admit_condition(struct room *room, str user_id, enum join_condition *out);
/* An event as it came becomes one that can be looked at: ERR_INVALID_PARAM unless it has the form, the whole content,
 * and the ids that the path says. `room_id` must be of a room of this version. */
NODISCARD err *admit_parse(struct arena *a, const struct room_version *rv, const struct json *json, str room_id,
			   str event_id, struct event **out);
/* An m.room.member by a user of origin, with this membership. */
NODISCARD err *admit_is_member(struct arena *a, const struct event *ev, str origin, enum membership to);
/* events_check, for the server that asks: where keys are lacking few may wait for them. ERR_BUSY. */
NODISCARD err *admit_check(struct admit *ad, struct arena *a, const struct room_version *rv, str origin, str room_id,
			   struct checked_event *evs, size_t n);
/* All whose signature it needs have signed it well: ERR_INVALID_PARAM. */
NODISCARD err *admit_signed(struct admit *ad, struct arena *a, const struct room_version *rv, str origin,
			    const struct event *ev);
/* The same event with our signature added; its id stays. */
NODISCARD err *admit_cosign(struct admit *ad, struct arena *a, const struct room_version *rv, const struct event *ev,
			    struct event **out);
