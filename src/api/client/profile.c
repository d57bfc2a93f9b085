/* profile.c - Client-Server API, "Profiles". */
#include "api/internal_api.h"
#include "config/config.h"
#include "flow/profile_spread.h"
#include "user/profile.h"

/* require_auth_for_profile_requests: "the server is unwilling to disclose" to those who are not logged in. */
static err *check_reader(const struct req *rq)
{
	if (rq->services->config->profiles.require_auth && str_is_empty(rq->user_id))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "profiles are shown to users who are logged in");
	return NULL;
}

static err *get_profile(struct req *rq)
{
	AUTO_BUF b = BUF_INIT(2 * PROFILE_MAX_BYTES);
	struct jw w = jw_to(&b);

	TRY(check_reader(rq));
	jw_object(&w, NULL);
	TRY(user_profile_write(rq->services->users, rq->arena, req_param(rq, "userId"), &w));
	jw_end(&w);
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_field(struct req *rq)
{
	const str field = req_param(rq, "keyName");
	struct jw *w;
	str value;

	TRY(check_reader(rq));
	TRY(user_profile_field(rq->services->users, rq->arena, req_param(rq, "userId"), field, &value));
	w = reply_json(rq, 200);
	if (!str_is_none(value)) {
		jw_key(w, field);
		jw_raw(w, NULL, value);
	}
	return NULL;
}

/* Administrators may change anybody's, as they may in Synapse. */
static err *check_writer(struct req *rq, str field)
{
	const struct config_profiles *may = &rq->services->config->profiles;

	if (!str_eq(req_param(rq, "userId"), rq->user_id) && !rq->is_admin)
		return err_new(rq->arena, ERR_FORBIDDEN, "that is another user's profile");
	if (!rq->is_admin && ((str_eq(field, S("displayname")) && !may->set_displayname) ||
			      (str_eq(field, S("avatar_url")) && !may->set_avatar_url)))
		return err_new(rq->arena, ERR_FORBIDDEN, "changing this is disabled on this server");
	return NULL;
}

static err *change(struct req *rq, str field, const struct json *value)
{
	const str user_id = req_param(rq, "userId");
	const struct account *account;
	bool spread = false;

	TRY(users_find(rq->services->users, rq->arena, user_id, &account));
	if (!account)
		return err_new(rq->arena, ERR_NOT_FOUND, "no such user");
	TRY(user_profile_set(rq->services->users, rq->arena, account->user, user_id, field, value, &spread));
	if (spread)
		profile_spread_kick(rq->services->spread);
	reply_empty(rq);
	return NULL;
}

static err *put_field(struct req *rq)
{
	const str field = req_param(rq, "keyName");
	const struct json *body, *value;

	TRY(check_writer(rq, field));
	TRY(req_body_object(rq, &body));
	value = json_get(body, field);
	if (!value)
		return err_new(rq->arena, ERR_MISSING_PARAM, "the body has no %.*s", STR_ARG(field));
	return change(rq, field, value);
}

static err *delete_field(struct req *rq)
{
	const str field = req_param(rq, "keyName");

	TRY(check_writer(rq, field));
	return change(rq, field, NULL);
}

#define FIELD "/_matrix/client/v3/profile/{userId}/{keyName}"
const struct route client_profile_routes[] = {
	{ "GET", "/_matrix/client/v3/profile/{userId}", get_profile, AUTH_OPTIONAL, RATE_NONE, LANE_FAST },
	{ "GET", FIELD, get_field, AUTH_OPTIONAL, RATE_NONE, LANE_FAST },
	{ "PUT", FIELD, put_field, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "DELETE", FIELD, delete_field, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
