/* room_create.c - Client-Server API, "Creation". */
#include "api/client/room_actor.h"
#include "api/services.h"

static err *post_create(struct req *rq)
{
	bool elsewhere = false;
	struct create_cmd cmd = { .by = req_actor(rq), .out_elsewhere = req_elsewhere(rq, &elsewhere) };
	str room_id;

	TRY(req_body_object(rq, &cmd.body));
	TRY(room_create(rq->services->rooms, rq->arena, &cmd, &room_id));
	if (elsewhere)
		return req_move(rq, LANE_REMOTE);
	jw_str(reply_json(rq, 200), "room_id", room_id);
	return NULL;
}

extern const struct route client_room_create_routes[];
const struct route client_room_create_routes[] = {
	{ "POST", "/_matrix/client/v3/createRoom", post_create, AUTH_USER, RATE_ROOM_CREATION, LANE_FAST },
	{ 0 },
};
