/* openid.c - Client-Server API, "OpenID". */
#include "user/openid.h"

#include "api/internal_api.h"
#include "config/config.h"

static err *post_token(struct req *rq)
{
	const struct json *body;
	int64_t lifetime;
	struct jw *w;
	str token;

	TRY(api_own_user(rq, "userId"));
	TRY(req_body_object_or_empty(rq, &body));
	TRY(openid_token_new(rq->services->users, rq->arena, rq->user, &token, &lifetime));
	w = reply_json(rq, 200);
	jw_str(w, "access_token", token);
	jw_str(w, "token_type", S("Bearer"));
	jw_str(w, "matrix_server_name", rq->services->config->server_name);
	jw_int(w, "expires_in", lifetime / 1000);
	return NULL;
}

const struct route client_openid_routes[] = {
	{ "POST", "/_matrix/client/v3/user/{userId}/openid/request_token", post_token, AUTH_USER, RATE_NONE,
	  LANE_FAST },
	{ 0 },
};
