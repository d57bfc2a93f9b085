/*
 * dehydrated.c - dehydrated devices, MSC3814 as Synapse and matrix-js-sdk speak it.
 *
 * Off by option. Messages are read with GET; an older draft used POST, and always had a token for more.
 */
#include "api/body.h"
#include "api/services.h"
#include "config/config.h"
#include "e2ee/dehydrated.h"
#include "user/device.h"

static err *check_enabled(struct req *rq)
{
	if (rq->services->config->experimental.dehydrated_devices)
		return NULL;
	return err_new(rq->arena, ERR_UNRECOGNIZED, "Dehydrated devices are switched off here");
}

static err *read_device_id(struct req *rq, const struct json *body, str *out)
{
	TRY(body_need_str(rq, body, "device_id", out));
	if (out->n == 0 || out->n > DEVICE_ID_MAX)
		return err_new(rq->arena, ERR_INVALID_PARAM, "A device id has 1 to %d bytes", (int)DEVICE_ID_MAX);
	return NULL;
}

static err *put_device(struct req *rq)
{
	struct dehydrated_cmd cmd = { .user = rq->user, .user_id = rq->user_id };
	const struct json *data;

	TRY(check_enabled(rq));
	TRY(req_body_object(rq, &cmd.keys));
	TRY(read_device_id(rq, cmd.keys, &cmd.device_id));
	TRY(body_str(rq, cmd.keys, "initial_device_display_name", &cmd.display_name));
	if (cmd.display_name.n > DEVICE_NAME_MAX)
		return err_new(rq->arena, ERR_TOO_LARGE, "A device's name has at most %d bytes", (int)DEVICE_NAME_MAX);
	data = json_get_object(cmd.keys, S("device_data"));
	if (str_is_none(json_get_str(data, S("algorithm"))))
		return err_new(rq->arena, ERR_BAD_JSON, "device_data must be an object with an algorithm");
	cmd.data = data->raw;
	TRY(dehydrated_put(rq->services->e2ee, rq->arena, &cmd));
	jw_str(reply_json(rq, 200), "device_id", cmd.device_id);
	return NULL;
}

static err *none(struct req *rq) { return err_new(rq->arena, ERR_NOT_FOUND, "No dehydrated device available"); }

static err *get_device(struct req *rq)
{
	str device_id, data;
	struct jw *w;

	TRY(check_enabled(rq));
	TRY(dehydrated_get(rq->services->e2ee, rq->arena, rq->user, &device_id, &data));
	if (str_is_none(device_id))
		return none(rq);
	w = reply_json(rq, 200);
	jw_str(w, "device_id", device_id);
	jw_raw(w, "device_data", data);
	return NULL;
}

static err *delete_device(struct req *rq)
{
	str device_id;

	TRY(check_enabled(rq));
	TRY(dehydrated_delete(rq->services->e2ee, rq->arena, rq->user, &device_id));
	if (str_is_none(device_id))
		return none(rq);
	jw_str(reply_json(rq, 200), "device_id", device_id);
	return NULL;
}

static err *answer_events(struct req *rq, str from, bool always_next)
{
	struct dehydrated_events events;
	struct jw *w;
	int64_t limit;

	TRY(req_query_int(rq, "limit", DEHYDRATED_EVENTS_MAX, &limit));
	if (limit < 1)
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit must be positive");
	TRY(dehydrated_events(rq->services->e2ee, rq->arena, rq->user, req_param(rq, "deviceId"), from, (size_t)limit,
			      &events));
	w = reply_json(rq, 200);
	jw_array(w, "events");
	for (size_t i = 0; i < events.n; i++) {
		jw_object(w, NULL);
		jw_raw(w, "content", events.p[i].content);
		jw_str(w, "sender", events.p[i].sender);
		jw_str(w, "type", events.p[i].type);
		jw_end(w);
	}
	jw_end(w);
	if (events.limited || always_next)
		jw_str(w, "next_batch", events.next_batch);
	return NULL;
}

static err *get_events(struct req *rq)
{
	TRY(check_enabled(rq));
	return answer_events(rq, req_query(rq, "from"), false);
}

static err *post_events(struct req *rq)
{
	const struct json *body;
	str from;

	TRY(check_enabled(rq));
	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "next_batch", &from));
	return answer_events(rq, from, true);
}

#define DEVICE "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
const struct route client_dehydrated_routes[] = {
	{ "PUT", DEVICE, put_device, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", DEVICE, get_device, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "DELETE", DEVICE, delete_device, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", DEVICE "/{deviceId}/events", get_events, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "POST", DEVICE "/{deviceId}/events", post_events, AUTH_USER, RATE_NONE, LANE_FAST },
	{ 0 },
};
