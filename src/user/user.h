/*
 * user.h - the accounts of this server: who they are, and how a request shows whose it is.
 *
 * `struct users` is the service; main/ makes one and api/services.h carries it. Everything that it knows is in the
 * store, so that any process can answer; what it keeps in memory is a bounded cache of access tokens, so that an
 * authenticated request costs no SQL. Its other doors: user/login.h (passwords, login and refresh tokens),
 * user/device.h, user/register.h, user/uia.h (user-interactive authentication).
 */
#pragma once

#include "http/http.h"

struct e2ee;
struct store;
struct bus;
struct users;

/* One document that m.login.terms asks a new user to accept ("policies" in the specification). */
struct user_policy {
	str id;       /* "privacy_policy" */
	str version;  /* "1.0" */
	str language; /* "en" */
	str name;     /* shown to people */
	str url;
};

/* What a new password must have; nothing is asked of one unless `enabled`. */
struct password_policy {
	bool enabled;
	int64_t minimum_length; /* in characters */
	bool require_digit, require_symbol, require_lowercase, require_uppercase;
};

/* Borrowed for the life of the service. Times in milliseconds; 0 means: for ever, or not at all. */
struct users_options {
	struct store *store;
	struct bus *bus;
	struct e2ee *e2ee; /* tells other servers of changed devices; NULL: nobody does */
	const struct log *log;
	str server_name;
	bool enable_registration;         /* POST /register */
	bool registration_requires_token; /* m.login.registration_token */
	bool inhibit_user_in_use_error;   /* /register/available says yes to every good name */
	bool disable_password_login;
	str registration_shared_secret; /* STR_NONE: /_synapse/admin/v1/register is off */
	str password_pepper;            /* of bcrypt hashes that came from Synapse; STR_NONE or "" */
	bool cheap_hashes;              /* the least that argon2id takes: for tests */
	struct password_policy password_policy;
	const struct user_policy *policies;
	size_t n_policies;
	int64_t session_lifetime_ms;                  /* a login ends then, whatever is refreshed */
	int64_t refreshable_access_token_lifetime_ms; /* 0: refresh tokens are not given */
	int64_t nonrefreshable_access_token_lifetime_ms;
	int64_t refresh_token_lifetime_ms;
	int64_t uia_session_timeout_ms;  /* a password proven lately is not asked for again; 0: always asked */
	bool login_via_existing_session; /* POST /v1/login/get_token */
	bool login_via_existing_session_needs_uia;
	int64_t login_token_lifetime_ms; /* 0: 2 minutes, as the specification recommends */
	/* Passwords that may be tried for one account, right ones and wrong ones; burst 0: no limit. */
	struct login_rate {
		double per_second, burst;
	} rate_account, rate_failed;
	/* Other processes log people out, too: ask the store again about a token that is known for longer. 0: we are
	 * alone. */
	int64_t token_recheck_ms;

	/* A hook, or NULL, called on the worker thread after the commit, with hooks_ctx. An error is the request's. */
	void *hooks_ctx;
	/* The account is closed: leave rooms, forget what is not ours to keep. Called again when it failed or was
	 * interrupted. */
	err *(*on_deactivated)(void *ctx, struct arena *a, int64_t user, str user_id);
};

/* The service, for the server's whole life; the options are copied, what they point to is borrowed. Thread-safe. */
struct users *users_new(const struct users_options *opt);
void users_free(struct users **us);
const struct users_options *users_options(const struct users *us);

/*
 * Authentication
 */
struct identity {
	int64_t user; /* interned user_id */
	str user_id, device_id;
	int64_t token_id;
	bool is_guest, is_admin, is_locked, is_suspended;
};

/* Fills the request's user from its access token, for struct http_options (api/ wraps it: http/ does not know `us`).
 * ERR_MISSING_TOKEN, ERR_UNKNOWN_TOKEN (with soft_logout where the login lives on), ERR_USER_LOCKED,
 * ERR_GUEST_FORBIDDEN, ERR_FORBIDDEN for AUTH_ADMIN. */
NODISCARD err *users_authenticate(struct users *us, struct req *rq, enum auth auth);
/* The same by the token alone; strings in arena a. */
NODISCARD err *users_authenticate_token(struct users *us, struct arena *a, str token, struct identity *out);

/*
 * Accounts: for the command line, the admin API and other services
 */
struct account {
	int64_t user;
	str user_id;
	bool is_admin, is_guest, is_locked, is_suspended, has_password;
	str shown; /* login_password: the mark of the password that was shown; else STR_NONE. Never told to anybody */
	int64_t created_at;     /* ms since 1970 */
	int64_t deactivated_at; /* 0: alive */
};

/* NULL in *out when there is no such local account. */
NODISCARD err *users_find(struct users *us, struct arena *a, str user_id, const struct account **out);
NODISCARD err *users_exists(struct users *us, struct arena *a, str user_id, bool *out);
/* Does the id belong to this server (by its form; the account may not exist)? */
bool users_is_local(const struct users *us, str user_id);

/* Makes an account. `name` is a localpart or a whole user id; password STR_NONE: none can log in with one. Takes 20-40
 * ms of CPU with a password: slow lane. ERR_INVALID_USERNAME, ERR_USER_IN_USE, ERR_WEAK_PASSWORD. */
NODISCARD err *users_add(struct users *us, struct arena *a, str name, str password, bool admin, str *out_user_id);
/* Accounts by user id, from the one after `after` (STR_NONE: the first) on. */
struct accounts {
	const struct account *p;
	size_t n;
};
NODISCARD err *users_list(struct users *us, struct arena *a, str after, size_t limit, struct accounts *out);
/* Sets the password; with logout_devices every login but `keep_device` (or STR_NONE) ends. ERR_NOT_FOUND,
 * ERR_WEAK_PASSWORD. */
NODISCARD err *users_set_password(struct users *us, struct arena *a, str user_id, str password, bool logout_devices,
				  str keep_device);
NODISCARD err *users_set_admin(struct users *us, struct arena *a, str user_id, bool admin);
NODISCARD err *users_set_locked(struct users *us, struct arena *a, str user_id, bool locked);
NODISCARD err *users_set_suspended(struct users *us, struct arena *a, str user_id, bool suspended);
/* The account side of deactivation: no password, no devices, no tokens, then on_deactivated. Can be run again. */
NODISCARD err *users_deactivate(struct users *us, struct arena *a, str user_id, bool erase);
/* Runs on_deactivated where it failed, or the process ended in it: at start. */
NODISCARD err *users_deactivate_rest(struct users *us, struct arena *a);
