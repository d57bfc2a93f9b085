/* internal_directory.h - what profile.c tells the user directory. */
#pragma once

#include "user/profile.h"

struct tx;
/* The words of a user id and a display name (STR_NONE: none), in the profile's own transaction. */
NODISCARD err *directory_index(struct tx *tx, struct arena *a, int64_t user, str user_id, str displayname);
