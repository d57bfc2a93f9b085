/* body.h - members of a request's body: absent and null are the same, a wrong type is ERR_BAD_JSON. */
#pragma once

#include "http/http.h"

/* STR_NONE: absent. */
NODISCARD err *body_str(struct req *rq, const struct json *body, const char *key, str *out);
/* ERR_MISSING_PARAM: absent. */
NODISCARD err *body_need_str(struct req *rq, const struct json *body, const char *key, str *out);
NODISCARD err *body_bool(struct req *rq, const struct json *body, const char *key, bool otherwise, bool *out);
