/* receipt.c - Client-Server API, "Receipts", "Fully read markers", "Typing notifications". */
#include "api/body.h"
#include "api/internal_api.h"
#include "presence/presence.h"
#include "room/receipt.h"
#include "room/typing.h"
#include "room/view.h"

enum { TIMEOUT_MS = 30000 }; /* of a typing notification that gives none */

static struct actor by(const struct req *rq)
{
	return (struct actor){ .user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id };
}

static err *fully_read(struct req *rq, str event_id)
{
	const struct actor actor = by(rq);

	return room_fully_read(rq->services->rooms, rq->arena, &actor, req_param(rq, "roomId"), event_id);
}

/* The last of such a request: whoever reads or types is there. */
static err *done(struct req *rq)
{
	presence_acted(rq->services->presence, rq->arena, rq->user, rq->device_id);
	reply_empty(rq);
	return NULL;
}

static err *post_receipt(struct req *rq)
{
	const str type = req_param(rq, "receiptType");
	struct receipt_cmd cmd = {
		.by = by(rq),
		.room_id = req_param(rq, "roomId"),
		.event_id = req_param(rq, "eventId"),
		.kind = str_eq(type, S("m.read.private")) ? RECEIPT_READ_PRIVATE : RECEIPT_READ,
		.thread_id = STR_NONE,
	};
	const struct json *body, *thread;

	if (!str_eq(type, S("m.read")) && !str_eq(type, S("m.read.private")) && !str_eq(type, S("m.fully_read")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "no such receipt type");
	TRY(req_body_object_or_empty(rq, &body));
	thread = json_get(body, S("thread_id"));
	if (thread) {
		/* "It is not a string. It is empty. It is provided for an incompatible receipt type." */
		if (!json_is(thread, JSON_STR) || !thread->s.n || str_eq(type, S("m.fully_read")))
			return err_new(rq->arena, ERR_INVALID_PARAM,
				       "thread_id is a non-empty string, and not for m.fully_read");
		cmd.thread_id = thread->s;
	}
	if (str_eq(type, S("m.fully_read")))
		TRY(fully_read(rq, cmd.event_id));
	else
		TRY(room_receipt(rq->services->rooms, rq->arena, &cmd));
	return done(rq);
}

static err *receipt_of_member(struct req *rq, enum receipt_kind kind, str event_id)
{
	const struct receipt_cmd cmd = {
		.by = by(rq),
		.room_id = req_param(rq, "roomId"),
		.event_id = event_id,
		.kind = kind,
		.thread_id = STR_NONE,
	};

	return str_is_none(event_id) ? NULL : room_receipt(rq->services->rooms, rq->arena, &cmd);
}

static err *post_read_markers(struct req *rq)
{
	str read, read_private, fully;
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(body_str(rq, body, "m.read", &read));
	TRY(body_str(rq, body, "m.read.private", &read_private));
	TRY(body_str(rq, body, "m.fully_read", &fully));
	TRY(receipt_of_member(rq, RECEIPT_READ, read));
	TRY(receipt_of_member(rq, RECEIPT_READ_PRIVATE, read_private));
	if (!str_is_none(fully))
		TRY(fully_read(rq, fully));
	return done(rq);
}

static err *put_typing(struct req *rq)
{
	const struct json *body, *typing, *timeout;
	bool joined = false;
	int64_t room;

	TRY(api_own_user(rq, "userId"));
	TRY(req_body_object(rq, &body));
	typing = json_get(body, S("typing"));
	timeout = json_get(body, S("timeout"));
	if (!json_is(typing, JSON_BOOL))
		return err_new(rq->arena, typing ? ERR_BAD_JSON : ERR_MISSING_PARAM, "typing is a boolean");
	if (timeout && !json_is(timeout, JSON_INT))
		return err_new(rq->arena, ERR_BAD_JSON, "timeout is an integer");
	TRY(rooms_find(rq->services->rooms, rq->arena, req_param(rq, "roomId"), &room, NULL));
	if (room)
		TRY(room_is_joined(rq->services->rooms, rq->arena, room, rq->user, &joined));
	if (!joined)
		return err_new(rq->arena, ERR_FORBIDDEN, "you are not in this room");
	typing_set(rq->services->typing, room, rq->user, typing->b ? MAX(timeout ? timeout->i : TIMEOUT_MS, 1) : 0);
	return done(rq);
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}/"
const struct route client_receipt_routes[] = {
	{ "POST", ROOM "receipt/{receiptType}/{eventId}", post_receipt, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "POST", ROOM "read_markers", post_read_markers, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "PUT", ROOM "typing/{userId}", put_typing, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
