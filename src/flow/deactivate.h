/* deactivate.h - what becomes of a closed account's rooms. Client-Server API, "Account deactivation". */
#pragma once

#include "user/user.h"

struct rooms;

/* Leaves every room the user is joined to, declines invitations, takes knocks back. A room that refuses is logged and
 * passed over. Can be run again: rooms that were left are not asked twice. */
NODISCARD err *deactivate_rooms(struct rooms *rs, const struct log *log, struct arena *a, int64_t user, str user_id);
