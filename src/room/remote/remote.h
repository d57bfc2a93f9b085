/*
 * remote.h - entering, leaving and inviting where another server knows the room.
 *
 * Server-Server API, "Joining Rooms", "Knocking upon a room", "Inviting to a room", "Leaving Rooms". A door of room.h
 * comes here when this server is not in the room, or the other user is not of this server.
 */
#pragma once

#include "federation/event_check.h"
#include "federation/fed.h"
#include "room/room.h"

struct inbound;
struct piece_run;
struct pool;
struct queries;
struct remote;
struct remote_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct store *store;
	struct fed *fed;
	struct key_ring *keys;
	struct queries *queries; /* names of rooms; NULL: those of other servers are not known */
	struct pool *pool;
	struct inbound *inbound; /* takes a join into a room that this server is in; or NULL */
	const struct log *log;
	str spool_folder; /* where what does not fit memory is kept meanwhile; STR_NONE: nowhere */
	/* For tests: in each piece of an import, on the writer's thread (room/receive/pieces.h). */
	void (*on_piece)(void *ctx, const struct piece_run *run);
	void *piece_ctx;
};
NODISCARD err *remote_new(struct arena *a, const struct remote_options *opt, struct remote **out);
/* The server stops: what is under way ends soon, with ERR_BUSY; what it wrote goes with the next start. */
void remote_stop(struct remote *r);
void remote_free(struct remote **r);

struct remote_cmd {
	struct actor by;
	str room_id;
	const str *via; /* servers to ask, the best first */
	size_t n_via;
	str reason;               /* STR_NONE: none */
	const struct json *extra; /* further members of the content, or NULL */
	bool hasty;               /* remote_leave: other servers get a few seconds */
};
/* The room that another server has a name for, and servers that may be in it:
 * ERR_NOT_FOUND. */
NODISCARD err *remote_alias(struct remote *r, struct arena *a, str alias, str *out_room_id, str **out_servers,
			    size_t *out_n);
/* Joins through one of the servers, the first that lets us. The same room joined twice at once is fetched once. The
 * room is whole when this returns. ERR_NOT_FOUND, ERR_FORBIDDEN, ERR_CONNECTION_FAILED: what the servers said, the most
 * telling of it. ERR_LIMIT_EXCEEDED: the user is at several already. */
NODISCARD err *remote_join(struct remote *r, struct arena *a, const struct remote_cmd *cmd);
NODISCARD err *remote_knock(struct remote *r, struct arena *a, const struct remote_cmd *cmd);
/* Rejects an invitation, or takes back a knock: tells the other servers; where none of them answers the user is out
 * here all the same. */
NODISCARD err *remote_leave(struct remote *r, struct arena *a, const struct remote_cmd *cmd);
/* The other server's signature on an invitation of ours for its user; *out_event is what it gave back, checked. */
NODISCARD err *remote_invite(struct remote *r, struct arena *a, const struct room_version *rv, const struct event *ev,
			     const struct json *stripped, str server_name, struct event **out_event);
