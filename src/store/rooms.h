/*
 * rooms.h - rooms, their heads, current state, what is listed of them, and their names (aliases).
 *
 * `rooms` is what never changes of a room and who lists it; `room_heads` is where its next event goes; `current_state`
 * and `room_summary` are flat copies of the current root, written in the transaction that changes it.
 */
#pragma once

#include "store/store.h"

struct room_row {
	int64_t room; /* the room id's number */
	str room_id, version;
	int64_t creator; /* sender of m.room.create */
	int64_t created; /* ms */
	bool published;  /* in the room directory */
	bool local_only; /* m.federate is false */
};
/* A new room; its id gets the number that was drawn for it (SEQ_INTERN). */
NODISCARD err *store_room_insert(struct tx *tx, const struct room_row *r);
NODISCARD err *store_room_by_id(struct tx *tx, str room_id, struct room_row **out); /* NULL: no such room */
NODISCARD err *store_room_by_nid(struct tx *tx, int64_t room, struct room_row **out);
NODISCARD err *store_room_set_published(struct tx *tx, int64_t room, bool published);

struct room_head_row {
	int64_t room;
	str extremities; /* event numbers, packed (store_nids_pack) */
	int64_t root;    /* the current state */
	int64_t timeline_top;
	int64_t joined, invited; /* members in the current state */
	bool has_others;         /* read only: other servers are in the room */
	bool lacks;              /* read only: something is known by name that has no place (store_gap_edges) */
};
NODISCARD err *store_head_insert(struct tx *tx, const struct room_head_row *h);
NODISCARD err *store_head_update(struct tx *tx, const struct room_head_row *h);
NODISCARD err *store_head_load(struct tx *tx, int64_t room, struct room_head_row **out); /* NULL: none */

/* Current state. stream: where the entry became current. */
struct state_row {
	int64_t type, state_key, event, stream;
};
NODISCARD err *store_state_set(struct tx *tx, int64_t room, const struct state_row *s);
NODISCARD err *store_state_unset(struct tx *tx, int64_t room, int64_t type, int64_t state_key);
NODISCARD err *store_state_get(struct tx *tx, int64_t room, int64_t type, int64_t state_key,
			       int64_t *out_event); /* 0: none */
NODISCARD err *store_state_list(struct tx *tx, int64_t room, struct state_row **out, size_t *out_n);
/* Of one type (all state keys), in no particular order. */
NODISCARD err *store_state_of_type(struct tx *tx, int64_t room, int64_t type, struct state_row **out, size_t *out_n);

/* What lists, invitations and room names show of the current state; STR_NONE: not set. Kept by append. */
struct summary_row {
	int64_t room;
	str name, topic, avatar_url, canonical_alias, join_rule, history_visibility, guest_access, room_type,
		encryption;
};
enum summary_column {
	SUMMARY_NONE,
	SUMMARY_NAME,
	SUMMARY_TOPIC,
	SUMMARY_AVATAR_URL,
	SUMMARY_CANONICAL_ALIAS,
	SUMMARY_JOIN_RULE,
	SUMMARY_HISTORY_VISIBILITY,
	SUMMARY_GUEST_ACCESS,
	SUMMARY_ROOM_TYPE,
	SUMMARY_ENCRYPTION,
	SUMMARY_COLUMNS
};
NODISCARD err *store_summary_set(struct tx *tx, int64_t room, enum summary_column column, str value);
NODISCARD err *store_summary_load(struct tx *tx, int64_t room,
				  struct summary_row *out); /* all absent when there is none */

/* Published rooms, most joined members first, then by number. Starts after (joined, room) downwards, or upwards before
 * it. Their order and what they show of themselves are asked for apart: texts are long, and of many rooms. */
struct public_place {
	int64_t room, joined;
};
struct public_row {
	int64_t room, joined;
	str room_id;
	struct summary_row summary;
};
struct public_query {
	bool backwards, from_start;
	int64_t joined, room; /* the position, unless from_start */
	size_t limit;
	bool for_servers; /* without rooms that are local only */
};
NODISCARD err *store_public_places(struct tx *tx, const struct public_query *q, struct public_place **out,
				   size_t *out_n);
/* In the order of the places. Rooms that are not there any more are left out. */
NODISCARD err *store_public_rooms(struct tx *tx, const struct public_place *places, size_t n, struct public_row **out,
				  size_t *out_n);
NODISCARD err *store_public_count(struct tx *tx, bool for_servers, int64_t *out);

/* How many joined members a server has in the room. stream: the position of what changed it, by which is known what the
 * server is to get (store/outbox.h); for this server itself minus the position: it is no destination. */
NODISCARD err *store_room_server_add(struct tx *tx, int64_t room, int64_t server, int64_t delta, int64_t stream);
/* A server that is not in the room is to get what stands at this position. */
NODISCARD err *store_room_server_once(struct tx *tx, int64_t room, int64_t server, int64_t stream);
struct room_server_row {
	int64_t server, members;
};
/* The other servers in the room. */
NODISCARD err *store_room_others(struct tx *tx, int64_t room, struct room_server_row **out, size_t *out_n);
/* Has the server a joined member in the room? */
NODISCARD err *store_room_has_server(struct tx *tx, int64_t room, int64_t server, bool *out);
/* Since which position another server has been in the room without a break; 0: it is not. */
NODISCARD err *store_room_server_since(struct tx *tx, int64_t room, int64_t server, int64_t *out);
/* All, this one among them. */
NODISCARD err *store_room_servers(struct tx *tx, int64_t room, int64_t **out, size_t *out_n);
/* Those with most members first, at most `limit`. */
NODISCARD err *store_room_servers_top(struct tx *tx, int64_t room, size_t limit, int64_t **out, size_t *out_n);

struct alias_row {
	str alias, room_id;
	int64_t room, creator;
};
/* out_taken: it was there already, nothing changed. */
NODISCARD err *store_alias_insert(struct tx *tx, str alias, int64_t room, int64_t creator, int64_t now,
				  bool *out_taken);
NODISCARD err *store_alias_delete(struct tx *tx, str alias);
/* The names that one room was given up to then (ms) become another's. */
NODISCARD err *store_aliases_move(struct tx *tx, int64_t from, int64_t to, int64_t upto);
NODISCARD err *store_alias_find(struct tx *tx, str alias, struct alias_row **out); /* NULL: none */
NODISCARD err *store_aliases_of(struct tx *tx, int64_t room, str **out, size_t *out_n);
