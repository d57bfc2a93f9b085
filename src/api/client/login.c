/*
 * login.c - specification: client-server-api, "Login", "Refreshing access tokens", "Logout".
 */
#include "api/client/login.h"

#include "api/body.h"
#include "api/services.h"
#include "config/config.h"
#include "user/device.h"
#include "user/uia.h"

err *login_args(struct req *rq, const struct json *body, struct login_cmd *out)
{
	struct login_cmd cmd = { .address = rq->address, .agent = req_header(rq, "User-Agent") };

	TRY(body_str(rq, body, "device_id", &cmd.device_id));
	TRY(body_str(rq, body, "initial_device_display_name", &cmd.display_name));
	TRY(body_bool(rq, body, "refresh_token", false, &cmd.want_refresh));
	TRY(login_check(rq->arena, &cmd));
	*out = cmd;
	return NULL;
}

static void tokens_reply(struct jw *w, const struct login *l)
{
	jw_str(w, "access_token", l->access_token);
	if (!str_is_none(l->refresh_token))
		jw_str(w, "refresh_token", l->refresh_token);
	if (l->expires_in_ms)
		jw_int(w, "expires_in_ms", l->expires_in_ms);
}

void login_reply(struct req *rq, struct jw *w, str user_id, const struct login *l)
{
	const struct config *cfg = rq->services->config;

	jw_str(w, "user_id", user_id);
	jw_str(w, "home_server", users_options(rq->services->users)->server_name);
	if (str_is_none(l->access_token))
		return; /* inhibit_login */
	tokens_reply(w, l);
	jw_str(w, "device_id", l->device_id);
	if (!cfg || str_is_none(cfg->public_baseurl))
		return;
	jw_object(w, "well_known");
	jw_object(w, "m.homeserver");
	jw_str(w, "base_url", cfg->public_baseurl);
	jw_end(w);
	jw_end(w);
}

static bool has_password_login(const struct req *rq)
{
	return !users_options(rq->services->users)->disable_password_login;
}

static bool has_token_login(const struct req *rq)
{
	return users_options(rq->services->users)->login_via_existing_session;
}

static err *get_login(struct req *rq)
{
	struct jw *w = reply_json(rq, 200);

	jw_array(w, "flows");
	if (has_password_login(rq)) {
		jw_object(w, NULL);
		jw_str(w, "type", S("m.login.password"));
		jw_end(w);
	}
	if (has_token_login(rq)) {
		jw_object(w, NULL);
		jw_str(w, "type", S("m.login.token"));
		jw_bool(w, "get_login_token", true);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

/* "m.id.user" in `identifier`, or the deprecated `user`. No third-party identifier is known to this server. */
static err *named_user(struct req *rq, const struct json *body, str *out)
{
	const struct json *identifier = json_get(body, S("identifier"));
	str type, medium;

	if (identifier && identifier->kind != JSON_NULL) {
		if (identifier->kind != JSON_OBJECT)
			return err_new(rq->arena, ERR_BAD_JSON, "identifier must be an object");
		TRY(body_need_str(rq, identifier, "type", &type));
		if (str_eq(type, S("m.id.user")))
			return body_need_str(rq, identifier, "user", out);
		if (str_eq(type, S("m.id.thirdparty")) || str_eq(type, S("m.id.phone")))
			return err_new(rq->arena, ERR_LOGIN_FAILED, "Invalid username or password");
		return err_new(rq->arena, ERR_UNKNOWN, "Unknown identifier type");
	}
	TRY(body_str(rq, body, "medium", &medium));
	if (!str_is_none(medium))
		return err_new(rq->arena, ERR_LOGIN_FAILED, "Invalid username or password");
	return body_need_str(rq, body, "user", out);
}

static err *password_account(struct req *rq, const struct json *body, const struct account **out)
{
	str name, password;

	TRY(named_user(rq, body, &name));
	TRY(body_need_str(rq, body, "password", &password));
	return login_password(rq->services->users, rq->arena, name, password, out);
}

static err *token_account(struct req *rq, const struct json *body, const struct account **out)
{
	str token;

	TRY(body_need_str(rq, body, "token", &token));
	return login_token(rq->services->users, rq->arena, token, out);
}

static err *post_login(struct req *rq)
{
	const struct account *acc;
	const struct json *body;
	struct login_cmd cmd;
	struct login l;
	str type;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "type", &type));
	TRY(login_args(rq, body, &cmd));
	if (str_eq(type, S("m.login.password")) && has_password_login(rq))
		TRY(password_account(rq, body, &acc));
	else if (str_eq(type, S("m.login.token")) && has_token_login(rq))
		TRY(token_account(rq, body, &acc));
	else
		return err_new(rq->arena, ERR_UNKNOWN, "Unknown login type %.*s", STR_ARG(type));
	cmd.user = acc->user;
	cmd.shown = acc->shown;
	TRY(login_start(rq->services->users, rq->arena, &cmd, &l));
	login_reply(rq, reply_json(rq, 200), acc->user_id, &l);
	return NULL;
}

/* POST /v1/login/get_token: "servers MUST always re-prompt the user for verification". */
static err *post_get_token(struct req *rq)
{
	struct users *us = rq->services->users;
	const struct json *body, *params;
	int64_t lifetime;
	struct jw *w;
	str token;

	if (!has_token_login(rq))
		return err_new(rq->arena, ERR_UNRECOGNIZED, "Login tokens are not given out here");
	TRY(req_body_object_or_empty(rq, &body));
	if (users_options(us)->login_via_existing_session_needs_uia)
		TRY(uia_password(us, rq, body, false, &params));
	TRY(login_token_new(us, rq->arena, rq->user, &token, &lifetime));
	w = reply_json(rq, 200);
	jw_str(w, "login_token", token);
	jw_int(w, "expires_in_ms", lifetime);
	return NULL;
}

static err *post_refresh(struct req *rq)
{
	const struct json *body;
	struct login l;
	str token;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "refresh_token", &token));
	TRY(login_refresh(rq->services->users, rq->arena, token, &l));
	tokens_reply(reply_json(rq, 200), &l);
	return NULL;
}

static err *post_logout(struct req *rq)
{
	TRY(login_end(rq->services->users, rq->arena, rq->user, rq->device_id));
	reply_empty(rq);
	return NULL;
}

static err *post_logout_all(struct req *rq)
{
	TRY(login_end_all(rq->services->users, rq->arena, rq->user));
	reply_empty(rq);
	return NULL;
}

const struct route client_login_routes[] = {
	{ "GET", "/_matrix/client/v3/login", get_login, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/login", post_login, AUTH_NONE, RATE_LOGIN, LANE_SLOW },
	{ "POST", "/_matrix/client/v1/login/get_token", post_get_token, AUTH_USER, RATE_LOGIN, LANE_SLOW },
	{ "POST", "/_matrix/client/v3/refresh", post_refresh, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/logout", post_logout, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/logout/all", post_logout_all, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
