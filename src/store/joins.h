/*
 * joins.h - rooms of other servers on their way in: what is there of them before they are there.
 *
 * Until the last piece of a join the room has no row in `rooms`, so nobody meets its events, its state and its members;
 * those of this server are not among the latter. Of a room that this server was in before, the flat tables change while
 * nobody here is in it; its head, which says what the room's state is, changes with the last piece.
 */
#pragma once

#include "store/store.h"

/* A join begins; fine for a room that is there already. now: ms. */
NODISCARD err *store_join_begin(struct tx *tx, int64_t room, int64_t now);
/* In its last piece, or when nothing is left of it. */
NODISCARD err *store_join_end(struct tx *tx, int64_t room);
NODISCARD err *store_joins(struct tx *tx, int64_t **out_rooms, size_t *out_n);
/* Takes away what an unfinished join left of a room that is not there, about `limit` rows at a time. */
NODISCARD err *store_join_drop_piece(struct tx *tx, int64_t room, size_t limit, bool *out_more);
/* Is any event of the room stored? */
NODISCARD err *store_room_has_events(struct tx *tx, int64_t room, bool *out);
/* Is the room being purged? */
NODISCARD err *store_room_is_purged(struct tx *tx, int64_t room, bool *out);

/* Another server's joined members, as a state says that came as a whole; 0: none. since: a position that is not below
 * any event of ours in the room. */
NODISCARD err *store_room_server_set(struct tx *tx, int64_t room, int64_t server, int64_t members, int64_t since);
