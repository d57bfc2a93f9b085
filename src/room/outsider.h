/*
 * outsider.h - users of this server who are invited to a room that it is not in, or knock upon one.
 *
 * All that is known of such a room is the member event and the stripped state that came with it: a membership row, for
 * /sync, and a row of `outsiders` (docs/internals/room-store.md). Once this server is in the room, the room's state
 * says who is what (store_outsiders_drop). Rooms that it was in before may have outsiders, too.
 */
#pragma once

#include "room/room.h"

struct outsider {
	enum membership membership; /* invite, knock; leave, ban: it has ended */
	const struct room_version *version;
	str server; /* who told of it: the inviter's server, or the one that took the knock */
	const struct event *event;
};
/* *out is NULL for who is none, and never was since this server is out of the room. In arena a. */
NODISCARD err *outsider_find(struct rooms *rs, struct arena *a, str room_id, int64_t user, struct outsider **out);
/* The version of a room that is known by its outsiders; NULL: there are none. */
NODISCARD err *outsider_room_version(struct rooms *rs, struct arena *a, str room_id, const struct room_version **out);

struct outsider_cmd {
	const struct room_version *version;
	const struct event *event;   /* m.room.member, invite or knock, well signed; its state_key is of this server */
	str server;                  /* as above */
	const struct json *stripped; /* a list, as the other server gave it; NULL: none. Pruned here */
};
/* Stores it and tells /sync. *out_inside: this server is in the room, which says for itself who is invited; nothing
 * was stored. ERR_LIMIT_EXCEEDED: too many wait for an answer of this user, or came from that server. */
NODISCARD err *outsider_put(struct rooms *rs, struct arena *a, const struct outsider_cmd *cmd, bool *out_inside);
/* It has ended: by `ev` (leave or ban, well signed), or, where that is NULL and no other server could be told, by an
 * event that is made here. ERR_NOT_FOUND: the user is neither invited nor knocks. */
NODISCARD err *outsider_end(struct rooms *rs, struct arena *a, str room_id, str user_id, const struct event *ev);
/* A leave or ban of such a user came from `origin`, well signed: ends it if it comes from who may say so (the inviter's
 * server; of a knock the server that took it, too). *out: it did. */
NODISCARD err *outsider_withdraw(struct rooms *rs, struct arena *a, str origin, const struct event *ev, bool *out);
