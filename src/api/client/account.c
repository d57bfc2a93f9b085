/*
 * account.c - specification: client-server-api, "Password management", "Account deactivation", "Current account
 * information".
 */
#include "api/body.h"
#include "api/services.h"
#include "user/password.h"
#include "user/uia.h"
#include "user/user.h"

static err *get_whoami(struct req *rq)
{
	struct jw *w = reply_json(rq, 200);

	jw_str(w, "user_id", rq->user_id);
	jw_str(w, "device_id", rq->device_id);
	jw_bool(w, "is_guest", rq->is_guest);
	return NULL;
}

static err *post_password(struct req *rq)
{
	struct users *us = rq->services->users;
	const struct json *body, *params;
	bool logout_devices;
	str password;

	TRY(req_body_object(rq, &body));
	TRY(body_str(rq, body, "new_password", &password));
	if (!str_is_none(password))
		TRY(password_check_policy(&users_options(us)->password_policy, rq->arena, password));
	TRY(uia_password(us, rq, body, false, &params));
	TRY(body_need_str(rq, params, "new_password", &password));
	TRY(body_bool(rq, params, "logout_devices", true, &logout_devices));
	TRY(users_set_password(us, rq->arena, rq->user_id, password, logout_devices, rq->device_id));
	reply_empty(rq);
	return NULL;
}

static err *post_deactivate(struct req *rq)
{
	const struct json *body, *params;
	bool erase;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(uia_password(rq->services->users, rq, body, false, &params));
	TRY(body_bool(rq, params, "erase", false, &erase));
	TRY(users_deactivate(rq->services->users, rq->arena, rq->user_id, erase));
	/* "This must be success if the homeserver has no identifiers to unbind for the user." */
	jw_str(reply_json(rq, 200), "id_server_unbind_result", S("success"));
	return NULL;
}

const struct route client_account_routes[] = {
	{ "GET", "/_matrix/client/v3/account/whoami", get_whoami, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "POST", "/_matrix/client/v3/account/password", post_password, AUTH_USER, RATE_NONE, LANE_SLOW },
	{ "POST", "/_matrix/client/v3/account/deactivate", post_deactivate, AUTH_USER, RATE_NONE, LANE_SLOW },
	{ 0 },
};
