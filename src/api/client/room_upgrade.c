/* room_upgrade.c - Client-Server API, "Room Upgrades". */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/services.h"
#include "flow/successor.h"

static err *post_upgrade(struct req *rq)
{
	struct upgrade_cmd cmd = { .by = req_actor(rq), .room_id = req_param(rq, "roomId") };
	const struct json *body;
	str successor;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "new_version", &cmd.new_version));
	cmd.additional_creators = json_get(body, S("additional_creators"));
	if (json_is(cmd.additional_creators, JSON_NULL))
		cmd.additional_creators = NULL;
	TRY(room_upgrade(rq->services->rooms, rq->arena, &cmd, &successor));
	successor_carry_over(rq->services->users, rq->services->rooms, rq->arena, cmd.room_id, successor);
	jw_str(reply_json(rq, 200), "replacement_room", successor);
	return NULL;
}

extern const struct route client_room_upgrade_routes[];
const struct route client_room_upgrade_routes[] = {
	{ "POST", "/_matrix/client/v3/rooms/{roomId}/upgrade", post_upgrade, AUTH_USER, RATE_ROOM_CREATION, LANE_SLOW },
	{ 0 },
};
