/* filter.c - Client-Server API, "Filtering". */
#include "api/internal_api.h"
#include "user/account_data.h"

static err *post_filter(struct req *rq)
{
	const struct json *filter;
	str id;

	TRY(api_own_user(rq, "userId"));
	TRY(req_body_object(rq, &filter));
	TRY(user_filter_add(rq->services->users, rq->arena, rq->user, filter, &id));
	jw_str(reply_json(rq, 200), "filter_id", id);
	return NULL;
}

static err *get_filter(struct req *rq)
{
	str text;

	TRY(api_own_user(rq, "userId"));
	TRY(user_filter_get(rq->services->users, rq->arena, rq->user, req_param(rq, "filterId"), &text));
	reply_json_text(rq, 200, text);
	return NULL;
}

const struct route client_filter_routes[] = {
	{ "POST", "/_matrix/client/v3/user/{userId}/filter", post_filter, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/user/{userId}/filter/{filterId}", get_filter, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
