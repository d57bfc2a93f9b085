/*
 * erased.h - users who asked to be forgotten: what they sent is shown redacted to those who had no sight of it.
 *
 * Client-Server API, "POST /account/deactivate", `erase`: "any users (or servers) which join the room after the erasure
 * request are served redacted copies of the events sent by this account. Users which had visibility on those events
 * prior to the erasure are still able to see unredacted copies."
 */
#pragma once

#include "room/client_event.h"
#include "room/view.h"

/* From memory. */
bool rooms_is_erased(struct rooms *rs, int64_t user);
/* Asks the store anew about one user, whose account was closed. */
NODISCARD err *rooms_erased_learn(struct rooms *rs, struct arena *a, int64_t user);
/*
 * Does the event go with its sender? What they said does, and state about themselves: their memberships, and whatever
 * else stands under their name. What they set of the room (its encryption, its name, the children of a space) is the
 * room's: without it those who come later would have another room, and an encrypted one would be none to them.
 */
NODISCARD err *rooms_event_is_erased(struct rooms *rs, struct arena *a, const struct event_row *row, bool *out);

/* Is any of these of an erased user? */
bool rooms_any_erased(struct rooms *rs, const struct event_row *const *rows, size_t n);
/* What of these rows is erased, and sent when the reader was not in the room, is shown redacted to them: sets
 * extras[i].instead. */
NODISCARD err *room_view_erase(struct room_view *v, const struct event_row *const *rows, size_t n,
			       struct client_extra *extras);
