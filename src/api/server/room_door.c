#include "api/server/room_door.h"

err *door_make(struct req *rq, enum membership to, const str *versions, size_t n_versions)
{
	const struct admit_make cmd = {
		.origin = rq->origin,
		.room_id = req_param(rq, "roomId"),
		.user_id = req_param(rq, "userId"),
		.to = to,
		.versions = versions,
		.n_versions = n_versions,
	};
	const struct room_version *version;
	const struct json *event;
	struct jw *w;

	TRY(admit_make(rq->services->admit, rq->arena, &cmd, &version, &event));
	w = reply_json(rq, 200);
	jw_str(w, "room_version", version->id);
	jw_json(w, "event", event);
	return NULL;
}

err *door_send(struct req *rq, enum membership to, const struct event **out)
{
	struct admit_send cmd = {
		.origin = rq->origin,
		.room_id = req_param(rq, "roomId"),
		.event_id = req_param(rq, "eventId"),
		.to = to,
	};

	TRY(req_body_object(rq, &cmd.event));
	return admit_send(rq->services->admit, rq->arena, &cmd, out);
}
