/* thread.h - which thread an event is in. Client-Server API, "Threading". */
#pragma once

#include "json/json.h"

/* What an event relates to: its content's m.relates_to. STR_NONE where there is none. */
struct relation {
	str rel_type, event_id;
};
struct relation relation_of(const struct json *content);

/*
 * The thread's root event id, or STR_NONE for the main timeline. `content_of` gives the content of the event that is
 * related to (NULL: not known). "An event is considered to be in a thread if it has a rel_type of m.thread, or,
 * following the event relationships, it has a parent event which references the thread root with a rel_type of
 * m.thread. [...] A maximum of 3 hops is recommended." An event that relates to a thread root by anything but m.thread
 * stays in the main timeline.
 */
NODISCARD err *thread_root_of(const struct json *content,
			      err *(*content_of)(void *ctx, str event_id, const struct json **out), void *ctx,
			      str *out_root);
