/* invite.c - PUT invite: Server-Server API, "Inviting to a room". */
#include "api/body.h"
#include "api/services.h"
#include "room/admit/admit.h"

static err *invite(struct req *rq, struct admit_invite *cmd, const struct json **out)
{
	const str user = json_get_str(cmd->event, S("state_key"));
	err *e;

	cmd->origin = rq->origin;
	cmd->room_id = req_param(rq, "roomId");
	cmd->event_id = req_param(rq, "eventId");
	TRY(req_rate(rq, RATE_INVITE_ROOM, cmd->room_id));
	e = str_is_none(user) ? NULL : req_rate(rq, RATE_INVITE_USER, user);
	if (!e) {
		e = admit_invite(rq->services->admit, rq->arena, cmd, out);
		if (e && !str_is_none(user))
			req_rate_back(rq, RATE_INVITE_USER, user);
	}
	if (e) /* what is refused takes nothing from those who may */
		req_rate_back(rq, RATE_INVITE_ROOM, cmd->room_id);
	return e;
}

static err *put_invite(struct req *rq)
{
	struct admit_invite cmd = { 0 };
	const struct json *body, *event;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "room_version", &cmd.version));
	cmd.event = json_get_object(body, S("event"));
	if (!cmd.event)
		return err_new(rq->arena, json_get(body, S("event")) ? ERR_BAD_JSON : ERR_MISSING_PARAM,
			       "event must be an object");
	cmd.stripped = json_get(body, S("invite_room_state"));
	TRY(invite(rq, &cmd, &event));
	jw_json(reply_json(rq, 200), "event", event);
	return NULL;
}

/* "Servers which receive a v1 invite request must assume that the room version is either 1 or 2." */
static err *put_invite_v1(struct req *rq)
{
	AUTO_BUF buf = BUF_INIT(4 << 20);
	struct jw w = jw_to(&buf);
	struct admit_invite cmd = { .version = S("1") };
	const struct json *event;

	TRY(req_body_object(rq, &cmd.event));
	cmd.stripped = json_get(json_get_object(cmd.event, S("unsigned")), S("invite_room_state"));
	TRY(invite(rq, &cmd, &event));
	jw_array(&w, NULL);
	jw_int(&w, NULL, 200);
	jw_object(&w, NULL);
	jw_json(&w, "event", event);
	jw_end(&w);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(rq->arena, ERR_TOO_LARGE, "the event is too long");
	reply_json_text(rq, 200, buf_str(&buf));
	return NULL;
}

const struct route server_invite_routes[] = {
	{ "PUT", "/_matrix/federation/v2/invite/{roomId}/{eventId}", put_invite, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ "PUT", "/_matrix/federation/v1/invite/{roomId}/{eventId}", put_invite_v1, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
