/* user_directory.c - Client-Server API, "User Directory". */
#include "api/internal_api.h"
#include "config/config.h"
#include "user/profile.h"

static err *post_search(struct req *rq)
{
	const struct config_user_directory *dir = &rq->services->config->user_directory;
	struct directory_search s = { .viewer = rq->user, .limit = 10, .everybody = dir->search_all_users };
	const struct json *body, *limit;

	TRY(req_body_object(rq, &body));
	s.term = json_get_str(body, S("search_term"));
	if (str_is_none(s.term))
		return err_new(rq->arena, ERR_MISSING_PARAM, "search_term is missing");
	limit = json_get(body, S("limit"));
	if (limit && !json_is(limit, JSON_INT))
		return err_new(rq->arena, ERR_BAD_JSON, "limit is an integer");
	s.limit = limit ? limit->i : s.limit;
	if (!dir->enabled) {
		reply_json_text(rq, 200, S("{\"limited\":false,\"results\":[]}"));
		return NULL;
	}
	return user_directory_search(rq->services->users, rq->arena, &s, reply_json(rq, 200));
}

const struct route client_user_directory_routes[] = {
	{ "POST", "/_matrix/client/v3/user_directory/search", post_search, AUTH_USER, RATE_USER_DIRECTORY, LANE_FAST },
	{ 0 },
};
