/* password.h - what a new password must be like. */
#pragma once

#include "user/user.h"

enum { PASSWORD_MAX = 512 }; /* bytes */

/* ERR_WEAK_PASSWORD says what is missing; ERR_INVALID_PARAM: empty, or longer than PASSWORD_MAX. */
NODISCARD err *password_check_policy(const struct password_policy *policy, struct arena *a, str password);
