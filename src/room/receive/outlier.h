/*
 * outlier.h - events that are known without a place in the room: auth events and states, as answers to our own
 * requests.
 *
 * "Outliers": known, authorised by their own auth_events, with no state of their own. They become accepted when they
 * are received properly.
 */
#pragma once

#include "matrix/event.h"
#include "room/room.h"

struct outlier {
	struct event *event; /* set by the caller: well signed, of this room (event_check) */
	int64_t nid;         /* its number, also where it was stored before; 0: it could not be placed */
	bool rejected;       /* by its auth_events */
};
/*
 * Stores those that are not stored yet, in pieces of bounded size, parents before children, with their places in the
 * index of auth chains. In any order; each one's auth_events are in the list or stored, else it gets no number. `room`:
 * its number; the room itself need not exist yet (a join under way).
 */
NODISCARD err *outliers_store(struct rooms *rs, struct arena *a, int64_t room, const struct room_version *rv,
			      struct outlier *list, size_t n);
