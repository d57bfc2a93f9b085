/*
 * space.h - rooms that hold rooms: what is shown of one, and the walk through all below it.
 *
 * Client-Server API, "Discovering rooms within spaces"; Server-Server API, "Spaces". Entries are JSON, for those of
 * other servers are: of ours they are made as they are to be answered.
 */
#pragma once

#include "json/writer.h"
#include "room/room.h"

struct queries;

/* Who looks: a user of this server, or another server. */
struct space_viewer {
	int64_t user; /* 0: a server */
	str user_id, server;
};
struct space_entry {
	struct json *room;            /* its summary; NULL: not for this viewer */
	const struct json **children; /* m.space.child, stripped, with origin_server_ts: in their order */
	size_t n_children;
	bool is_here; /* this server is in it */
};
enum { SPACE_CHILDREN_MOST = 1000 /* of one room; those that come first */ };
/* What this server knows of a room. Its children only where it is a space, and `with_children`. */
NODISCARD err *space_entry_local(struct rooms *rs, struct arena *a, struct tx *tx, str room_id,
				 const struct space_viewer *viewer, bool suggested_only, bool with_children,
				 struct space_entry *out);
/* The same of one that another server told of (federation/query.h): what is good of it. */
NODISCARD err *space_entry_remote(struct rooms *rs, struct arena *a, struct tx *tx, const struct json *given,
				  const struct space_viewer *viewer, bool suggested_only, struct space_entry *out);

/* The summary with its children_state, as both APIs have it. */
void space_entry_write(struct jw *w, const char *key, const struct space_entry *e);

/* GET /hierarchy/{roomId} of another server: writes room, children, inaccessible_children. ERR_NOT_FOUND. */
NODISCARD err *space_write_for_server(struct rooms *rs, struct arena *a, str room_id, str origin, bool suggested_only,
				      struct jw *w);

/* GET /rooms/{roomId}/hierarchy */
struct hierarchy_cmd {
	str room_id;
	struct space_viewer viewer;
	bool suggested_only;
	int64_t limit, max_depth; /* max_depth below 0: as far as it goes */
	str from;                 /* STR_NONE: from the start */
	struct queries *queries;  /* NULL: nobody else is asked, *out_ask says whether it would be needed */
	int64_t deadline_us;      /* for others to answer */
};
/* Writes rooms, next_batch. ERR_FORBIDDEN: the room is not for this user. ERR_INVALID_PARAM: the token. */
NODISCARD err *space_hierarchy_write(struct rooms *rs, struct arena *a, const struct hierarchy_cmd *cmd, struct jw *w,
				     bool *out_ask);
