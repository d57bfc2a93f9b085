/*
 * event_file.h - one event out of a file that was dumped, or written by hand.
 *
 * An event with `hashes` is read as one from outside: format, size and content hash are checked, its id is the one that
 * its room version gives it (dumps may say it where it is not part of the event: then it must be right). One without is
 * a sketch: event_id, type, sender and content have to be there, the other members may be, and "rejected": true says
 * that it failed the authorisation rules.
 */
#pragma once

#include "matrix/event.h"

NODISCARD err *event_file_read(struct arena *a, const struct room_version *rv, const struct json *json,
			       struct event **out);
/* The event as it would be sent: without an event_id where that is no part of it, which is then *out_id, else STR_NONE.
 */
const struct json *event_file_bare(struct arena *a, const struct room_version *rv, const struct json *json,
				   str *out_id);
/* The room version that a create event says; STR_NONE for what is none. */
str event_file_version(const struct json *json);
