/* internal_event.h - what event.c and event_parse.c share. */
#pragma once

#include "matrix/event.h"

/* The parsed view of an event whose form is known to be good; event_id and bytes are taken as they are. ERR_BAD_JSON
 * when a required member is missing or of a wrong type all the same. */
NODISCARD err *event_view(struct arena *a, const struct room_version *rv, const struct json *json, str event_id,
			  str bytes, struct event **out);

/* "$" and the URL-safe base64 of the reference hash. */
str event_id_of_hash(struct arena *a, const uint8_t hash[32]);
