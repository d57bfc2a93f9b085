/* media_want.h - which thumbnail a request asks for. */
#pragma once

#include "http/http.h"
#include "media/imager.h"

/* Of width, height, method, animated. ERR_MISSING_PARAM, ERR_INVALID_PARAM. */
NODISCARD err *media_want(struct req *rq, struct image_want *out);
