/*
 * login.h - from a password or a token to a login (a device with tokens), and its end.
 *
 * specification: client-server-api, "Login", "Refreshing access tokens", "Soft logout".
 */
#pragma once

#include "user/user.h"

/* What a person types: "@user:server", or a localpart. The account (exact, else regardless of case where that is
 * unambiguous), or NULL. */
NODISCARD err *login_find(struct users *us, struct arena *a, str name, const struct account **out);

/* The account whose password this is. ERR_LOGIN_FAILED for every other case, with the same words and after the same
 * time; ERR_LIMIT_EXCEEDED. Rehashes what is stored in an old way. 20-40 ms of CPU: slow lane. */
NODISCARD err *login_password(struct users *us, struct arena *a, str name, str password, const struct account **out);
/* The account of a login token, which is used up. ERR_LOGIN_FAILED. */
NODISCARD err *login_token(struct users *us, struct arena *a, str token, const struct account **out);
/* A login token for the account. */
NODISCARD err *login_token_new(struct users *us, struct arena *a, int64_t user, str *out_token,
			       int64_t *out_lifetime_ms);

struct login_cmd {
	int64_t user;
	str shown;         /* account.shown, after login_password; else STR_NONE */
	str device_id;     /* STR_NONE or "": a new one; a known one keeps its name and loses its tokens */
	str display_name;  /* of a new device; or STR_NONE */
	bool want_refresh; /* the client can refresh */
	str address, agent;
};
struct login {
	str device_id, access_token, refresh_token; /* refresh_token STR_NONE: none was given */
	int64_t expires_in_ms;                      /* 0: it does not expire */
};
/* ERR_INVALID_PARAM for a device id or name that is too long: asked before a password or a token is used up for it. */
NODISCARD err *login_check(struct arena *a, const struct login_cmd *cmd);
/* ERR_USER_DEACTIVATED, ERR_USER_LOCKED; ERR_LOGIN_FAILED when the password was changed meanwhile; as login_check. */
NODISCARD err *login_start(struct users *us, struct arena *a, const struct login_cmd *cmd, struct login *out);
/* ERR_UNKNOWN_TOKEN, with soft_logout where the login has only expired. */
NODISCARD err *login_refresh(struct users *us, struct arena *a, str refresh_token, struct login *out);
/* Ends the login and deletes its device / all of the user's. */
NODISCARD err *login_end(struct users *us, struct arena *a, int64_t user, str device_id);
NODISCARD err *login_end_all(struct users *us, struct arena *a, int64_t user);
