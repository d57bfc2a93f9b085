/*
 * register.c - accounts made by who holds the shared secret: GET and POST /_synapse/admin/v1/register, as provisioning
 * tools (register_new_matrix_user and its kin) speak it.
 */
#include "user/register.h"

#include "api/body.h"
#include "api/client/login.h"
#include "api/services.h"

static err *get_nonce(struct req *rq)
{
	str nonce;

	TRY(register_nonce(rq->services->users, rq->arena, &nonce));
	jw_str(reply_json(rq, 200), "nonce", nonce);
	return NULL;
}

static err *need(struct req *rq, const struct json *body, const char *key, str *out)
{
	*out = json_get_str(body, str_c(key));
	return str_is_none(*out) ? err_new(rq->arena, ERR_BAD_JSON, "%s must be specified", key) : NULL;
}

static err *post_register(struct req *rq)
{
	struct users *us = rq->services->users;
	struct register_proof proof;
	struct register_cmd cmd = { 0 };
	const struct json *body;
	struct login l;
	str user_id;

	TRY(req_body_object(rq, &body));
	TRY(need(rq, body, "nonce", &proof.nonce));
	TRY(need(rq, body, "username", &proof.name));
	TRY(need(rq, body, "password", &proof.password));
	TRY(need(rq, body, "mac", &proof.mac));
	TRY(body_str(rq, body, "user_type", &proof.user_type));
	TRY(body_bool(rq, body, "admin", false, &proof.admin));
	TRY(register_check_proof(us, rq->arena, &proof));
	TRY(body_bool(rq, body, "inhibit_login", false, &cmd.inhibit_login));
	TRY(login_args(rq, body, &cmd.login));
	cmd.name = proof.name;
	cmd.password = proof.password;
	cmd.admin = proof.admin;
	TRY(register_account(us, rq->arena, &cmd, &user_id, &l));
	login_reply(rq, reply_json(rq, 200), user_id, &l);
	return NULL;
}

const struct route admin_register_routes[] = {
	{ "GET", "/_synapse/admin/v1/register", get_nonce, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "POST", "/_synapse/admin/v1/register", post_register, AUTH_NONE, RATE_NONE, LANE_SLOW },
	{ 0 },
};
