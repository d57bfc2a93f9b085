/*
 * nearest.h - the event nearest to a time, for a client: "GET /rooms/{roomId}/timestamp_to_event".
 *
 * Other servers are asked only where the time falls into a gap of the room's history.
 */
#pragma once

#include "room/timeline.h"

struct nearest_cmd {
	str room_id;
	int64_t ts;    /* ms */
	bool forwards; /* the soonest at or after ts; else the latest at or before it */
	const struct client_view *view;
	struct timeline_gaps *gaps; /* as in timeline.h, but for `answer`; NULL: nobody is asked */
};
/* Of those that the reader may see. ERR_NOT_FOUND, ERR_FORBIDDEN. With gaps->wants_to_ask there is no answer yet. */
NODISCARD err *room_nearest(struct rooms *rs, struct arena *a, const struct nearest_cmd *cmd, str *out_event_id,
			    int64_t *out_ts);
