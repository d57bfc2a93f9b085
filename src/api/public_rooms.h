/* public_rooms.h - the list of public rooms, as it is asked for by clients and by servers: who may ask is the caller's
 * to say. */
#pragma once

#include "http/http.h"

NODISCARD err *public_rooms_get(struct req *rq);
NODISCARD err *public_rooms_post(struct req *rq);
