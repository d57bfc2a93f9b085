/* stripped.h - stripped state (Client-Server API, "Stripped state"): what an invited or knocking user is shown of a
 * room. */
#pragma once

#include "json/writer.h"
#include "matrix/event.h"

/* {content, sender, state_key, type} of a state event, as an element of an array. */
void stripped_write(struct jw *w, const struct event *ev);
/* Of a list of anything that calls itself state, as another server gave it, an array of stripped state events, for
 * clients. What has no type, state_key, sender and content of the right kinds is left out. */
void stripped_write_pruned(struct jw *w, const char *key, const struct json *list);

/*
 * What comes with an invitation or knock from another server: "All events listed MUST additionally be formatted
 * according to the room version specification." Gives the events, of the room all of them, in the arena; their
 * signatures are for the caller to verify. strict: ERR_INVALID_PARAM where one is no such event, or m.room.create is
 * missing (invitations); else bad ones are left out (knocks: "SHOULD be removed by the server").
 */
NODISCARD err *stripped_read(struct arena *a, const struct room_version *rv, str room_id, const struct json *list,
			     bool strict, const struct event *const **out, size_t *out_n);

/* The types of which the event with the empty state key belongs into stripped state; ends with STR_NONE. The inviter's
 * and the invited user's own m.room.member come on top. */
extern const str stripped_types[];
