/* internal_users.h - the inside of struct users, for the files of user/ alone. */
#pragma once

#include "base/clock.h"
#include "store/tokens.h"
#include "store/users.h"
#include "user/login.h"
#include "user/seen.h"
#include "user/token_cache.h"
#include "user/tries.h"
#include "user/user.h"

struct filter_cache;
struct user_cache;
struct rule_sets;
struct rule_owners;
struct rule_owners *rule_owners_new(void);
void rule_owners_free(struct rule_owners **o);

struct users {
	struct users_options opt;
	struct token_cache *tokens;
	struct user_cache *texts; /* filters by their number */
	struct filter_cache *filters;
	struct rule_sets *rules; /* push rules */
	struct rule_owners *owners;
	struct seen_queue *seen;
	struct tries *tried; /* passwords tried, by account: all of them, and the wrong ones */
	struct tries *failed;
};

/* "@name:server" for a localpart, `name` itself when it begins with '@'. */
str account_full_id(const struct users *us, struct arena *a, str name);
/* A-Z lowered. */
str account_fold(struct arena *a, str s);
/* The account of what a person typed, as login_find, with its password hash. */
NODISCARD err *account_load(struct users *us, struct arena *a, str name, const struct account_row **out);
struct account *account_public(struct arena *a, const struct account_row *row);
NODISCARD err *account_hash_password(const struct users *us, struct arena *a, str password, str *out);

/* SHA-256 of a token, in arena a. */
str token_hash(struct arena *a, str token);

/* What a token means: from the cache, or from the store and into the cache. ERR_UNKNOWN_TOKEN. *out_seen (or NULL): the
 * use should be noted. */
NODISCARD err *token_look_up(struct users *us, struct arena *a, str token, struct cached_token *out, bool *out_seen);

/*
 * store_do for what may change a user's devices. Who has to know is noted in the same commit, and told after it:
 * *changed, as `run` has left it, is the user whose devices are others now (0: nobody's).
 */
NODISCARD err *devices_do(struct users *us, struct arena *a, store_fn *run, void *arg, const int64_t *changed);

/* A login's rows. login_prepare draws ids and tokens; login_write is a store_fn for the caller's piece, or a part of
 * one. */
struct login_write {
	struct arena *arena; /* of the caller, who waits */
	struct login_cmd cmd;
	int64_t now;
	struct refresh_row refresh; /* id 0: none */
	struct token_row token;
	str token_hash, refresh_hash;
	struct login out;
	int64_t devices_changed; /* for devices_do; set by each run */
};
NODISCARD err *login_prepare(struct users *us, struct arena *a, const struct login_cmd *cmd, struct login_write *out);
NODISCARD err *login_write(struct tx *tx, void *login_write);
