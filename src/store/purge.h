/*
 * purge.h - forgetting: what a purge of a room, or of its history, reads and deletes.
 *
 * Everything here is a bounded piece: room/purge.h puts them together. A purge is a row first, so that one that a
 * restart interrupted is found again.
 */
#pragma once

#include "matrix/state_mark.h"
#include "store/store.h"

enum purge_kind { PURGE_HISTORY = 1, PURGE_ROOM };
enum purge_status { PURGE_ACTIVE, PURGE_COMPLETE, PURGE_FAILED };
struct purge_row {
	int64_t purge, room;
	enum purge_kind kind;
	int64_t before;  /* history: the event that stays first */
	bool with_local; /* history: what users of this server sent goes, too */
	enum purge_status status;
	int64_t began, ended; /* ms */
	str error;            /* PURGE_FAILED */
};
NODISCARD err *store_purge_insert(struct tx *tx, const struct purge_row *p);
NODISCARD err *store_purge_end(struct tx *tx, int64_t purge, enum purge_status status, int64_t now, str error);
NODISCARD err *store_purge_find(struct tx *tx, int64_t purge, struct purge_row **out); /* NULL: none */
/* Those under way, in the order they were ordered. */
NODISCARD err *store_purges_active(struct tx *tx, struct purge_row **out, size_t *out_n);
/* Those that ended before `before` (ms) are forgotten. */
NODISCARD err *store_purges_prune(struct tx *tx, int64_t before);

/* What a purge has to know of an event. */
struct purge_event {
	int64_t nid, stream, timeline, type, sender, root_after, replaces, redacted_by, ts;
	unsigned flags;
	bool has_txn;
	const int64_t *prevs, *auths;
	size_t n_prevs, n_auths;
};
/* From the oldest on: above a timeline position and below another; without one, above an event number. */
NODISCARD err *store_purge_placed(struct tx *tx, int64_t room, int64_t above, int64_t below, size_t limit,
				  struct purge_event **out, size_t *out_n);
NODISCARD err *store_purge_unplaced(struct tx *tx, int64_t room, int64_t above, size_t limit, struct purge_event **out,
				    size_t *out_n);
/* Those of the numbers that are stored, in no particular order. */
NODISCARD err *store_purge_events_of(struct tx *tx, const int64_t *nids, size_t n, struct purge_event **out,
				     size_t *out_n);
/* The oldest event by timeline that is not older than ts (ms): everything before it is. 0: none. */
NODISCARD err *store_purge_first_since(struct tx *tx, int64_t room, int64_t ts, int64_t *out_event);

/* The events and what hangs on them: edges, originals, notifications, annotations. */
NODISCARD err *store_purge_delete(struct tx *tx, int64_t room, const struct purge_event *ev, size_t n);
/* They stay for what refers to them, but are in no timeline any more: EVENT_OUTLIER | EVENT_PURGED, without a state. */
NODISCARD err *store_purge_demote(struct tx *tx, int64_t room, const struct purge_event *ev, size_t n);

/* The journal: the newest entry at or before a position (0: none); numbers of states from there on; and the end of
 * older ones. */
NODISCARD err *store_journal_before(struct tx *tx, int64_t room, int64_t stream, int64_t *out_stream);
NODISCARD err *store_journal_nodes(struct tx *tx, int64_t room, int64_t above, size_t limit, int64_t **out_streams,
				   int64_t **out_nodes, size_t *out_n);
NODISCARD err *store_journal_purge(struct tx *tx, int64_t room, int64_t below, size_t limit, bool *out_more);

/* Rows of nodes: downwards from below a number; upwards from a number on, below another. */
NODISCARD err *store_nodes_down(struct tx *tx, int64_t room, int64_t below, size_t limit, struct node_row **out,
				size_t *out_n);
NODISCARD err *store_nodes_up(struct tx *tx, int64_t room, int64_t from, int64_t below, size_t limit,
			      struct node_row **out, size_t *out_n);
NODISCARD err *store_nodes_replace(struct tx *tx, int64_t room, const struct state_packed *p);

/* A whole room. First it is there no longer, for anybody: its row, head and names go. */
NODISCARD err *store_purge_room_begin(struct tx *tx, int64_t room);
/* Then all the rest, about `limit` rows at a time. */
NODISCARD err *store_purge_room_piece(struct tx *tx, int64_t room, size_t limit, bool *out_more);
