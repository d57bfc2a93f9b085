/* sync.c - Client-Server API, "Syncing". */
#include "api/client/sync_presence.h"
#include "api/internal_api.h"
#include "base/clock.h"
#include "config/config.h"
#include "room/timeline.h"
#include "sync/legacy.h"

#include <stdatomic.h>

/* A client that waits longer asks again: proxies cut what is silent for long. */
static const int64_t timeout_most_ms = 10 * 60 * 1000;

static err *read_request(struct req *rq, struct sync_request *out, int64_t *out_timeout_ms)
{
	const struct config *config = atomic_load(&rq->services->config);

	*out = (struct sync_request){
		.user = rq->user,
		.user_id = rq->user_id,
		.device_id = rq->device_id,
		.since = req_query(rq, "since"),
		.filter = req_query(rq, "filter"),
		.max_timeline = config->rooms.filter_timeline_limit,
		.now = clock_ms(),
	};
	TRY(req_query_int(rq, "timeout", 0, out_timeout_ms));
	*out_timeout_ms = MAX(MIN(*out_timeout_ms, timeout_most_ms), 0);
	TRY(req_query_bool(rq, "full_state", false, &out->full_state));
	TRY(req_query_bool(rq, "use_state_after", false, &out->state_after));
	if (!out->state_after) {
		TRY(req_query_bool(rq, "org.matrix.msc4222.use_state_after", false, &out->state_after));
		out->state_after_unstable = out->state_after;
	}
	return NULL;
}

static err *get_sync(struct req *rq)
{
	struct sync_answer *answer;
	struct sync_request sync;
	int64_t timeout_ms, deadline;
	uint64_t seq;

	TRY(read_request(rq, &sync, &timeout_ms));
	TRY(sync_presence(rq));
	TRY(sync_v3(rq->services->syncs, rq->arena, &sync, &answer));
	deadline = rq->arrived_us + timeout_ms * 1000;
	if (!sync_answer_has_news(answer, &seq) && !req_park_expired(rq) && clock_mono_us() < deadline)
		return req_park(rq, rq->user, seq, deadline);
	sync_answer_write(answer, reply_json(rq, 200));
	return NULL;
}

/*
 * Deprecated calls
 */
static err *legacy_request(struct req *rq, struct legacy_request *out)
{
	*out = (struct legacy_request){
		.user = rq->user,
		.user_id = rq->user_id,
		.device_id = rq->device_id,
		.from = req_query(rq, "from"),
		.room_id = STR_NONE,
		.now = clock_ms(),
	};
	TRY(req_query_int(rq, "limit", -1, &out->limit));
	if (out->limit < 0 && !str_is_none(req_query(rq, "limit")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit is negative");
	return NULL;
}

static err *get_initial_sync(struct req *rq)
{
	struct legacy_request legacy;

	TRY(legacy_request(rq, &legacy));
	TRY(req_query_bool(rq, "archived", false, &legacy.archived));
	return legacy_initial_sync(rq->services->syncs, rq->arena, &legacy, reply_json(rq, 200));
}

static err *get_room_initial_sync(struct req *rq)
{
	struct legacy_request legacy;

	TRY(legacy_request(rq, &legacy));
	legacy.room_id = req_param(rq, "roomId");
	return legacy_room_initial_sync(rq->services->syncs, rq->arena, &legacy, reply_json(rq, 200));
}

static err *get_events(struct req *rq)
{
	struct legacy_request legacy;
	struct legacy_events *events;
	int64_t timeout_ms, deadline;
	uint64_t seq;

	TRY(legacy_request(rq, &legacy));
	legacy.room_id = req_query(rq, "room_id");
	TRY(req_query_int(rq, "timeout", 0, &timeout_ms));
	if (rq->is_guest && str_is_none(legacy.room_id))
		return err_new(rq->arena, ERR_GUEST_FORBIDDEN, "Guests listen to one room at a time");
	TRY(sync_presence(rq));
	TRY(legacy_events(rq->services->syncs, rq->arena, &legacy, &events, &seq));
	deadline = rq->arrived_us + MAX(MIN(timeout_ms, timeout_most_ms), 0) * 1000;
	/* Without a token every run would begin anew: the first one tells where. */
	if (!legacy_events_any(events) && !str_is_none(legacy.from) && !req_park_expired(rq) &&
	    clock_mono_us() < deadline)
		return req_park(rq, rq->user, seq, deadline);
	legacy_events_write(events, reply_json(rq, 200));
	return NULL;
}

static err *get_one_event(struct req *rq)
{
	const struct client_view reader = {
		.user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id, .now = clock_ms()
	};
	AUTO_BUF b = BUF_INIT(1024 * 1024);
	const str event_id = req_param(rq, "eventId");
	struct jw w = jw_to(&b);
	str room_id;

	TRY(legacy_event_room(rq->services->syncs, rq->arena, event_id, &room_id));
	TRY(room_event_get(rq->services->rooms, rq->arena, room_id, event_id, &reader, &w));
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

const struct route client_sync_routes[] = {
	{ "GET", "/_matrix/client/v3/sync", get_sync, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/initialSync", get_initial_sync, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/rooms/{roomId}/initialSync", get_room_initial_sync, AUTH_GUEST, RATE_NONE,
	  LANE_FAST },
	{ "GET", "/_matrix/client/v3/events", get_events, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/events/{eventId}", get_one_event, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
