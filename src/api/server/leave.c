/* leave.c - GET make_leave, PUT send_leave: Server-Server API, "Leaving Rooms (Rejecting Invites)". */
#include "api/server/room_door.h"

static err *get_make_leave(struct req *rq) { return door_make(rq, MEMBER_LEAVE, NULL, 0); }

static err *put_send_leave(struct req *rq)
{
	const struct event *event;

	TRY(door_send(rq, MEMBER_LEAVE, &event));
	reply_empty(rq);
	return NULL;
}

/* v1 answered with the status in the body. */
static err *put_send_leave_v1(struct req *rq)
{
	const struct event *event;

	TRY(door_send(rq, MEMBER_LEAVE, &event));
	reply_json_text(rq, 200, S("[200,{}]"));
	return NULL;
}

const struct route server_leave_routes[] = {
	{ "GET", "/_matrix/federation/v1/make_leave/{roomId}/{userId}", get_make_leave, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "PUT", "/_matrix/federation/v2/send_leave/{roomId}/{eventId}", put_send_leave, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "PUT", "/_matrix/federation/v1/send_leave/{roomId}/{eventId}", put_send_leave_v1, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
