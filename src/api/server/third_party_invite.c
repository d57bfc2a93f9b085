/* third_party_invite.c - Server-Server API, "Third-party invites". In the lane of those who wait for other servers. */
#include "api/body.h"
#include "api/services.h"
#include "room/admit/admit.h"

static err *put_exchange(struct req *rq)
{
	const struct json *event;

	TRY(req_body_object(rq, &event));
	TRY(admit_exchange(rq->services->admit, rq->arena, rq->origin, req_param(rq, "roomId"), event));
	reply_empty(rq);
	return NULL;
}

/* By identity servers, who sign nothing but what they say. */
static err *put_onbind(struct req *rq)
{
	const struct json *body, *invites;
	str user_id;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "mxid", &user_id));
	invites = json_get(body, S("invites"));
	if (!json_is(invites, JSON_ARRAY))
		return err_new(rq->arena, invites ? ERR_BAD_JSON : ERR_MISSING_PARAM, "invites must be a list");
	TRY(admit_bound(rq->services->admit, rq->arena, user_id, invites));
	reply_empty(rq);
	return NULL;
}

const struct route server_third_party_invite_routes[] = {
	{ "PUT", "/_matrix/federation/v1/exchange_third_party_invite/{roomId}", put_exchange, AUTH_SERVER, RATE_NONE,
	  LANE_REMOTE },
	{ "PUT", "/_matrix/federation/v1/3pid/onbind", put_onbind, AUTH_NONE, RATE_INVITE, LANE_REMOTE },
	{ 0 },
};
