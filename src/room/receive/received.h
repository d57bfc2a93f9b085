/*
 * received.h - many events of one room that were made elsewhere, put into it in one hold and one commit.
 *
 * What /send staged, what a gap's answer brought, what a backfill or a join goes on with. "Checks performed on receipt
 * of a PDU", 4 to 6; what comes before (format, signatures, hashes: event_check.h) was done by who received them.
 */
#pragma once

#include "matrix/state_tree.h"
#include "room/room.h"

/* The state after an event that has no place in the room: fetched, its events stored. */
struct prev_state {
	str event_id;                      /* one of the prev_events; stored as an outlier, where it is a state event */
	int64_t base;                      /* a known state's number, and what is different there: */
	const struct state_entry *changes; /* event 0: absent */
	size_t n_changes;
};

struct received_event {
	/* set by the caller */
	const struct event *event; /* checked; of this room; lives until the call has returned */
	int64_t staged; /* its row in what /send staged (store/inbound.h), which goes in the same commit; 0 */
	/* The states after those of its prev_events that have no place: resolved with those after the others, as
	 * always. A gap is noted below it. */
	const struct prev_state *prev_states;
	size_t n_prev_states;

	/* the outcome */
	enum append_outcome outcome;
	/* NULL: `outcome` holds, and it is on disk. ERR_NOT_FOUND: prev_events or auth_events are not known: `missing`.
	 * Else why it was not stored: ERR_FORBIDDEN; ERR_STORE, ERR_BUSY: it may be another time. */
	err *error;
	const str *missing; /* ids */
	size_t n_missing;
	bool unstaged; /* its row went with it */
};
/*
 * In any order: one that stands on another of the list comes after it. Each has its own outcome: one that cannot be
 * stored costs the others a commit of their own at most. An error: none of them was looked at (ERR_NOT_FOUND: no such
 * room). Blocks until what was stored is on disk; never under a lock. At most RECEIVED_MAX.
 */
enum { RECEIVED_MAX = 500 };
NODISCARD err *rooms_append_events(struct rooms *rs, struct arena *a, str room_id, struct received_event *list,
				   size_t n);

/*
 * Forward extremities (merge.c). What is received may leave a room with many, each of which every event costs. And a
 * server that joined beside an event knows nothing of that, until another stands upon both: a newcomer. `fn` is told,
 * under the room's lock, of a room with more than rooms_options.most_extremities, or with several and a newcomer:
 * quick. At start only.
 */
void rooms_on_crowded(struct rooms *rs, void (*fn)(void *ctx, str room_id, bool newcomer), void *ctx);
/* An event that names them if they are as many, by a user of this server who may send one; clients are not shown it.
 * *out_sent: it was. */
NODISCARD err *room_merge(struct rooms *rs, struct arena *a, str room_id, bool newcomer, bool *out_sent);
