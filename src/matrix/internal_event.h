/* internal_event.h - what the files about events share. */
#pragma once

#include "matrix/event.h"

/* How this version's events are written: "Canonical JSON" of rooms/vN. */
enum json_canon event_canon(const struct room_version *rv);

/* The parsed view of an event whose form is known to be good; event_id and bytes are taken as they are. ERR_BAD_JSON
 * when a required member is missing or of a wrong type all the same. */
NODISCARD err *event_view(struct arena *a, const struct room_version *rv, const struct json *json, str event_id,
			  str bytes, struct event **out);

/* The id that an item of prev_events or auth_events names; STR_NONE when it is of another form. */
str event_ref_id(const struct room_version *rv, const struct json *ref);
/* An integer of any size, held at the nearest 64-bit one; false for all else. */
bool event_integer(const struct json *value, int64_t *out);

/* An event's id: the one it carries, or made of the reference hash, which is that of the bytes its signatures cover. */
str event_id_of(struct arena *a, const struct room_version *rv, str carried, str signed_bytes);

/* The redacted event as canonical text, with its signatures or (what those cover) without. `tree` is the whole event's
 * canonical tree: sorted, every value with its own bytes, without unsigned; `most` the length of its text. */
str event_redacted_text(struct arena *a, const struct room_version *rv, const struct json *tree, str type, size_t most,
			bool with_signatures);
