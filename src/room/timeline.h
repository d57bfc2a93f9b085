/*
 * timeline.h - a room's history page by page: /messages, /context, /event. Client-Server API, "Getting events for a
 * room".
 *
 * Order is the room's timeline (docs/internals/room-store.md). A pagination token names an event and a side of it,
 * never a position: events are moved where others need space. Everywhere a token is taken, one of /sync is
 * taken, too.
 */
#pragma once

#include "matrix/filter.h"
#include "room/client_event.h"
#include "room/view.h"

/*
 * Tokens: "p" event number, and "b" (just before it) or "a" (just after it). sync/ hands its stream tokens over by a
 * callback, for their form is its own.
 */
str timeline_token(struct arena *a, int64_t event, bool after);
/* sync/: the stream position in a /sync token; false when it is none. At start only. */
void timeline_on_sync_token(bool (*stream_of)(str token, int64_t *out_position));

/* The room's state at the place that a token names (either kind); never one from after the reader left.
 * M_INVALID_PARAM. */
NODISCARD err *timeline_root_of_token(struct room_view *v, str token, struct state_root *out);

/*
 * What becomes of gaps in the room's history (store/gaps.h) that a page meets. Other servers are asked for what is
 * missing, by who may wait for them; where nobody has it, or the time is over, the page is what is here, and its `end`
 * goes on from there.
 */
struct backfill;
struct timeline_gaps {
	struct backfill *backfill;
	bool may_ask;        /* else the page ends at a gap with wants_to_ask, where it may be filled */
	int64_t deadline_us; /* clock_mono_us */
	/* Where the answer goes, asked for when there is one: `w` of the functions below is NULL. */
	struct jw *(*answer)(void *ctx);
	void *ctx;

	bool wants_to_ask; /* nothing was written */
};

struct messages_cmd {
	str room_id, from, to; /* from, to: STR_NONE where not given */
	bool backwards;
	int64_t limit;
	const struct event_filter *filter;
	const struct client_view *view; /* the reader */
	struct timeline_gaps *gaps;     /* NULL: passed over */
};
/* Writes chunk, start, end, state. M_INVALID_PARAM (a bad token), M_FORBIDDEN. */
NODISCARD err *room_messages(struct rooms *rs, struct arena *a, const struct messages_cmd *cmd, struct jw *w);

struct context_cmd {
	str room_id, event_id;
	int64_t limit;
	const struct event_filter *filter;
	const struct client_view *view;
	struct timeline_gaps *gaps; /* NULL: passed over */
};
/* Writes event, events_before, events_after, start, end, state. M_NOT_FOUND, M_FORBIDDEN. */
NODISCARD err *room_context(struct rooms *rs, struct arena *a, const struct context_cmd *cmd, struct jw *w);

/* Writes the event as the whole answer. M_NOT_FOUND for what the reader may not see, and for rooms that they may not
 * look into. */
NODISCARD err *room_event_get(struct rooms *rs, struct arena *a, str room_id, str event_id,
			      const struct client_view *view, struct jw *w);
