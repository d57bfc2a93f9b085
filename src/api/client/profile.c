/* profile.c - Client-Server API, "Profiles". */
#include "api/internal_api.h"
#include "config/config.h"
#include "federation/query.h"
#include "flow/profile_spread.h"
#include "matrix/id.h"
#include "user/profile.h"

/* require_auth_for_profile_requests: "the server is unwilling to disclose" to those who are not logged in. */
static err *check_reader(const struct req *rq)
{
	if (rq->services->config->profiles.require_auth && str_is_empty(rq->user_id))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "profiles are shown to users who are logged in");
	return NULL;
}

enum { REMOTE_MS = 10000 };

/* Of another server's user: that server is asked. */
static err *get_remote(struct req *rq, str field)
{
	const str user_id = req_param(rq, "userId");
	const struct json *profile;
	struct jw *w;

	if (!id_user_valid(user_id))
		return err_new(rq->arena, ERR_INVALID_PARAM, "that is no user id");
	if (req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	TRY(query_profile(rq->services->queries, rq->arena, user_id, field, rq->arrived_us + REMOTE_MS * 1000,
			  &profile));
	if (!str_is_none(field) && profile->object.n == 0 && !str_eq(field, S("displayname")) &&
	    !str_eq(field, S("avatar_url")))
		return err_new(rq->arena, ERR_NOT_FOUND, "the user has no such profile field");
	w = reply_json(rq, 200);
	JSON_EACH (profile, m) {
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	return NULL;
}

static bool is_remote(const struct req *rq) { return !users_is_local(rq->services->users, req_param(rq, "userId")); }

static err *get_profile(struct req *rq)
{
	AUTO_BUF b = BUF_INIT(2 * PROFILE_MAX_BYTES);
	struct jw w = jw_to(&b);

	TRY(check_reader(rq));
	if (is_remote(rq))
		return get_remote(rq, STR_NONE);
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
	if (is_remote(rq))
		return get_remote(rq, field);
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
