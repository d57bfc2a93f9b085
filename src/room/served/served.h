/*
 * served.h - what another server may read of a room, and how it is shown to it.
 *
 * Every inbound door that gives away events opens a `struct served` and asks it; none decides by itself. What a server
 * may not see by the history's visibility is shown redacted, and so is what erased users said of themselves (R13, R45):
 * a server that was there has it, and who asks has it not.
 */
#pragma once

#include "room/view.h"

struct served;
enum served_access {
	SERVED_IN_ROOM, /* a server with a joined user, or anybody where the history is world-readable and the room is
			 * for others (m.federate) */
	SERVED_ANY,     /* whoever the ACL allows: events say for themselves who may see them */
};
/* ERR_NOT_FOUND: no such room here. ERR_FORBIDDEN: by the ACL, or not in the room. */
NODISCARD err *served_open(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, str origin,
			   enum served_access access, struct served **out);
int64_t served_room(const struct served *s);
str served_room_id(const struct served *s);
const struct room_version *served_version(const struct served *s);
struct tx *served_tx(const struct served *s);
/* Has the origin a joined user in the room, now? */
bool served_in_room(const struct served *s);
/* The room's states, to read with. */
const struct state_tree *served_tree(const struct served *s);
/* May the origin see these events as they are? Consecutive events share a state: asked once. Never what was rejected.
 */
NODISCARD err *served_sees(struct served *s, const struct event_row *const *rows, size_t n, bool *seen);
/* The event's bytes as the origin gets them: whole where `sees`, else redacted. */
NODISCARD err *served_bytes(struct served *s, const struct event_row *row, bool sees, str *out);
/* The same for a row that whoever is in the room may have: only what is erased is redacted. */
NODISCARD err *served_bytes_of(struct rooms *rs, struct arena *a, const struct room_version *rv,
			       const struct event_row *row, bool sees, str *out);
