/* internal_api.h - what many handlers begin with. */
#pragma once

#include "api/services.h"

/* The user named in the path must be the one who asks: ERR_FORBIDDEN with these words. */
NODISCARD err *api_own_user(const struct req *rq, const char *param);
/* The number of the room in the path; ERR_NOT_FOUND where there is no such room. */
NODISCARD err *api_room(const struct req *rq, const char *param, int64_t *out_room);
