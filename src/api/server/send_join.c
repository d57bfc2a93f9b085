/* send_join.c - PUT send_join: Server-Server API, "Joining Rooms". The answer may be very long, so it is sent from a
 * source. */
#include "api/server/room_door.h"

static err *fill(void *source, struct arena *a, char *p, size_t max, size_t *out_n)
{
	return join_answer_fill(source, a, p, max, out_n);
}

static void drop(void *source)
{
	struct join_answer *ja = source;

	join_answer_free(&ja);
}

static err *send_join(struct req *rq, bool v1)
{
	static const struct source_ops ops = { fill, drop };
	struct join_answer_cmd cmd = { .room_id = req_param(rq, "roomId"), .v1 = v1 };
	struct join_answer *ja;

	if (!v1)
		TRY(req_query_bool(rq, "omit_members", false, &cmd.omit_members));
	TRY(req_rate(rq, RATE_JOIN_ROOM, cmd.room_id));
	TRY(door_send(rq, MEMBER_JOIN, &cmd.event));
	TRY(join_answer_new(rq->services->admit, rq->arena, &cmd, &ja));
	reply_stream(rq, 200, S("application/json"), HTTP_LENGTH_UNKNOWN, &ops, ja);
	return NULL;
}

static err *put_send_join(struct req *rq) { return send_join(rq, false); }
static err *put_send_join_v1(struct req *rq) { return send_join(rq, true); }

const struct route server_send_join_routes[] = {
	{ "PUT", "/_matrix/federation/v2/send_join/{roomId}/{eventId}", put_send_join, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "PUT", "/_matrix/federation/v1/send_join/{roomId}/{eventId}", put_send_join_v1, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
