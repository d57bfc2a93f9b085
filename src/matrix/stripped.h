/* stripped.h - stripped state (Client-Server API, "Stripped state"): what an invited or knocking user is shown of a
 * room. */
#pragma once

#include "json/writer.h"
#include "matrix/event.h"

/* {content, sender, state_key, type} of a state event, as an element of an array. */
void stripped_write(struct jw *w, const struct event *ev);
/* The types of which the event with the empty state key belongs into stripped state; ends with STR_NONE. The inviter's
 * and the invited user's own m.room.member come on top. */
extern const str stripped_types[];
