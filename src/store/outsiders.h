/*
 * outsiders.h - users of this server who are invited to a room that it is not in, or knock upon one.
 *
 * What is known of such a room is a membership row (its `event` is 0), for /sync, and the row here: the event itself.
 * It is kept out of `events`: nobody here can say whether the room allows it.
 */
#pragma once

#include "matrix/membership.h"
#include "store/store.h"

struct outsider_row {
	int64_t room, user;
	enum membership membership; /* invite, knock; leave, ban: ended */
	int64_t server;             /* who told of it */
	int64_t created;            /* ms */
	str version;                /* of the room */
	str event_id, json;         /* the m.room.member event */
};
/* Inserts or replaces. */
NODISCARD err *store_outsider_save(struct tx *tx, const struct outsider_row *o);
NODISCARD err *store_outsider(struct tx *tx, int64_t room, int64_t user, struct outsider_row **out); /* NULL: none */
/* Any of the room's, the newest first: which version it has. NULL: none. */
NODISCARD err *store_outsider_of_room(struct tx *tx, int64_t room, struct outsider_row **out);
/* The users of whom a room's rows are. */
NODISCARD err *store_outsiders_in(struct tx *tx, int64_t room, int64_t **out_users, size_t *out_n);
/* This server is in the room now, or the room is purged: its state says who is what. */
NODISCARD err *store_outsiders_drop(struct tx *tx, int64_t room);
/* Invitations and knocks of a user; invitations that came from a server. */
NODISCARD err *store_outsiders_of_user(struct tx *tx, int64_t user, int64_t *out);
NODISCARD err *store_outsiders_from(struct tx *tx, int64_t server, int64_t *out);
