/*
 * history.h - events that were missing become part of a room's history, below the event that stood above the gap.
 */
#pragma once

#include "room/receive/received.h"

struct history_page {
	str room_id;
	int64_t above;               /* the event above the gap */
	struct received_event *list; /* in any order; outcomes as of rooms_append_events */
	size_t n;
	/* Events that lack prev_events, the lowest first, `above` last: without those in between that have no place in
	 * the timeline (rejected, soft-failed) it is alone. What is there now gets into their rows. */
	const int64_t *holders;
	size_t n_holders;
	bool island; /* an event that stands alone, with the gap on both sides: in the middle of it */

	bool closed; /* nothing is missing below `above` any more; another event may stand above a gap now */
};
/*
 * Checked by what they stand on, but not against the room as it is now: they are old. Stored between `above` and what
 * is below it in the timeline, without a stream position. One caller at a time for a room. ERR_BUSY: the room's history
 * is being purged. Blocks until all is on disk.
 */
enum { HISTORY_PAGE_MAX = 200 };
NODISCARD err *rooms_append_history(struct rooms *rs, struct arena *a, struct history_page *p);
