/* room_send.c - Client-Server API, "Sending events to a room" and "Redactions". */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/services.h"
#include "flow/successor.h"
#include "presence/presence.h"

/* For application services, which alone may say when an event was sent, `ts` has no meaning here: it is not read. */
static err *send_event(struct req *rq, struct send_cmd *cmd)
{
	bool elsewhere = false;
	str event_id;

	cmd->by = req_actor(rq);
	cmd->room_id = req_param(rq, "roomId");
	cmd->out_elsewhere = req_elsewhere(rq, &elsewhere);
	TRY(room_send(rq->services->rooms, rq->arena, cmd, &event_id));
	if (elsewhere)
		return req_move(rq, LANE_REMOTE);
	presence_acted(rq->services->presence, rq->arena, rq->user, rq->device_id);
	if (str_eq(cmd->type, S("m.room.member")) && str_eq(cmd->state_key, rq->user_id) &&
	    str_eq(json_get_str(cmd->content, S("membership")), S("join")))
		successor_entered(rq->services->users, rq->services->rooms, rq->arena, rq->user, cmd->room_id);
	jw_str(reply_json(rq, 200), "event_id", event_id);
	return NULL;
}

static err *put_send(struct req *rq)
{
	struct send_cmd cmd = {
		.type = req_param(rq, "eventType"),
		.state_key = STR_NONE,
		.txn_id = req_param(rq, "txnId"),
		.txn_path = req_path_before(rq, "txnId"),
		.redacts = STR_NONE,
	};

	TRY(req_body_object(rq, &cmd.content));
	return send_event(rq, &cmd);
}

/* Without a transaction id, as clients did before there were any; no longer specified, still sent, and as safe to
 * repeat as its sender thinks. */
static err *post_send(struct req *rq)
{
	struct send_cmd cmd = {
		.type = req_param(rq, "eventType"),
		.state_key = STR_NONE,
		.txn_id = STR_NONE,
		.txn_path = STR_NONE,
		.redacts = STR_NONE,
	};

	TRY(req_body_object(rq, &cmd.content));
	return send_event(rq, &cmd);
}

static err *put_state_key(struct req *rq)
{
	struct send_cmd cmd = {
		.type = req_param(rq, "eventType"),
		.state_key = req_param(rq, "stateKey"),
		.txn_id = STR_NONE,
		.txn_path = STR_NONE,
		.redacts = STR_NONE,
	};

	TRY(req_body_object(rq, &cmd.content));
	return send_event(rq, &cmd);
}

/* "When an empty string, the trailing slash on this endpoint is optional." */
static err *put_state(struct req *rq)
{
	struct send_cmd cmd = {
		.type = req_param(rq, "eventType"),
		.state_key = S(""),
		.txn_id = STR_NONE,
		.txn_path = STR_NONE,
		.redacts = STR_NONE,
	};

	TRY(req_body_object(rq, &cmd.content));
	return send_event(rq, &cmd);
}

static err *redact(struct req *rq, str txn_id, str txn_path)
{
	struct send_cmd cmd = {
		.type = S("m.room.redaction"),
		.state_key = STR_NONE,
		.txn_id = txn_id,
		.txn_path = txn_path,
		.redacts = req_param(rq, "eventId"),
	};
	struct json *content = json_new_object(rq->arena);
	const struct json *body;
	str reason;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "reason", &reason));
	if (!str_is_none(reason))
		json_set(rq->arena, content, S("reason"), json_new_str(rq->arena, reason));
	cmd.content = content;
	return send_event(rq, &cmd);
}

static err *put_redact(struct req *rq) { return redact(rq, req_param(rq, "txnId"), req_path_before(rq, "txnId")); }

/* As post_send. */
static err *post_redact(struct req *rq) { return redact(rq, STR_NONE, STR_NONE); }

#define ROOM "/_matrix/client/v3/rooms/{roomId}"
extern const struct route client_room_send_routes[];
const struct route client_room_send_routes[] = {
	{ "PUT", ROOM "/send/{eventType}/{txnId}", put_send, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "POST", ROOM "/send/{eventType}", post_send, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "PUT", ROOM "/state/{eventType}", put_state, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "PUT", ROOM "/state/{eventType}/{stateKey}", put_state_key, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "PUT", ROOM "/redact/{eventId}/{txnId}", put_redact, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "POST", ROOM "/redact/{eventId}", post_redact, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ 0 },
};
