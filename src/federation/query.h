/*
 * query.h - what other servers know of names: profiles, aliases, lists of rooms, spaces.
 *
 * Server-Server API, "Querying for information", "Published Room Directory", "Spaces". People look at the same names
 * again and again: an answer is kept for a short while, within a bound on bytes, and who asks for what is being asked
 * for already waits for that answer. Holds up the calling thread: no lock may be held. Everything is checked for its
 * form; what is none of it is left out.
 */
#pragma once

#include "federation/fed.h"

struct queries;
struct queries_options { /* borrowed for the life of the service */
	struct fed *fed;
	size_t max_bytes;        /* kept; 0: chosen */
	int64_t (*now_us)(void); /* NULL: clock_mono_us */
};
struct queries *queries_new(const struct queries_options *opt);
void queries_free(struct queries **q);

/* What a request of ours says of itself. content NULL: GET. */
struct query_ask {
	str destination, path;
	const struct json *content;
	size_t max_bytes;        /* of the answer */
	int64_t keep_us, bad_us; /* for how long an answer is good, and a no (0: not kept) */
	int64_t deadline_us;
};
/* An object, in arena a. Errors as fed_call's; ERR_CONNECTION_TIMEOUT: somebody else is still asking. */
NODISCARD err *query_get(struct queries *q, struct arena *a, const struct query_ask *ask, const struct json **out);

/* The profile of another server's user, or one field of it (field STR_NONE: all): an object. ERR_NOT_FOUND. */
NODISCARD err *query_profile(struct queries *q, struct arena *a, str user_id, str field, int64_t deadline_us,
			     const struct json **out);
/* Which room an alias of another server names, and who may be asked about it. ERR_NOT_FOUND. */
NODISCARD err *query_alias(struct queries *q, struct arena *a, str alias, int64_t deadline_us, str *out_room_id,
			   str **out_servers, size_t *out_n);
/* Another server's list of public rooms, a page of it: `body` as of POST /publicRooms. */
NODISCARD err *query_public_rooms(struct queries *q, struct arena *a, str server_name, const struct json *body,
				  int64_t deadline_us, const struct json **out);
/* GET /hierarchy/{roomId}. Only its outermost form is checked: `room`, `children`, `inaccessible_children`. */
NODISCARD err *query_hierarchy(struct queries *q, struct arena *a, str server_name, str room_id, bool suggested_only,
			       int64_t deadline_us, const struct json **out);

/* What is good of a room's summary as another server gives it, as a new object: NULL where it is none. */
struct json *query_room_summary(struct arena *a, const struct json *given);
