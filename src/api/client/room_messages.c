/* room_messages.c - Client-Server API, "Getting events for a room": /messages, /context, /event, /timestamp_to_event.
 */
#include "api/internal_api.h"
#include "base/clock.h"
#include "room/nearest.h"
#include "room/timeline.h"

/* How long a page waits for what other servers have of it. */
static const int64_t gap_wait_us = INT64_C(10) * 1000000;

static struct client_view reader(const struct req *rq)
{
	return (struct client_view){
		.user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id, .now = clock_ms()
	};
}

static struct jw *answer(void *rq) { return reply_json(rq, 200); }

/* A page that comes to a gap in the room's history goes on among those who wait for other servers. */
static struct timeline_gaps gaps_for(struct req *rq)
{
	return (struct timeline_gaps){
		.backfill = rq->services->backfill,
		.may_ask = req_lane(rq) == LANE_REMOTE,
		.deadline_us = clock_mono_us() + gap_wait_us,
		.answer = answer,
		.ctx = rq,
	};
}

static err *filter_of_query(struct req *rq, struct event_filter *out)
{
	const str text = req_query(rq, "filter");
	struct json *json = NULL;

	if (!str_is_empty(text))
		TRY(json_parse(rq->arena, text, &json_limits_request, &json));
	return event_filter_parse(rq->arena, json, out);
}

static err *get_messages(struct req *rq)
{
	const struct client_view view = reader(rq);
	const str dir = req_query(rq, "dir");
	struct timeline_gaps gaps = gaps_for(rq);
	struct event_filter filter;
	struct messages_cmd cmd = {
		.room_id = req_param(rq, "roomId"),
		.from = req_query(rq, "from"),
		.to = req_query(rq, "to"),
		.backwards = str_eq(dir, S("b")),
		.filter = &filter,
		.view = &view,
		.gaps = gaps.backfill ? &gaps : NULL,
	};

	if (str_is_none(dir))
		return err_new(rq->arena, ERR_MISSING_PARAM, "dir is missing");
	if (!cmd.backwards && !str_eq(dir, S("f")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "dir is b or f");
	TRY(req_query_int(rq, "limit", 0, &cmd.limit));
	if (cmd.limit < 0)
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit is not negative");
	TRY(filter_of_query(rq, &filter));
	TRY(room_messages(rq->services->rooms, rq->arena, &cmd, cmd.gaps ? NULL : reply_json(rq, 200)));
	return gaps.wants_to_ask ? req_move(rq, LANE_REMOTE) : NULL;
}

static err *get_context(struct req *rq)
{
	const struct client_view view = reader(rq);
	struct timeline_gaps gaps = gaps_for(rq);
	struct event_filter filter;
	struct context_cmd cmd = {
		.room_id = req_param(rq, "roomId"),
		.event_id = req_param(rq, "eventId"),
		.filter = &filter,
		.view = &view,
		.gaps = gaps.backfill ? &gaps : NULL,
	};

	TRY(req_query_int(rq, "limit", 10, &cmd.limit));
	if (cmd.limit < 0)
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit is not negative");
	TRY(filter_of_query(rq, &filter));
	TRY(room_context(rq->services->rooms, rq->arena, &cmd, cmd.gaps ? NULL : reply_json(rq, 200)));
	return gaps.wants_to_ask ? req_move(rq, LANE_REMOTE) : NULL;
}

static err *get_event(struct req *rq)
{
	const struct client_view view = reader(rq);
	AUTO_BUF b = BUF_INIT(1024 * 1024);
	struct jw w = jw_to(&b);

	TRY(room_event_get(rq->services->rooms, rq->arena, req_param(rq, "roomId"), req_param(rq, "eventId"), &view,
			   &w));
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_nearest(struct req *rq)
{
	const struct client_view view = reader(rq);
	const str dir = req_query(rq, "dir");
	struct timeline_gaps gaps = gaps_for(rq);
	struct nearest_cmd cmd = {
		.room_id = req_param(rq, "roomId"),
		.forwards = str_eq(dir, S("f")),
		.view = &view,
		.gaps = gaps.backfill ? &gaps : NULL,
	};
	str event_id;
	int64_t ts;
	struct jw *w;

	if (str_is_none(req_query(rq, "ts")) || str_is_none(dir))
		return err_new(rq->arena, ERR_MISSING_PARAM, "ts says when, dir in which direction");
	TRY(req_query_int(rq, "ts", 0, &cmd.ts));
	if (!cmd.forwards && !str_eq(dir, S("b")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "dir is b or f");
	TRY(room_nearest(rq->services->rooms, rq->arena, &cmd, &event_id, &ts));
	if (gaps.wants_to_ask)
		return req_move(rq, LANE_REMOTE);
	w = reply_json(rq, 200);
	jw_str(w, "event_id", event_id);
	jw_int(w, "origin_server_ts", ts);
	return NULL;
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}/"
const struct route client_room_messages_routes[] = {
	{ "GET", ROOM "messages", get_messages, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "context/{eventId}", get_context, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "event/{eventId}", get_event, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v1/rooms/{roomId}/timestamp_to_event", get_nearest, AUTH_GUEST, RATE_NONE,
	  LANE_FAST },
	{ 0 },
};
