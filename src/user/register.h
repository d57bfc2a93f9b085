/*
 * register.h - how accounts are made (specification: client-server-api, "Account registration").
 */
#pragma once

#include "user/login.h"
#include "user/uia.h"

/* The user id that an account called `name` (a localpart, or a whole id of this server) would get: capitals lowered.
 * ERR_INVALID_USERNAME. */
NODISCARD err *register_user_id(const struct users *us, struct arena *a, str name, str *out_user_id);
/* ERR_INVALID_USERNAME, ERR_USER_IN_USE. */
NODISCARD err *register_available(struct users *us, struct arena *a, str name);

struct register_cmd {
	str name;     /* STR_NONE: one is made up */
	str password; /* STR_NONE: none can log in with one */
	bool admin;
	bool inhibit_login;
	struct login_cmd login; /* without user */
	const struct uia *uia;  /* or NULL: what its stages proved is used up and kept with the account */
};
/* Makes the account and its first login in one commit. With a uia that made an account before: that account's further
 * login. ERR_INVALID_USERNAME, ERR_USER_IN_USE, ERR_WEAK_PASSWORD, ERR_UIA (the registration token was used up). */
NODISCARD err *register_account(struct users *us, struct arena *a, const struct register_cmd *cmd, str *out_user_id,
				struct login *out_login);
/* The stages that POST /register asks for. */
void register_flows(const struct users *us, struct uia_flow *out);

/* The shared-secret registration: a nonce lives a minute and works once. ERR_UNKNOWN when the secret is not configured.
 */
NODISCARD err *register_nonce(struct users *us, struct arena *a, str *out_nonce);
struct register_proof {
	str nonce, name, password, user_type; /* user_type STR_NONE: not sent */
	bool admin;
	str mac; /* hex of HMAC-SHA1 */
};
/* ERR_UNKNOWN (nonce unknown), ERR_FORBIDDEN (mac wrong). */
NODISCARD err *register_check_proof(struct users *us, struct arena *a, const struct register_proof *proof);

/*
 * Registration tokens
 */
struct registration_token {
	str token;
	int64_t uses_allowed; /* -1: any number */
	int64_t pending, completed;
	int64_t expires_at; /* ms; 0: never */
};
/* Could somebody register with it now (ms since 1970)? */
static inline bool registration_token_usable(const struct registration_token *t, int64_t now)
{
	return (t->expires_at == 0 || t->expires_at > now) &&
	       (t->uses_allowed < 0 || t->completed + t->pending < t->uses_allowed);
}
struct registration_tokens {
	const struct registration_token *p;
	size_t n;
};
/* The same of a token that somebody names. */
NODISCARD err *registration_token_valid(struct users *us, struct arena *a, str token, bool *out);
NODISCARD err *registration_tokens_list(struct users *us, struct arena *a, struct registration_tokens *out);
/* NULL: there is none. */
NODISCARD err *registration_token_get(struct users *us, struct arena *a, str token,
				      const struct registration_token **out);
/* token->token STR_NONE: one is made. ERR_INVALID_PARAM for one that exists, or is not an opaque identifier of at
 * most 64. */
NODISCARD err *registration_token_add(struct users *us, struct arena *a, struct registration_token *token);
/* uses_allowed and expires_at. ERR_NOT_FOUND. */
NODISCARD err *registration_token_update(struct users *us, struct arena *a, const struct registration_token *token);
NODISCARD err *registration_token_delete(struct users *us, struct arena *a, str token); /* ERR_NOT_FOUND */
