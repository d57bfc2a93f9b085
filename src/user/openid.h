/*
 * openid.h - tokens by which a user shows another service who they are. Client-Server API, "OpenID"; Server-Server API,
 * "OpenID".
 *
 * Good for nothing else, for an hour, and as often as the service likes to ask.
 */
#pragma once

#include "user/user.h"

NODISCARD err *openid_token_new(struct users *us, struct arena *a, int64_t user, str *out_token,
				int64_t *out_lifetime_ms);
/* Whose it is. ERR_UNKNOWN_TOKEN. */
NODISCARD err *openid_token_user(struct users *us, struct arena *a, str token, str *out_user_id);
