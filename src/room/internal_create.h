/*
 * internal_create.h - a room and its first events: the list that create.c and upgrade.c fill, and creation.c makes a
 * room of.
 *
 * Private to room/. The events are wished for in the order they are to have; the first is m.room.create.
 */
#pragma once

#include "room/internal_job.h"

enum step { STEP_CREATE, STEP_STATE, STEP_INVITE };

struct first { /* one of the room's first events */
	enum step step;
	struct proposal p;
};
struct creation {
	struct rooms *rs;
	struct arena *a;
	const struct actor *by;
	const struct room_version *rv;
	bool published;
	str alias; /* the whole, a new one for this room; STR_NONE: none */
	int64_t now;
	VEC(struct first) events;
	/* The id. Before creation_make: STR_NONE, or the one it is to have, drawn by creation_room_id (not in versions
	 * where the create event decides). */
	str room_id;
	struct room_row row;
};

/* A room id that nobody has: "!opaque:server". */
str creation_room_id(const struct rooms *rs, struct arena *a);
void creation_wish(struct creation *c, enum step step, str type, str state_key, const struct json *content);
/* An event with the empty state key and one text in its content. */
void creation_wish_text(struct creation *c, str type, str key, str value);
/* The creator's own membership. */
NODISCARD err *creation_wish_creator(struct creation *c);
/* Makes the room: all of the events (of more than 400, the first ones), the alias and the entry in the list in one
 * commit, or nothing. c->room_id is its id then. ERR_INVALID_ROOM_STATE where the authorisation rules refuse an event
 * of STEP_STATE, ERR_ROOM_IN_USE for a taken alias. */
NODISCARD err *creation_make(struct creation *c);
