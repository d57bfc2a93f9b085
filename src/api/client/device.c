/* device.c - specification: client-server-api, "Device Management". */
#include "user/device.h"

#include "api/body.h"
#include "api/services.h"
#include "user/uia.h"

static void write_device(struct jw *w, const struct device *d)
{
	jw_str(w, "device_id", d->device_id);
	/* null where there is none, as Synapse answers: matrix-nio refuses devices without these members. */
	jw_str_or_null(w, "display_name", d->display_name);
	jw_str_or_null(w, "last_seen_ip", d->seen_ip);
	jw_int(w, "last_seen_ts", d->seen_at);
}

static err *get_devices(struct req *rq)
{
	struct devices list;
	struct jw *w;

	TRY(devices_list(rq->services->users, rq->arena, rq->user, &list));
	w = reply_json(rq, 200);
	jw_array(w, "devices");
	for (size_t i = 0; i < list.n; i++) {
		jw_object(w, NULL);
		write_device(w, &list.p[i]);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static err *get_device(struct req *rq)
{
	const struct device *d;

	TRY(device_get(rq->services->users, rq->arena, rq->user, req_param(rq, "deviceId"), &d));
	if (!d)
		return err_new(rq->arena, ERR_NOT_FOUND, "There is no such device");
	write_device(reply_json(rq, 200), d);
	return NULL;
}

static err *put_device(struct req *rq)
{
	const struct json *body;
	str name;

	TRY(req_body_object(rq, &body));
	TRY(body_str(rq, body, "display_name", &name));
	TRY(device_rename(rq->services->users, rq->arena, rq->user, req_param(rq, "deviceId"), name));
	reply_empty(rq);
	return NULL;
}

static err *delete_device(struct req *rq)
{
	const str id = req_param(rq, "deviceId");
	const struct json *body, *params;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(uia_password(rq->services->users, rq, body, true, &params));
	TRY(devices_delete(rq->services->users, rq->arena, rq->user, &id, 1));
	reply_empty(rq);
	return NULL;
}

static err *device_ids(struct req *rq, const struct json *params, const str **out, size_t *out_n)
{
	const struct json *list = json_get(params, S("devices"));
	str *ids;

	if (!list)
		return err_new(rq->arena, ERR_MISSING_PARAM, "devices is missing");
	if (list->kind != JSON_ARRAY)
		return err_new(rq->arena, ERR_BAD_JSON, "devices must be a list");
	if (list->array.n > DEVICES_PER_USER)
		return err_new(rq->arena, ERR_INVALID_PARAM, "More than %d devices at once", (int)DEVICES_PER_USER);
	ids = ARENA_ARRAY(rq->arena, str, list->array.n);
	JSON_ITEMS (list, i) {
		if (!json_is(list->array.items[i], JSON_STR))
			return err_new(rq->arena, ERR_BAD_JSON, "A device id is a string");
		ids[i] = list->array.items[i]->s;
	}
	*out = ids;
	*out_n = list->array.n;
	return NULL;
}

static err *post_delete_devices(struct req *rq)
{
	const struct json *body, *params;
	const str *ids;
	size_t n;

	TRY(req_body_object(rq, &body));
	TRY(uia_password(rq->services->users, rq, body, true, &params));
	TRY(device_ids(rq, params, &ids, &n));
	TRY(devices_delete(rq->services->users, rq->arena, rq->user, ids, n));
	reply_empty(rq);
	return NULL;
}

const struct route client_device_routes[] = {
	{ "GET", "/_matrix/client/v3/devices", get_devices, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/devices/{deviceId}", get_device, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "PUT", "/_matrix/client/v3/devices/{deviceId}", put_device, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "DELETE", "/_matrix/client/v3/devices/{deviceId}", delete_device, AUTH_USER, RATE_NONE, LANE_SLOW },
	{ "POST", "/_matrix/client/v3/delete_devices", post_delete_devices, AUTH_USER, RATE_NONE, LANE_SLOW },
	{ 0 },
};
