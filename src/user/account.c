/*
 * account.c - the service, and accounts as such: finding, listing, changing, closing them.
 *
 * An account is found by its user id exactly. What a person types is looked up exactly first and then regardless of
 * case, where that leaves one account: new ones are all lower-case, but accounts that came from elsewhere may not be,
 * and "it should be possible to reach @user:matrix.org as @USER:matrix.org" (appendix "User Identifiers").
 */
#include "crypto/crypto.h"
#include "matrix/id.h"
#include "store/account_data.h"
#include "store/cross_signing.h"
#include "store/devices.h"
#include "store/profiles.h"
#include "store/uia.h"
#include "user/internal_filter_cache.h"
#include "user/internal_rule_sets.h"
#include "user/internal_user_cache.h"
#include "user/internal_users.h"
#include "user/password.h"

#include <assert.h>

/* A token takes some 300 bytes, a parsed filter or a user's compiled push rules 8 KiB. */
enum { TOKENS_CACHED = 50000, FILTERS_CACHED = 256, TEXTS_BYTES = 4 * 1024 * 1024, RULES_BYTES = 64 * 1024 * 1024 };

struct users *users_new(const struct users_options *opt)
{
	struct users *us = MEM_NEW(struct users);

	assert(opt->store && !str_is_empty(opt->server_name));
	us->opt = *opt;
	us->tokens = token_cache_new(TOKENS_CACHED);
	us->seen = seen_new(opt->store);
	us->texts = user_cache_new(TEXTS_BYTES);
	us->filters = filter_cache_new(FILTERS_CACHED);
	us->rules = rule_sets_new(RULES_BYTES);
	us->owners = rule_owners_new();
	us->tried = tries_new(opt->rate_account.per_second, opt->rate_account.burst);
	us->failed = tries_new(opt->rate_failed.per_second, opt->rate_failed.burst);
	return us;
}

void users_free(struct users **us)
{
	if (!*us)
		return;
	seen_free(&(*us)->seen);
	tries_free(&(*us)->tried);
	tries_free(&(*us)->failed);
	token_cache_free(&(*us)->tokens);
	user_cache_free(&(*us)->texts);
	filter_cache_free(&(*us)->filters);
	rule_sets_free(&(*us)->rules);
	rule_owners_free(&(*us)->owners);
	mem_free(*us);
	*us = NULL;
}

const struct users_options *users_options(const struct users *us) { return &us->opt; }

bool users_is_local(const struct users *us, str user_id)
{
	return id_user_valid(user_id) && id_is_of(user_id, us->opt.server_name);
}

str account_full_id(const struct users *us, struct arena *a, str name)
{
	if (str_starts(name, S("@")))
		return name;
	/* Joined, not printed: a name may hold NUL, and must then be refused as it is. */
	return arena_join3(a, arena_join2(a, S("@"), name), S(":"), us->opt.server_name);
}

str account_fold(struct arena *a, str s)
{
	char *p = arena_alloc(a, s.n);

	for (size_t i = 0; i < s.n; i++)
		p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];
	return (str){ p, s.n };
}

struct account *account_public(struct arena *a, const struct account_row *row)
{
	struct account *acc;

	if (!row)
		return NULL;
	acc = ARENA_NEW(a, struct account);
	*acc = (struct account){
		.user = row->nid,
		.user_id = row->user_id,
		.is_admin = row->is_admin,
		.is_guest = row->is_guest,
		.is_locked = row->is_locked,
		.is_suspended = row->is_suspended,
		.has_password = !str_is_empty(row->password),
		.created_at = row->created_at,
		.deactivated_at = row->deactivated_at,
	};
	return acc;
}

static err *account_find(struct users *us, struct arena *a, str user_id, const struct account_row **out)
{
	AUTO_TX tx = NULL;

	*out = NULL;
	if (user_id.n > ID_MAX)
		return NULL;
	TRY(store_read(us->opt.store, a, &tx));
	return store_account_find(tx, user_id, out);
}

err *account_load(struct users *us, struct arena *a, str name, const struct account_row **out)
{
	const str user_id = account_full_id(us, a, name);
	struct account_row *rows = ARENA_ARRAY(a, struct account_row, 2);
	const struct account_row *exact;
	AUTO_TX tx = NULL;
	size_t n;

	*out = NULL;
	if (user_id.n > ID_MAX || !users_is_local(us, user_id))
		return NULL;
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_account_find(tx, user_id, &exact));
	if (!exact) {
		TRY(store_accounts_folded(tx, account_fold(a, user_id), 2, rows, &n));
		exact = n == 1 ? rows : NULL;
	}
	*out = exact;
	return NULL;
}

err *users_find(struct users *us, struct arena *a, str user_id, const struct account **out)
{
	const struct account_row *row;

	TRY(account_find(us, a, user_id, &row));
	*out = account_public(a, row);
	return NULL;
}

err *users_exists(struct users *us, struct arena *a, str user_id, bool *out)
{
	const struct account_row *row;

	TRY(account_find(us, a, user_id, &row));
	*out = row != NULL;
	return NULL;
}

err *users_list(struct users *us, struct arena *a, str after, size_t limit, struct accounts *out)
{
	const size_t max = MIN(limit, 1000);
	struct account_row *rows = ARENA_ARRAY(a, struct account_row, max);
	struct account *list = ARENA_ARRAY(a, struct account, max);
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_accounts_list(tx, after, max, rows, &n));
	for (size_t i = 0; i < n; i++)
		list[i] = *account_public(a, &rows[i]);
	*out = (struct accounts){ list, n };
	return NULL;
}

err *account_hash_password(const struct users *us, struct arena *a, str password, str *out)
{
	return password_hash(a, password, us->opt.cheap_hashes, out);
}

/*
 * Changes. One piece does what is asked for of the fields below.
 */
struct change {
	struct arena *arena; /* of the caller, who waits */
	str user_id;
	int64_t nid, now; /* nid: found by the piece */
	enum { SET_PASSWORD, SET_ADMIN, SET_LOCKED, SET_SUSPENDED, DEACTIVATE } what;
	bool flag; /* the value; DEACTIVATE: erase */
	str hash;
	bool logout_devices;
	str keep_device;
	int64_t devices_changed; /* for devices_do */
};

static err *delete_devices(struct tx *tx, struct change *c, str keep)
{
	int64_t gone;

	TRY(store_devices_delete_others(tx, c->nid, keep, &gone));
	c->devices_changed = gone ? c->nid : 0;
	return NULL;
}

static err *change_password(struct tx *tx, struct change *c)
{
	TRY(store_account_set_password(tx, c->nid, c->hash));
	/* A session that was authenticated with the old password, and a login token made with it, end with it. */
	TRY(store_uia_delete_user(tx, c->nid));
	TRY(store_one_time_delete_user(tx, c->nid));
	return c->logout_devices ? delete_devices(tx, c, c->keep_device) : NULL;
}

/* "The server should additionally erase any non-event data associated with the user, such as account data" */
static err *erase_words(struct tx *tx, int64_t user)
{
	TRY(store_profile_erase(tx, user));
	return store_account_data_erase(tx, user);
}

static err *deactivate(struct tx *tx, struct change *c)
{
	TRY(store_account_deactivate(tx, c->nid, c->now, c->flag));
	TRY(store_uia_delete_user(tx, c->nid));
	TRY(store_one_time_delete_user(tx, c->nid));
	TRY(store_user_words_set(tx, c->nid, NULL, 0)); /* out of the user directory */
	if (c->flag)
		TRY(erase_words(tx, c->nid));
	TRY(store_cross_signing_delete(tx, c->nid));
	TRY(delete_devices(tx, c, STR_NONE));
	c->devices_changed = c->nid; /* also where there are no devices left, there were keys */
	return NULL;
}

static err *change_write(struct tx *tx, void *arg)
{
	struct change *c = arg;
	const struct account_row *row;

	TRY(store_account_find(tx, c->user_id, &row));
	if (!row)
		return err_new(c->arena, ERR_NOT_FOUND, "There is no such account");
	c->nid = row->nid;
	c->devices_changed = 0;
	switch (c->what) {
	case SET_PASSWORD:
		if (row->deactivated_at)
			return err_new(c->arena, ERR_USER_DEACTIVATED, "This account has been deactivated");
		return change_password(tx, c);
	case SET_ADMIN:
		return store_account_set_admin(tx, c->nid, c->flag);
	case SET_LOCKED:
		return store_account_set_locked(tx, c->nid, c->flag);
	case SET_SUSPENDED:
		return store_account_set_suspended(tx, c->nid, c->flag);
	case DEACTIVATE:
		return deactivate(tx, c);
	}
	return NULL;
}

static err *change(struct users *us, struct arena *a, struct change *c)
{
	c->arena = a;
	TRY(devices_do(us, a, change_write, c, &c->devices_changed));
	token_cache_drop_user(us->tokens, c->nid);
	return NULL;
}

err *users_set_password(struct users *us, struct arena *a, str user_id, str password, bool logout_devices,
			str keep_device)
{
	struct change c = {
		.user_id = user_id,
		.what = SET_PASSWORD,
		.logout_devices = logout_devices,
		.keep_device = keep_device,
	};

	TRY(password_check_policy(&us->opt.password_policy, a, password));
	TRY(account_hash_password(us, a, password, &c.hash));
	return change(us, a, &c);
}

err *users_set_admin(struct users *us, struct arena *a, str user_id, bool admin)
{
	return change(us, a, &(struct change){ .user_id = user_id, .what = SET_ADMIN, .flag = admin });
}

err *users_set_locked(struct users *us, struct arena *a, str user_id, bool locked)
{
	return change(us, a, &(struct change){ .user_id = user_id, .what = SET_LOCKED, .flag = locked });
}

err *users_set_suspended(struct users *us, struct arena *a, str user_id, bool suspended)
{
	return change(us, a, &(struct change){ .user_id = user_id, .what = SET_SUSPENDED, .flag = suspended });
}

static err *closed_write(struct tx *tx, void *nid) { return store_account_closed(tx, *(const int64_t *)nid); }

/* What is not the account's own; it is over only when all of that is done. */
static err *close_rest(struct users *us, struct arena *a, int64_t nid, str user_id)
{
	if (us->opt.on_deactivated)
		TRY(us->opt.on_deactivated(us->opt.hooks_ctx, a, nid, user_id));
	return store_do(us->opt.store, a, closed_write, &nid);
}

err *users_deactivate(struct users *us, struct arena *a, str user_id, bool erase)
{
	struct change c = { .user_id = user_id, .what = DEACTIVATE, .flag = erase, .now = clock_ms() };

	TRY(change(us, a, &c));
	log_info(us->opt.log, "account deactivated", F("user_id", user_id), F("erase", (int64_t)erase));
	return close_rest(us, a, c.nid, user_id);
}

enum { CLOSING_AT_ONCE = 100 };

static err *closing(struct users *us, struct arena *a, struct account_row *out, size_t *out_n)
{
	AUTO_TX tx = NULL;

	TRY(store_read(us->opt.store, a, &tx));
	return store_accounts_closing(tx, CLOSING_AT_ONCE, out, out_n);
}

err *users_deactivate_rest(struct users *us, struct arena *a)
{
	struct account_row rows[CLOSING_AT_ONCE];
	size_t n;

	do {
		TRY(closing(us, a, rows, &n));
		for (size_t i = 0; i < n; i++)
			TRY(close_rest(us, a, rows[i].nid, rows[i].user_id));
	} while (n == CLOSING_AT_ONCE);
	return NULL;
}
