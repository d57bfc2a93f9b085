/*
 * reading.h - what the doors of "Backfilling and retrieving missing events" and "Retrieving events" (Server-Server API)
 * give away of a room.
 *
 * All of these check the room's ACL, and whether the origin is in the room (SERVED_IN_ROOM: ERR_FORBIDDEN,
 * ERR_NOT_FOUND for a room that is not known). Events that are not in the room, or were rejected, are as good as
 * unknown. Texts and lists live in arena a.
 */
#pragma once

#include "room/served/served.h"

enum {
	SERVED_BACKFILL_MAX = 100, /* events an answer, as Synapse has it */
	SERVED_MISSING_MAX = 20,
	SERVED_FROM_MAX = 100, /* events named in a request; what comes after them is not looked at */
};
struct served_texts { /* events as the origin gets them */
	const str *p;
	size_t n;
};

/* GET /event/{eventId}: wherever it is, outliers and what was soft-failed, too. ERR_NOT_FOUND: there is none, or it is
 * in a room that the origin may not read; which of them is not told. */
NODISCARD err *served_event(struct rooms *rs, struct arena *a, str event_id, str origin, str *out);

/* GET /backfill/{roomId}: the events given and those before them, the newest first, at most `limit`. */
NODISCARD err *served_backfill(struct rooms *rs, struct arena *a, str room_id, str origin, const str *from, size_t n,
			       size_t limit, struct served_texts *out);

/* POST /get_missing_events/{roomId}: what comes before `latest`, breadth first, without `earliest` and what is before
 * them on the way; the oldest first. */
struct missing_cmd {
	str room_id, origin;
	const str *latest, *earliest;
	size_t n_latest, n_earliest, limit;
};
NODISCARD err *served_missing(struct rooms *rs, struct arena *a, const struct missing_cmd *cmd,
			      struct served_texts *out);

/* GET /timestamp_to_event: the event that was sent soonest at or after ts (ms), or latest at or before it.
 * ERR_NOT_FOUND: there is none here. */
NODISCARD err *served_at_time(struct rooms *rs, struct arena *a, str room_id, str origin, int64_t ts, bool forwards,
			      str *out_event_id, int64_t *out_ts);

/*
 * States and auth chains: numbers first, which are few bytes each, then what they stand for in pieces: nobody holds
 * 50,000 events, nor a snapshot while a peer is slow.
 */
struct served_state {
	const int64_t *state, *chain; /* the store's event numbers */
	size_t n_state, n_chain;
};
/* GET /state, /state_ids: "prior to considering any state changes induced by the requested event", and the auth chain
 * of it. ERR_NOT_FOUND: no such event, or its state is not known here. */
NODISCARD err *served_state_before(struct rooms *rs, struct arena *a, str room_id, str origin, str event_id,
				   struct served_state *out);
/* GET /event_auth: the whole auth chain of an event (in `chain`). */
NODISCARD err *served_auth_chain(struct rooms *rs, struct arena *a, str room_id, str origin, str event_id,
				 struct served_state *out);
/* Everything reachable from stored events by auth_events, without those of them that no other reaches. */
struct auth_list;
NODISCARD err *served_chain(struct tx *tx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out);
/* The events of a piece of such a list, whole; only what is not there any more is left out. No check of the origin: it
 * was let in when the list was made. */
NODISCARD err *served_read(struct rooms *rs, struct arena *a, str room_id, const int64_t *nids, size_t n,
			   struct served_texts *out);
/* Their ids. */
NODISCARD err *served_read_ids(struct rooms *rs, struct arena *a, const int64_t *nids, size_t n,
			       struct served_texts *out);
