/* sync_presence.h - what /sync and /events do for the presence of who asks. */
#pragma once

#include "http/http.h"

/* The device waits from now until the request has ended, and is shown as set_presence says. ERR_INVALID_PARAM. */
NODISCARD err *sync_presence(struct req *rq);
