/*
 * sync.h - what is new for a client: GET /sync, and its deprecated forerunners. Client-Server API, "Syncing".
 *
 * `struct syncs` is the service, made in main/. An answer is gathered first and written afterwards: all reading is over
 * when the first byte is written, and an answer without news is dropped for a wait.
 */
#pragma once

#include "json/writer.h"
#include "room/room.h"

struct bus;
struct e2ee;
struct notify;
struct presence;
struct rooms;
struct store;
struct typing;
struct users;
struct syncs;

struct syncs_options { /* everything is borrowed for the life of the service */
	struct store *store;
	struct bus *bus;
	struct users *users;
	struct rooms *rooms;
	struct notify *notify; /* unread counts */
	struct e2ee *e2ee;
	struct typing *typing;
	struct presence *presence; /* NULL: nobody's is told */
	size_t lazy_bytes;         /* what is remembered of members sent to devices; 0: chosen */
	size_t member_bytes;       /* users' memberships; 0: chosen */
};
NODISCARD err *syncs_new(struct arena *a, const struct syncs_options *opt, struct syncs **out);
void syncs_free(struct syncs **ss);

/* Who asks, and what of. Texts as they came; STR_NONE: not given. */
struct sync_request {
	int64_t user;
	str user_id, device_id;
	str since, filter;
	bool full_state;
	bool state_after;          /* use_state_after */
	bool state_after_unstable; /* asked for by its name before the specification had it */
	int64_t max_timeline;      /* no timeline has more events than that; negative: any number */
	int64_t now;               /* ms since 1970 */
};

struct sync_answer;
/* Gathers the answer, which lives in the arena.
 * ERR_INVALID_PARAM (a token that is none, no such filter), ERR_BAD_JSON, ERR_NOT_JSON (a filter). */
NODISCARD err *sync_v3(struct syncs *ss, struct arena *a, const struct sync_request *rq, struct sync_answer **out);
/* Is there something to tell? Otherwise *out_seq is what to wait with (req_park) until there may be. */
bool sync_answer_has_news(const struct sync_answer *an, uint64_t *out_seq);
/* The members of the answer's object. */
void sync_answer_write(struct sync_answer *an, struct jw *w);

/* The stream position in a token of /sync; false when it is none. */
bool sync_token_stream(str token, int64_t *out_position);
