/*
 * room.h - rooms: made, written to, entered and left; one writer at a time each.
 *
 * `struct rooms` is the service, made in main/. Every function here blocks until what it wrote is on disk, and gives an
 * error in the specification's words otherwise. Ids of users, rooms, types and state keys are interned numbers where a
 * parameter is an int64_t. What is read of rooms stands in room/state.h and room/timeline.h.
 */
#pragma once

#include "json/json.h"
#include "matrix/event.h"
#include "store/events.h"
#include "store/membership.h"

struct bus;
struct log;
struct pool;
struct tx;
struct rooms;
struct room; /* one room's head, locked while held */

struct rooms_options { /* everything is borrowed for the life of the service */
	struct store *store;
	struct bus *bus;
	const struct log *log;
	struct signer signer; /* server_name, key_id, key: signs every event made here */
	const struct room_version *default_version;
	/* A local user's profile for their m.room.member events: STR_NONE where not set. NULL: nobody has one. */
	err *(*profile)(void *ctx, struct arena *a, int64_t user, str *out_displayname, str *out_avatar_url);
	void *profile_ctx;
	/* Over a preset's power levels, by preset, as JSON objects; STR_NONE: nothing. */
	str power_private_chat, power_trusted_private_chat, power_public_chat;
	bool encrypt_invite_rooms, encrypt_all_rooms; /* m.room.encryption in new private / in all new rooms */
	size_t max_heads;                             /* rooms in memory; 0: chosen */
	struct pool *pool;                            /* for the checks of many events at a time; NULL: none */
	size_t recent_bytes;                          /* newest events kept in memory a room; 0: chosen */
	size_t most_extremities; /* dummy_events_threshold: of a room with more, some are brought together. 0: chosen */
};

NODISCARD err *rooms_new(struct arena *a, const struct rooms_options *opt, struct rooms **out);
void rooms_free(struct rooms **rs);
const struct rooms_options *rooms_options(const struct rooms *rs);
/* Drops every idle head: for tests of reading back. */
void rooms_forget_heads(struct rooms *rs);

/* What becomes of an event made elsewhere (Server-Server API, "Checks performed on receipt of a PDU"). */
enum append_outcome { APPEND_ACCEPTED, APPEND_SOFT_FAILED, APPEND_REJECTED, APPEND_KNOWN };

/* Who acts: a user of this server. device_id is STR_NONE where no client's request is behind it. */
struct actor {
	int64_t user;
	str user_id, device_id;
};

/*
 * Sending (send.c, redact.c)
 */
struct send_cmd {
	struct actor by;
	str room_id, type;
	str state_key; /* STR_NONE: a message */
	const struct json *content;
	str txn_id, txn_path; /* STR_NONE: none. The request's path up to the id: what the id is unique in */
	str redacts;          /* m.room.redaction only: the event's id; else STR_NONE */
	int64_t ts;           /* origin_server_ts in ms; 0: now */
	bool *out_elsewhere;  /* as member_cmd's: an invitation, or a policy server is to be asked */
};
/* A repeated transaction id gives the event of the first time, once that is on disk. A state event equal to the current
 * one gives the current one's id. M_FORBIDDEN, M_TOO_LARGE, M_BAD_JSON, M_BAD_ALIAS, M_NOT_FOUND (no such room is
 * M_FORBIDDEN). */
NODISCARD err *room_send(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, str *out_event_id);

/*
 * Making (create.c). "POST /createRoom"
 */
struct create_cmd {
	struct actor by;
	const struct json *body; /* the request's */
	bool *out_elsewhere;     /* as member_cmd's: who is invited is of another server */
};
NODISCARD err *room_create(struct rooms *rs, struct arena *a, const struct create_cmd *cmd, str *out_room_id);

/*
 * Replacing (upgrade.c). "POST /rooms/{roomId}/upgrade"
 */
struct upgrade_cmd {
	struct actor by;
	str room_id, new_version;
	const struct json *additional_creators; /* NULL: none */
};
/* The successor's id. Everything of the room moves, and nothing that is its users' own (flow/successor.h). A repetition
 * by the same user within five minutes gives the same room. M_UNSUPPORTED_ROOM_VERSION, M_NOT_FOUND, M_FORBIDDEN;
 * M_UNKNOWN while somebody else is at it. */
NODISCARD err *room_upgrade(struct rooms *rs, struct arena *a, const struct upgrade_cmd *cmd, str *out_room_id);
/* The room that this one replaces, where both say so; STR_NONE: none. What m.room.create says alone, anybody can say.
 */
NODISCARD err *room_predecessor(struct rooms *rs, struct arena *a, str room_id, str *out);
/* The room that replaced this one by the word of a user of another server, and says so itself; STR_NONE: none is known
 * here. */
NODISCARD err *room_replaced_elsewhere(struct rooms *rs, struct arena *a, str room_id, str *out);
/* The first room was replaced by the second one, on another server (else this does nothing: room_upgrade did it): what
 * this server had given it until then, aliases and a place in the published rooms, is the second one's. */
NODISCARD err *room_names_follow(struct rooms *rs, struct arena *a, str old_room, str new_room);
/* The other servers that have joined members in the room: whom typing, receipts and such are told. */
NODISCARD err *room_other_servers(struct rooms *rs, struct arena *a, str room_id, const int64_t **out, size_t *out_n);
/* The users of this server who are joined. */
NODISCARD err *room_local_users(struct rooms *rs, struct arena *a, str room_id, const int64_t **out, size_t *out_n);

/*
 * Membership (join.c, membership.c, knock.c)
 */
struct member_cmd {
	struct actor by;
	str room_id;              /* room_join and room_knock take an alias, too */
	str target;               /* invite, kick, ban, unban: the other user */
	str reason;               /* STR_NONE: none */
	const struct json *extra; /* further members of the event's content (is_direct ...), or NULL */
	/* room_join, room_knock, room_leave: servers that may be in the room, where this one is not. Then these wait
	 * for other servers. */
	const str *via;
	size_t n_via;
	/* NULL: these doors, room_invite, and all where a policy server is to be asked, wait for other servers where
	 * they have to. Else that is said here instead (true), nothing is done, and what was to be given is not. */
	bool *out_elsewhere;
	bool hasty; /* room_leave: other servers get a few seconds; one that did not answer lately gets none */
};
NODISCARD err *room_join(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str *out_room_id);
NODISCARD err *room_knock(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str *out_room_id);
NODISCARD err *room_invite(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
NODISCARD err *room_leave(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
NODISCARD err *room_kick(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
NODISCARD err *room_ban(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
NODISCARD err *room_unban(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
NODISCARD err *room_forget(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
/* Does the user want no invitations (m.invite_permission_config)? Inviting them gives M_INVITE_BLOCKED; those that came
 * before are not to be told. */
NODISCARD err *room_blocks_invites(struct tx *tx, struct arena *a, int64_t user, bool *out);
/* A new display name or avatar in one room: the membership event again, with the profile as it is now. */
NODISCARD err *room_refresh_profile(struct rooms *rs, struct arena *a, const struct actor *by, str room_id);
/* The ids of a user's rooms, by what they are in them (a set of MEMBER_MASKs), from the store; rooms_joined: where they
 * are joined. */
NODISCARD err *rooms_of_user(struct rooms *rs, struct arena *a, int64_t user, unsigned mask, str **out_ids,
			     size_t *out_n);
NODISCARD err *rooms_joined(struct rooms *rs, struct arena *a, int64_t user, str **out_ids, size_t *out_n);

/*
 * Names and lists (alias.c, directory.c)
 */
NODISCARD err *room_alias_create(struct rooms *rs, struct arena *a, const struct actor *by, str alias, str room_id);
NODISCARD err *room_alias_delete(struct rooms *rs, struct arena *a, const struct actor *by, str alias);
NODISCARD err *room_alias_find(struct rooms *rs, struct arena *a, str alias, str *out_room_id); /* M_NOT_FOUND */
/* The same of any server's name, which is asked where it is another; and servers that may be in the room, the best
 * first. out_elsewhere: as member_cmd's. */
NODISCARD err *room_alias_ask(struct rooms *rs, struct arena *a, str alias, bool *out_elsewhere, str *out_room_id,
			      str **out_servers, size_t *out_n);
/* Servers that are in the room, at most `most`: this one first if it is among them, then those with most members. */
NODISCARD err *room_server_names(struct rooms *rs, struct arena *a, str room_id, size_t most, str **out, size_t *out_n);
NODISCARD err *room_aliases(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, str **out,
			    size_t *out_n);
/* "!id" or "#alias" to the room's id; ERR_INVALID_PARAM for anything else, ERR_NOT_FOUND. */
NODISCARD err *room_resolve(struct rooms *rs, struct arena *a, str room_id_or_alias, str *out_room_id);
NODISCARD err *room_published(struct rooms *rs, struct arena *a, str room_id, bool *out);
NODISCARD err *room_publish(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, bool published);

struct public_rooms_cmd {
	int64_t limit;         /* 0: the server's own */
	str since, search;     /* STR_NONE: not given */
	const str *room_types; /* filter; an empty text stands for rooms without type */
	size_t n_room_types;
	bool any_room_type; /* no such filter */
	bool for_servers;   /* without rooms that users of other servers cannot join */
};
struct jw;
/* Writes chunk, next_batch, prev_batch, total_room_count_estimate. */
NODISCARD err *room_public_list(struct rooms *rs, struct arena *a, const struct public_rooms_cmd *cmd, struct jw *w);

/*
 * What others hear of, after the commit (commit.c)
 */
struct rooms_stored { /* valid during the call */
	int64_t room;
	str room_id;
	const struct room_version *version;
	const struct event_row *row; /* as stored; row->stream is 0 where it is not shown by /sync */
	const struct event *event;
	/* m.room.member that became current: before and after; else both MEMBER_NONE. user: the row's state_key */
	enum membership member_before, member_after;
	bool became_current;    /* a state event that is now part of the current state */
	const void *prepared;   /* the argument of what the hook of rooms_on_prepare gave; NULL: nothing */
	const int64_t *servers; /* the other servers that get it from us (EVENT_TO_SEND), none twice */
	size_t n_servers;
	bool through_others; /* an event of ours that came into the room through another server */
	bool tombstoned;     /* another m.room.tombstone is current, maybe not this event: room_replaced_elsewhere */
};
/* Run on a writer thread in commit order per room, before the bus is touched: must be quick. At start only. */
void rooms_on_stored(struct rooms *rs, void (*hook)(void *ctx, const struct rooms_stored *ev), void *ctx);

/* The event's other rows: under the room's lock, with the event built and authorised, before it is queued. The hook may
 * give a function that writes rows in the event's transaction, in its `late` (with *stream set), or NULL. Arena `keep`
 * lives until then. Members are read with room_members_local (room/internal_room.h). At start only, one. */
struct rooms_prepared {
	store_fn *late;
	void *arg;
	int64_t *stream; /* set by append before `late` runs, if the hook points it somewhere */
};
typedef err *rooms_prepare_fn(void *ctx, struct arena *keep, struct room *room, const struct event *ev,
			      struct rooms_prepared *out);
void rooms_on_prepare(struct rooms *rs, rooms_prepare_fn *hook, void *ctx);

/*
 * The newest events of a room from memory: those with above < stream <= upto, oldest first, copied into the arena.
 * False when memory does not reach back to `above` or is just being written: ask the store. No SQL either way.
 * *out_linear: each was built on what was the room's current state, and nothing else changed that state in between.
 */
NODISCARD bool rooms_recent(struct rooms *rs, struct arena *a, int64_t room, int64_t above, int64_t upto,
			    struct event_row ***out, size_t *out_n, bool *out_linear);
/* The newest `want` events at or below upto, newest first, from memory; fewer only where the room has no more. False
 * when memory does not hold so many: ask the store. */
NODISCARD bool rooms_newest(struct rooms *rs, struct arena *a, int64_t room, int64_t upto, size_t want,
			    struct event_row ***out, size_t *out_n);
/* The room's number without SQL where it is known: 0 when there is no such room. */
NODISCARD err *rooms_find(struct rooms *rs, struct arena *a, str room_id, int64_t *out_room,
			  const struct room_version **out_version);
/* ERR_NOT_FOUND: there is no such room, or none any more. */
NODISCARD err *rooms_version(struct rooms *rs, struct arena *a, int64_t room, const struct room_version **out);
