/* knock.c - GET make_knock, PUT send_knock: Server-Server API, "Knocking upon a room". */
#include "api/server/room_door.h"

enum { VERSIONS_MOST = 64 };

static err *get_make_knock(struct req *rq)
{
	str versions[VERSIONS_MOST];
	const size_t n = req_query_all(rq, "ver", versions, VERSIONS_MOST);

	if (n == 0)
		return err_new(rq->arena, ERR_MISSING_PARAM, "ver must say which room versions your server supports");
	return door_make(rq, MEMBER_KNOCK, versions, n);
}

static err *put_send_knock(struct req *rq)
{
	const struct event *event;
	str state;

	TRY(door_send(rq, MEMBER_KNOCK, &event));
	TRY(admit_knock_state(rq->services->admit, rq->arena, req_param(rq, "roomId"), event->sender, &state));
	jw_raw(reply_json(rq, 200), "knock_room_state", state);
	return NULL;
}

const struct route server_knock_routes[] = {
	{ "GET", "/_matrix/federation/v1/make_knock/{roomId}/{userId}", get_make_knock, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "PUT", "/_matrix/federation/v1/send_knock/{roomId}/{eventId}", put_send_knock, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
