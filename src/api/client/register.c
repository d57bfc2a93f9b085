/*
 * register.c - specification: client-server-api, "Account registration", "Token-authenticated registration".
 *
 * Guests are not served: their registration is refused with M_GUEST_ACCESS_FORBIDDEN, which clients take as "this
 * server has none".
 */
#include "user/register.h"

#include "api/body.h"
#include "api/client/login.h"
#include "api/services.h"
#include "user/password.h"

static err *refuse_kind(struct req *rq)
{
	const str kind = req_query(rq, "kind");

	if (str_is_none(kind) || str_eq(kind, S("user")))
		return NULL;
	if (str_eq(kind, S("guest")))
		return err_new(rq->arena, ERR_GUEST_FORBIDDEN, "Guest access is disabled");
	return err_new(rq->arena, ERR_INVALID_PARAM, "There are no accounts of this kind");
}

static err *register_args(struct req *rq, const struct json *params, struct register_cmd *out)
{
	struct register_cmd cmd = { 0 };

	TRY(body_str(rq, params, "username", &cmd.name));
	TRY(body_str(rq, params, "password", &cmd.password));
	TRY(body_bool(rq, params, "inhibit_login", false, &cmd.inhibit_login));
	TRY(login_args(rq, params, &cmd.login));
	*out = cmd;
	return NULL;
}

/* "Homeservers MUST perform the relevant checks and return these codes before performing User-Interactive
 * Authentication". */
static err *check_early(struct req *rq, const struct register_cmd *cmd)
{
	struct users *us = rq->services->users;

	if (!str_is_none(cmd->name))
		TRY(register_available(us, rq->arena, cmd->name));
	if (!str_is_none(cmd->password))
		TRY(password_check_policy(&users_options(us)->password_policy, rq->arena, cmd->password));
	return NULL;
}

static err *open_session(struct req *rq, const struct json *body, struct uia_flow *flow, struct uia **out)
{
	const struct uia_request request = {
		.method = rq->method,
		.path = rq->path,
		.body = body,
		.flows = flow,
		.n_flows = 1,
	};

	register_flows(rq->services->users, flow);
	return uia_open(rq->services->users, rq->arena, &request, out);
}

static err *post_register(struct req *rq)
{
	struct users *us = rq->services->users;
	const struct json *body;
	struct register_cmd cmd;
	struct uia_flow flow;
	struct login l;
	struct uia *u;
	str user_id;

	TRY(refuse_kind(rq));
	if (!users_options(us)->enable_registration)
		return err_new(rq->arena, ERR_FORBIDDEN, "Registration has been disabled");
	TRY(req_body_object(rq, &body));
	TRY(open_session(rq, body, &flow, &u));
	TRY(register_args(rq, u->params, &cmd));
	cmd.uia = u;
	if (!u->result)
		TRY(check_early(rq, &cmd));
	TRY(uia_prove(us, rq->arena, u));
	if (str_is_none(cmd.password))
		return err_new(rq->arena, ERR_MISSING_PARAM, "password is missing");
	/* rc_registration counts accounts, not the requests that lead to one. */
	TRY(req_rate(rq, RATE_REGISTRATION, rq->address));
	TRY(register_account(us, rq->arena, &cmd, &user_id, &l));
	login_reply(rq, reply_json(rq, 200), user_id, &l);
	return NULL;
}

static err *get_available(struct req *rq)
{
	const str name = req_query(rq, "username");

	if (!users_options(rq->services->users)->enable_registration)
		return err_new(rq->arena, ERR_FORBIDDEN, "Registration has been disabled");
	if (str_is_none(name))
		return err_new(rq->arena, ERR_MISSING_PARAM, "username is missing");
	TRY(register_available(rq->services->users, rq->arena, name));
	jw_bool(reply_json(rq, 200), "available", true);
	return NULL;
}

static err *get_token_validity(struct req *rq)
{
	const str token = req_query(rq, "token");
	bool valid;

	/* "The homeserver does not permit registration and thus all tokens are considered invalid." */
	if (!users_options(rq->services->users)->enable_registration)
		return err_new(rq->arena, ERR_FORBIDDEN, "Registration has been disabled");
	if (str_is_none(token))
		return err_new(rq->arena, ERR_MISSING_PARAM, "token is missing");
	TRY(registration_token_valid(rq->services->users, rq->arena, token, &valid));
	jw_bool(reply_json(rq, 200), "valid", valid);
	return NULL;
}

const struct route client_register_routes[] = {
	{ "POST", "/_matrix/client/v3/register", post_register, AUTH_NONE, RATE_REGISTRATION_STEP, LANE_SLOW },
	{ "GET", "/_matrix/client/v3/register/available", get_available, AUTH_NONE, RATE_REGISTRATION_STEP, LANE_FAST },
	{ "GET", "/_matrix/client/v1/register/m.login.registration_token/validity", get_token_validity, AUTH_NONE,
	  RATE_REGISTRATION_TOKEN, LANE_FAST },
	{ 0 },
};
