/*
 * internal_upgrade.h - a room that is to be replaced, and what of it goes along (upgrade_state.c). Private to
 * upgrade.c.
 */
#pragma once

#include "room/internal_create.h"

struct old_room { /* as it was when it was read; all in the caller's arena */
	int64_t nid;
	str room_id;
	const struct room_version *rv;
	bool published;
	const struct event *create, *power, *canonical, *tombstone; /* NULL: none */
	VEC(const struct event *) state; /* what else goes along; of a space, its children, too */
	VEC(const struct event *) bans;
	const str *aliases; /* of this server */
	size_t n_aliases;
};

/* ERR_NOT_FOUND: no such room. ERR_FORBIDDEN: not in it, or not allowed to say that it is replaced. */
NODISCARD err *upgrade_read(struct rooms *rs, struct arena *a, const struct actor *by, str room_id,
			    struct old_room *out);

/* The successor's events, from its m.room.create on. tombstone_id: STR_NONE where the predecessor is named without. */
NODISCARD err *upgrade_wish(struct creation *c, const struct old_room *old, const struct json *additional_creators,
			    str tombstone_id);

/* Reads anew, of the held old room, what stays behind of it: while its successor was made, it went on. */
NODISCARD err *upgrade_read_left(struct room *room, struct old_room *old);
/* The old room's m.room.canonical_alias without what moves, and its power levels with which nobody but its moderators
 * says anything there; NULL: they stay. */
const struct json *upgrade_canonical_left(struct arena *a, const struct old_room *old);
const struct json *upgrade_power_left(struct arena *a, const struct old_room *old);
