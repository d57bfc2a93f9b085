/* login.h - what registering and logging in have in common. */
#pragma once

#include "user/login.h"

/* device_id, initial_device_display_name and refresh_token of a body. ERR_BAD_JSON for a wrong type. */
NODISCARD err *login_args(struct req *rq, const struct json *body, struct login_cmd *out);
/* The members of a fresh login, `home_server` and `well_known` included, into an open object. */
void login_reply(struct req *rq, struct jw *w, str user_id, const struct login *l);
