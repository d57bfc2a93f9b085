/*
 * at_time.h - the event of a room that was sent nearest to a time: /timestamp_to_event, for clients and for servers.
 *
 * Times are what senders say, order is ours: it is where the room as a whole came to that time that is looked for, and
 * the nearest event around there. One that claims to be of another year is not found, however well it would fit.
 */
#pragma once

#include "room/room.h"

/* Of those with a place in the timeline: the soonest at or after ts (ms), or the latest at or before it. 0 in *out:
 * none. */
NODISCARD err *room_at_time(struct tx *tx, int64_t room, int64_t ts, bool forwards, int64_t *out);
