/*
 * purge.h - forgetting a room's history, or all of it.
 *
 * Both are ordered here and done in the background, a bounded piece at a time, while the room goes on; what a restart
 * interrupts is taken up again. docs/internals/purge.md says how.
 */
#pragma once

#include "room/room.h"

struct purge_cmd {
	str room_id;
	/* Everything before it in the timeline goes; it stays. STR_NONE: before the oldest event that is not older than
	 * before_ts. */
	str before_event;
	int64_t before_ts; /* ms */
	/* What users of this server sent goes, too. Otherwise it leaves the timeline, but is kept: it may be the only
	 * copy. */
	bool with_local;
};
/* M_NOT_FOUND: no such room, or event in it; M_INVALID_PARAM: the event has no place in the timeline; M_UNKNOWN: a
 * purge of the room is under way. */
NODISCARD err *rooms_purge_history(struct rooms *rs, struct arena *a, const struct purge_cmd *cmd, int64_t *out_purge);
/* The room is gone when this returns, its rows follow. M_UNKNOWN: users of this server are in it (unless `force`: they
 * are then in no such room any more, and are not told), or a purge of it is under way. M_NOT_FOUND. */
NODISCARD err *rooms_purge(struct rooms *rs, struct arena *a, str room_id, bool force, int64_t *out_purge);

struct purge_outcome {
	enum { PURGE_IS_ACTIVE, PURGE_IS_COMPLETE, PURGE_HAS_FAILED } state;
	str error; /* PURGE_HAS_FAILED */
};
/* Kept for a day after the end. M_NOT_FOUND. */
NODISCARD err *rooms_purge_status(struct rooms *rs, struct arena *a, int64_t purge, struct purge_outcome *out);

/* Carries out what is ordered, on the caller's thread, until nothing is left or stop(ctx) says so (asked between
 * pieces; NULL: never). An error is the store's: what is left stays ordered. One thread at a time. */
NODISCARD err *rooms_purge_run(struct rooms *rs, struct arena *a, bool (*stop)(void *ctx), void *ctx);

/* The thread that does so: at its start, and whenever something is ordered. */
void rooms_purging_start(struct rooms *rs);
void rooms_purging_stop(struct rooms *rs);
