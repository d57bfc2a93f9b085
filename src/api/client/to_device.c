/* to_device.c - Client-Server API, "Send-to-Device messaging". */
#include "e2ee/to_device.h"
#include "api/services.h"

static err *put_to_device(struct req *rq)
{
	struct to_device_cmd cmd = {
		.sender = rq->user,
		.sender_id = rq->user_id,
		.device_id = rq->device_id,
		.type = req_param(rq, "eventType"),
		.txn_id = req_param(rq, "txnId"),
		.txn_path = req_path_before(rq, "txnId"),
	};
	const struct json *body;

	TRY(req_body_object(rq, &body));
	cmd.messages = json_get(body, S("messages"));
	if (!cmd.messages)
		return err_new(rq->arena, ERR_MISSING_PARAM, "messages is missing");
	TRY(to_device_send(rq->services->e2ee, rq->arena, &cmd));
	reply_empty(rq);
	return NULL;
}

enum { BODY_MAX = 8 << 20 }; /* a thousand devices at 8 KiB each */

const struct route client_to_device_routes[] = {
	{ "PUT", "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}", put_to_device, AUTH_GUEST, RATE_NONE, LANE_FAST,
	  BODY_MAX },
	{ 0 },
};
