/*
 * gaps.h - where a room's history lacks something: below an event of which not all prev_events have a place in it.
 *
 * A gap is known by the first event after it. That event's row carries EVENT_GAP, so that whoever reads the timeline
 * meets the gap without asking for it; the table is for who looks for gaps themselves. An event whose prev_events are
 * not here is stored with the flag, and with a row here in the same transaction; join events of rooms that were
 * imported, too.
 */
#pragma once

#include "store/events.h"

struct gap_row {
	int64_t room, event;
	int64_t stream; /* of the event; 0: none (it was fetched as history) */
};
/* In the piece that stores the event, which has the flag: its `late` where the event has a position. */
NODISCARD err *store_gap_insert(struct tx *tx, const struct gap_row *g);
/* With it: those of the event's prev_events that have no place in the room, by id. */
NODISCARD err *store_gap_lacks(struct tx *tx, int64_t room, int64_t event, const str *prevs, size_t n);
/* Which events above gaps name one of these ids? Of each id those that came first, for others may name it as often as
 * they like; in no particular order. */
enum { GAP_EDGES_MOST = 20 };
struct gap_edge {
	str prev;
	const struct event_row *event;
};
NODISCARD err *store_gap_edges(struct tx *tx, int64_t room, const str *ids, size_t n, struct gap_edge **out,
			       size_t *out_n);
/* What was missing is here: the rows and the event's flag go. */
NODISCARD err *store_gap_close(struct tx *tx, int64_t room, int64_t event);
/* The event's row gets the flag and a row here, where it has none yet: its prev_events went (a purge), or an event was
 * found that stands alone. */
NODISCARD err *store_gap_open(struct tx *tx, int64_t room, int64_t event);
/* A room's gaps, the newest first by its timeline. */
NODISCARD err *store_gaps(struct tx *tx, int64_t room, size_t limit, struct gap_row **out, size_t *out_n);
/* The newest gap below a place in the timeline, and the oldest one above it; event 0: none. */
NODISCARD err *store_gap_below(struct tx *tx, int64_t room, int64_t timeline, int64_t *out_event);
NODISCARD err *store_gap_above(struct tx *tx, int64_t room, int64_t timeline, int64_t *out_event);
