/* room_state.c - Client-Server API, "Getting events for a room": state and members. */
#include "api/internal_api.h"
#include "base/clock.h"
#include "room/state.h"

static struct client_view reader(const struct req *rq)
{
	return (struct client_view){
		.user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id, .now = clock_ms()
	};
}

static err *get_state(struct req *rq)
{
	const struct client_view view = reader(rq);
	AUTO_BUF b = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&b);

	TRY(room_state_write(rq->services->rooms, rq->arena, req_param(rq, "roomId"), &view, &w));
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_one(struct req *rq, str state_key)
{
	const struct client_view view = reader(rq);
	const str format = req_query(rq, "format");
	const bool whole = str_eq(format, S("event"));
	AUTO_BUF b = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&b);

	if (!str_is_none(format) && !whole && !str_eq(format, S("content")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "format is content or event");
	TRY(room_state_write_one(rq->services->rooms, rq->arena, req_param(rq, "roomId"), req_param(rq, "eventType"),
				 state_key, whole, &view, &w));
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_state_key(struct req *rq) { return get_one(rq, req_param(rq, "stateKey")); }

/* "When an empty string, the trailing slash on this endpoint is optional." */
static err *get_state_type(struct req *rq) { return get_one(rq, S("")); }

static err *get_members(struct req *rq)
{
	const struct client_view view = reader(rq);
	const struct members_cmd cmd = {
		.room_id = req_param(rq, "roomId"),
		.at = req_query(rq, "at"),
		.membership = req_query(rq, "membership"),
		.not_membership = req_query(rq, "not_membership"),
		.reader = &view,
	};

	return room_members_write(rq->services->rooms, rq->arena, &cmd, reply_json(rq, 200));
}

static err *get_joined_members(struct req *rq)
{
	const struct client_view view = reader(rq);

	return room_joined_members_write(rq->services->rooms, rq->arena, req_param(rq, "roomId"), &view,
					 reply_json(rq, 200));
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}/"
const struct route client_room_state_routes[] = {
	{ "GET", ROOM "state", get_state, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "state/{eventType}", get_state_type, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "state/{eventType}/{stateKey}", get_state_key, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "members", get_members, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "joined_members", get_joined_members, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
