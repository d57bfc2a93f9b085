/* server_acl.h - may a server take part in a room? (Server-Server API, "Server Access Control Lists".) Asked on every
 * inbound door that names a room, for PDUs and EDUs alike. */
#pragma once

#include "room/room.h"

/* By the room's current m.room.server_acl, from memory in a busy room. A room that is not known has none. */
NODISCARD err *room_acl_allows(struct rooms *rs, struct arena *a, str room_id, str server_name, bool *out);
/* The same as an error: ERR_FORBIDDEN. */
NODISCARD err *room_acl_check(struct rooms *rs, struct arena *a, str room_id, str server_name);
