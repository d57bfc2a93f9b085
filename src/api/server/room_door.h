/* room_door.h - what the endpoints have in common by which users of other servers enter and leave rooms. */
#pragma once

#include "api/services.h"
#include "room/admit/admit.h"

/* GET make_...: answers with the room's version and the template. */
NODISCARD err *door_make(struct req *rq, enum membership to, const str *versions, size_t n_versions);
/* PUT send_...: the event is on disk, and on its way to the others. */
NODISCARD err *door_send(struct req *rq, enum membership to, const struct event **out);
