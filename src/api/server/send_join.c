/* send_join.c - PUT send_join: Server-Server API, "Joining Rooms". The answer may be very long: it is read as it is
 * sent.
 */
#include "api/server/event_list.h"
#include "api/server/room_door.h"

static err *send_join(struct req *rq, bool v1)
{
	const str room_id = req_param(rq, "roomId");
	struct join_answer_cmd cmd = { 0 };
	struct event_list_frame frame;
	struct join_answer ja;
	err *e;

	if (!v1)
		TRY(req_query_bool(rq, "omit_members", false, &cmd.omit_members));
	TRY(req_rate(rq, RATE_JOIN_ROOM, room_id));
	e = door_send(rq, MEMBER_JOIN, &cmd.event);
	if (e) { /* whoever is refused keeps nobody else out */
		req_rate_back(rq, RATE_JOIN_ROOM, room_id);
		return e;
	}
	TRY(admit_join_answer(rq->services->admit, rq->arena, &cmd, &ja));
	frame = (struct event_list_frame){ ja.members, v1 };
	/* What the state rests upon comes first: who reads it as it comes can judge at once. */
	const struct event_list lists[] = { { "auth_chain", ja.chain, ja.n_chain }, { "state", ja.state, ja.n_state } };
	reply_event_lists_in(rq, room_id, &frame, lists, ARRAY_LEN(lists));
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
