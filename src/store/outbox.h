/*
 * outbox.h - what other servers are to get: positions, servers in rooms by time, EDUs that must not be lost.
 *
 * A server gets the events with EVENT_TO_SEND of every room that it was in at the event, before or after it. Up to the
 * floor everybody has everything but those that are behind, each of which has a position of its own.
 */
#pragma once

#include "store/store.h"

struct outbox_event_row {
	int64_t event, room, stream;
};
/* What a server is to get, above < stream <= upto, in the order of the stream. */
NODISCARD err *store_outbox_events(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t limit,
				   struct outbox_event_row **out, size_t *out_n);
/* The newest of each room alone. */
NODISCARD err *store_outbox_newest(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t limit,
				   struct outbox_event_row **out, size_t *out_n);
/* How many there are; never more than `most`. */
NODISCARD err *store_outbox_count(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t most,
				  int64_t *out);
/* The servers that are to get anything above the position; all that are in any room where that is a long list. */
NODISCARD err *store_outbox_concerned(struct tx *tx, int64_t above, int64_t **out, size_t *out_n);

/* Is the server in any room? */
NODISCARD err *store_server_is_anywhere(struct tx *tx, int64_t server, bool *out);
/* The other servers in any of these rooms, at most `limit`. */
NODISCARD err *store_servers_of_rooms(struct tx *tx, const int64_t *rooms, size_t n, size_t limit, int64_t **out,
				      size_t *out_n);

struct outbox_behind_row {
	int64_t server, position, since; /* since: ms */
};
/* out_floor: 0 where nothing was ever saved. */
NODISCARD err *store_outbox_load(struct tx *tx, int64_t *out_floor, struct outbox_behind_row **out, size_t *out_n);

struct outbox_bad_row {
	int64_t server, event, at, status;
	str error;
	str event_id; /* read only; STR_NONE: purged */
};
struct outbox_left_row { /* a time in which a server was in a room */
	int64_t server, room, until;
};
/* What changed, in one piece: at most some hundreds of each. */
struct outbox_save {
	int64_t floor;
	const struct outbox_behind_row *behind; /* new, or moved on */
	const int64_t *level;                   /* servers that are not behind any more */
	const int64_t *edus;                    /* ids of EDUs that were acknowledged */
	const struct outbox_bad_row *bad;
	const struct outbox_left_row *left; /* that have got everything */
	size_t n_behind, n_level, n_edus, n_bad, n_left;
};
NODISCARD err *store_outbox_save(struct tx *tx, const struct outbox_save *save);
/* Some of those who left a room and have got everything of it: what is true of them stays true. */
NODISCARD err *store_outbox_left_done(struct tx *tx, size_t limit, struct outbox_left_row **out, size_t *out_n);
/* A server that is in no room: nothing is left of it. */
NODISCARD err *store_outbox_forget(struct tx *tx, int64_t server);
/* Of a server, the newest first. */
NODISCARD err *store_outbox_bad(struct tx *tx, int64_t server, size_t limit, struct outbox_bad_row **out,
				size_t *out_n);
NODISCARD err *store_outbox_bad_count(struct tx *tx, int64_t server, int64_t *out);

/* EDUs, in the order of their ids, which are positions. */
struct outbox_edu_row {
	int64_t id;
	str type, content;
};
/* In a piece's `late`: takes a position. One of the same server and key (STR_NONE: none) is replaced. */
NODISCARD err *store_outbox_edu_add(struct tx *tx, int64_t server, str type, str key, str content, int64_t now);
/* The same for several servers, each once; as many positions. Some hundreds are a piece. */
NODISCARD err *store_outbox_edu_add_all(struct tx *tx, const int64_t *servers, size_t n, str type, str key, str content,
					int64_t now);
NODISCARD err *store_outbox_edus(struct tx *tx, int64_t server, int64_t above, size_t limit,
				 struct outbox_edu_row **out, size_t *out_n);
NODISCARD err *store_outbox_edu_servers(struct tx *tx, int64_t **out, size_t *out_n);
NODISCARD err *store_outbox_edu_count(struct tx *tx, int64_t server, int64_t *out);
/* Some of them, the oldest first; out_gone: how many. */
NODISCARD err *store_outbox_edus_drop(struct tx *tx, int64_t server, size_t limit, int64_t *out_gone);
/* Of one type all but the newest `keep` go, and those made before `before` (ms); at most `limit`, oldest first. */
NODISCARD err *store_outbox_edus_trim(struct tx *tx, int64_t server, str type, size_t keep, int64_t before,
				      size_t limit, int64_t *out_gone);
