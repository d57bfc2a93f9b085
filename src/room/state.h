/*
 * state.h - reading a room's state: for the handlers that give it out, and for /sync, which gives out what changed of
 * it.
 *
 * Which state a reader may see is the view's word (view.h). Client-Server API, "Getting events for a room".
 */
#pragma once

#include "matrix/state_tree.h"
#include "room/client_event.h"
#include "room/view.h"

/* Rows of events in the view's snapshot; in no particular order. */
struct state_events {
	const struct event_row **p;
	size_t n;
};
/* The events of a state of the view's room: all, of one type, of all types but one. */
NODISCARD err *room_state_events(struct room_view *v, struct state_root root, struct state_pick pick,
				 struct state_events *out);
/* The events that `to` has and `from` has not (a key that only `from` has is not told of). Costs what differs. */
NODISCARD err *room_state_changes(struct room_view *v, struct state_root from, struct state_root to,
				  struct state_pick pick, struct state_events *out);
/* The room's current state as of a stream position: what /sync compares. STATE_EMPTY before the room was there. */
NODISCARD err *room_state_at_stream(struct room_view *v, int64_t stream, struct state_root *out);

/* GET /rooms/{roomId}/state: writes one array. */
NODISCARD err *room_state_write(struct rooms *rs, struct arena *a, str room_id, const struct client_view *reader,
				struct jw *w);
/* GET /rooms/{roomId}/state/{eventType}/{stateKey}: writes one object, the content or the whole event. M_NOT_FOUND. */
NODISCARD err *room_state_write_one(struct rooms *rs, struct arena *a, str room_id, str type, str state_key,
				    bool whole_event, const struct client_view *reader, struct jw *w);

/* GET /rooms/{roomId}/members */
struct members_cmd {
	str room_id;
	str at;                         /* a token; STR_NONE: as it is, or was when the reader left */
	str membership, not_membership; /* STR_NONE: not given */
	const struct client_view *reader;
};
/* Writes chunk. M_INVALID_PARAM: no such membership, no such token. */
NODISCARD err *room_members_write(struct rooms *rs, struct arena *a, const struct members_cmd *cmd, struct jw *w);
/* GET /rooms/{roomId}/joined_members: writes joined. */
NODISCARD err *room_joined_members_write(struct rooms *rs, struct arena *a, str room_id,
					 const struct client_view *reader, struct jw *w);
