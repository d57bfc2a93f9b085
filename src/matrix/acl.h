/* acl.h - server access control lists (m.room.server_acl). */
#pragma once

#include "json/json.h"

/* May the server take part in the room? `content` is that of the room's m.room.server_acl, NULL without one. A list
 * that is no list is empty: without an `allow` nobody may, as the specification has it. */
bool acl_allows(const struct json *content, str server_name);
