/* internal_uia.h - what register.c must know of a session's storage. */
#pragma once

#include "user/uia.h"

/* Under which a session is found in the store. */
str uia_session_hash(struct arena *a, str session);
/* What the session's row holds: the operation with the parameters that this request gave it, and what was completed. */
NODISCARD err *uia_seal(struct arena *a, const struct uia *u, str *out);
