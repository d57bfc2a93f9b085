/*
 * admit.h - users of other servers enter and leave rooms that this server is in, and invite ours.
 *
 * Server-Server API, "Joining Rooms", "Knocking upon a room", "Leaving Rooms", "Inviting to a room", "Third-party
 * invites": the side that is asked. `origin` is the server that asks, proven by its request. Every function asks the
 * room's server ACL first.
 */
#pragma once

#include "federation/event_check.h"
#include "room/room.h"

struct admit;
struct client;
struct client_nets;
struct remote;
struct users;
struct admit_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct users *users;
	struct store *store;
	struct key_ring *keys;
	struct fed *fed;
	struct remote *remote;          /* other servers sign the invitations of their users */
	struct client *client;          /* asks identity servers whether a key still holds */
	const struct client_nets *nets; /* and where it may ask */
	struct pool *pool;
	const struct log *log;
};
NODISCARD err *admit_new(struct arena *a, const struct admit_options *opt, struct admit **out);
void admit_free(struct admit **ad);

/*
 * Joining, knocking, leaving (make.c, send.c)
 */
struct admit_make {
	str origin, room_id, user_id;
	enum membership to;  /* join, knock or leave */
	const str *versions; /* that the other server knows; NULL: any */
	size_t n_versions;
};
/* The event as it could be now, without hashes and signatures. ERR_NOT_FOUND: we are not in the room. ERR_FORBIDDEN,
 * ERR_INCOMPATIBLE_ROOM_VERSION; of restricted rooms ERR_UNABLE_TO_AUTHORISE_JOIN, ERR_UNABLE_TO_GRANT_JOIN. */
NODISCARD err *admit_make(struct admit *ad, struct arena *a, const struct admit_make *cmd,
			  const struct room_version **out_version, const struct json **out_event);

struct admit_send {
	str origin, room_id, event_id;
	enum membership to;
	const struct json *event; /* as it came */
};
/* The event becomes part of the room, and goes to the other servers from here. The same again gives the same. *out is
 * the event as it is stored, with our signature where it needs one. ERR_INVALID_PARAM: it is not what it has to be, or
 * not well signed; else as admit_make. */
NODISCARD err *admit_send(struct admit *ad, struct arena *a, const struct admit_send *cmd, const struct event **out);

/* What a knocking user is shown of the room: events as they are, as a JSON array (answer.c). ERR_FORBIDDEN: the knock
 * came to nothing, a repetition of an old one among them. */
NODISCARD err *admit_knock_state(struct admit *ad, struct arena *a, str room_id, str user_id, str *out);

/*
 * The answer to a join (answer.c): the room's state before it, and the auth chains. It may be far larger than what
 * should be held in memory: events by number, to be read as they are sent (served/reading.h).
 */
struct join_answer_cmd {
	const struct event *event; /* from admit_send */
	bool omit_members;
};
struct join_answer {
	str members; /* an object with the answer's other members */
	const int64_t *state, *chain;
	size_t n_state, n_chain;
};
NODISCARD err *admit_join_answer(struct admit *ad, struct arena *a, const struct join_answer_cmd *cmd,
				 struct join_answer *out);

/*
 * Invitations (invite.c)
 */
struct admit_invite {
	str origin, room_id, event_id;
	str version;                 /* the room's, as the other server says */
	const struct json *event;    /* as it came */
	const struct json *stripped; /* invite_room_state; NULL: none */
};
/* *out: the event as it came, with our signature beside the others; also for who has no account here.
 * ERR_INVALID_PARAM, ERR_FORBIDDEN, ERR_INVITE_BLOCKED, ERR_INCOMPATIBLE_ROOM_VERSION, ERR_LIMIT_EXCEEDED. */
NODISCARD err *admit_invite(struct admit *ad, struct arena *a, const struct admit_invite *cmd, const struct json **out);

/*
 * Third-party invites (exchange.c)
 */
/* Turns an invitation by e-mail address into one of a user: `event` is the part of it that the user's server could
 * make. ERR_FORBIDDEN: the identity server's signature is not what the room asks for. */
NODISCARD err *admit_exchange(struct admit *ad, struct arena *a, str origin, str room_id, const struct json *event);
/* An identity server says that `user_id` has an address, to which these invitations came: body.invites. Each is
 * exchanged by itself; what cannot be, or not in time, is logged. ERR_INVALID_PARAM: not of this server. ERR_BUSY. */
NODISCARD err *admit_bound(struct admit *ad, struct arena *a, str user_id, const struct json *invites);
