/*
 * events.h - events, their edges, and how they are read by either order.
 *
 * An event is stored as canonical JSON without `unsigned`, in its redacted form once it is redacted (the original then
 * stands in redacted_originals until its retention ends). Everything a query selects by is a number: `type`,
 * `state_key`, `sender` are interned texts. `stream` and `timeline` are the two positions of
 * docs/internals/room-store.md; 0 means: has none.
 */
#pragma once

#include "store/store.h"

struct rows;

enum event_flags {
	EVENT_REJECTED = 1,
	EVENT_SOFT_FAILED = 2,
	EVENT_OUTLIER = 4,
	EVENT_REDACTED = 8, /* json is the redacted form, redacted_by names the redaction */
	EVENT_STATE = 16,   /* has a state_key (state_key is then never 0: the empty text has a number, too) */
	EVENT_TO_SEND = 64, /* the other servers of its room get it from us (store/outbox.h) */
	EVENT_PURGED = 32,  /* an outlier that had its place in the timeline: a purge left it for what refers to it */
	EVENT_UNAPPLIED = 256, /* a redaction that was not applied, of a version where that is decided apart */
	EVENT_GAP = 128,  /* below it in the timeline something is missing that other servers have (store/gaps.h) */
	EVENT_LATE = 512, /* came after what stands above it in the timeline */
};

struct event_row {
	int64_t nid, room, type, state_key, sender;
	int64_t stream, timeline;
	int64_t depth, origin_server_ts;
	int64_t root_after;  /* the state after it; equal to the state before it, but for an accepted state event */
	int64_t replaces;    /* state events: the event that held this (type, state_key) in the state before; 0: none */
	int64_t redacted_by; /* the redaction's number; 0: not redacted */
	unsigned flags;
	str event_id, json;
	str txn_device, txn_id; /* sent by a client of ours: unsigned.transaction_id is for this device alone */
	/* prev_events and auth_events as numbers, packed (store_nids_unpack): all of them, 0 for one that has no number
	 */
	str prevs, auths;
};

/* prev_events and auth_events as stored: eight bytes each, big-endian. */
str store_nids_pack(struct arena *a, const int64_t *nids, size_t n);
size_t store_nids_unpack(struct arena *a, str packed, int64_t **out);
/* Is it exactly this one? */
bool store_nids_are_one(str packed, int64_t nid);

/* For queries of other files: SELECT EVENT_COLUMNS FROM events e ..., then store_event_of_row for each row. */
#define EVENT_COLUMNS                                                                                                    \
	"e.nid, e.room, e.type, e.state_key, e.sender, e.stream, e.timeline, e.depth, e.origin_server_ts, e.root_after," \
	" e.replaces, e.redacted_by, e.flags, e.event_id, e.json, e.txn_device, e.txn_id, e.prevs, e.auths"
enum { EVENT_COLUMNS_N = 19 };
struct event_row *store_event_of_row(struct arena *a, const struct rows *rs);

/* NULL when there is none. Rows and their texts live in the transaction's arena. */
NODISCARD err *store_event_by_id(struct tx *tx, str event_id, struct event_row **out);
NODISCARD err *store_event_by_nid(struct tx *tx, int64_t nid, struct event_row **out);
/* Those that exist, in no particular order. */
NODISCARD err *store_events_by_nids(struct tx *tx, const int64_t *nids, size_t n, struct event_row ***out,
				    size_t *out_n);
NODISCARD err *store_events_by_ids(struct tx *tx, const str *ids, size_t n, struct event_row ***out, size_t *out_n);

/* The event ids of those numbers that exist, by rising number. */
struct event_name {
	int64_t nid;
	str event_id;
};
NODISCARD err *store_event_names(struct tx *tx, const int64_t *nids, size_t n, struct event_name **out, size_t *out_n);

/* Of those event ids that are stored, in whichever room: what somebody who would store them has to know. */
struct event_mark {
	str event_id;
	int64_t nid, room;
	unsigned flags;
	int64_t type, state_key;
};
NODISCARD err *store_event_marks(struct tx *tx, const str *ids, size_t n, struct event_mark **out, size_t *out_n);

/* The packed auth_events of each event, in the order asked for; ERR_INTERNAL when one is not stored. */
NODISCARD err *store_events_auths(struct tx *tx, const int64_t *nids, size_t n, str **out);

/*
 * A room's events with above < stream <= upto, at most `limit`: the newest ones (newest_first) or the oldest; given in
 * that order. Only what /sync shows has a stream position.
 */
NODISCARD err *store_events_by_stream(struct tx *tx, int64_t room, int64_t above, int64_t upto, bool newest_first,
				      size_t limit, struct event_row ***out, size_t *out_n);
/* Of these rooms, those with an event, or a change of current state, at above < stream <= upto; in no particular order.
 */
NODISCARD err *store_rooms_with_events(struct tx *tx, const int64_t *rooms, size_t n, int64_t above, int64_t upto,
				       int64_t **out, size_t *out_n);
/* A room's events by timeline position: backwards those below `from`, forwards those above it. */
NODISCARD err *store_events_by_timeline(struct tx *tx, int64_t room, int64_t from, bool backwards, size_t limit,
					struct event_row ***out, size_t *out_n);
/* The same, only what says when they were sent. */
struct event_time {
	int64_t nid, timeline, origin_server_ts;
};
NODISCARD err *store_event_times(struct tx *tx, int64_t room, int64_t from, bool backwards, size_t limit,
				 struct event_time **out, size_t *out_n);
/* All of a room's events that have such a position, by the time at which they say that they were sent, those of one
 * time by their timeline positions: those after (ts, timeline), or backwards those before it. */
NODISCARD err *store_events_by_time(struct tx *tx, int64_t room, int64_t ts, int64_t timeline, bool backwards,
				    size_t limit, struct event_row ***out, size_t *out_n);
/* Of these the first at or after ts, or at or before it; NULL in *out: none. */
NODISCARD err *store_event_at_time(struct tx *tx, int64_t room, int64_t ts, bool backwards, struct event_row **out);
/* The highest timeline position of a room's events with stream <= upto: where a sync token stands in /messages. 0:
 * none. (What came late stands lower than what was there before it.) */
NODISCARD err *store_timeline_at_stream(struct tx *tx, int64_t room, int64_t upto, int64_t *out);

/* Writing. Edges are kept for the way forward (which events name this one); the way back is in `prevs`. */
NODISCARD err *store_event_insert(struct tx *tx, const struct event_row *ev);
/* An outlier that was received properly now: it gets its place. What it says, and the index of auth chains, stay. */
NODISCARD err *store_event_place(struct tx *tx, const struct event_row *ev);
/* prev_events that had no number have one by now. */
NODISCARD err *store_event_set_prevs(struct tx *tx, int64_t nid, str prevs);
NODISCARD err *store_event_edge_insert(struct tx *tx, int64_t prev, int64_t event);
NODISCARD err *store_event_edges_insert(struct tx *tx, const int64_t *prevs, const int64_t *events, size_t n);
/* Events that name `nid` among their prev_events. */
NODISCARD err *store_event_successors(struct tx *tx, int64_t nid, int64_t **out, size_t *out_n);
/* The event becomes its redacted form; the original is kept aside with `now` (ms). */
NODISCARD err *store_event_redact(struct tx *tx, int64_t nid, int64_t redacted_by, str redacted_json, int64_t now);
/* Originals kept since before `before` (ms) go, at most `limit`. */
NODISCARD err *store_originals_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n);
/* A redaction that came before its target waits; those in the room for an event that comes now, the earliest first. */
NODISCARD err *store_redaction_wait(struct tx *tx, str redacts, int64_t redaction);
NODISCARD err *store_redactions_waiting(struct tx *tx, int64_t room, str event_id, int64_t **out, size_t *out_n);
/* It was applied: EVENT_UNAPPLIED goes. */
NODISCARD err *store_redaction_applied(struct tx *tx, int64_t redaction);
/* Those of the ids that any redaction waits for. */
NODISCARD err *store_redactions_waited(struct tx *tx, const str *event_ids, size_t n, str **out, size_t *out_n);
/* These get other timeline positions, some hundreds at a time. Not while the room's history is purged (room->purge),
 * which goes by them. */
NODISCARD err *store_timeline_move(struct tx *tx, const int64_t *nids, const int64_t *places, size_t n);
