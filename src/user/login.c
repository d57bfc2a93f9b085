/*
 * login.c - from a password or a token to a login, its refreshing, and its end.
 *
 * A login is a device with an access token and, for clients that can use one, a refresh token. Refreshing makes a pair
 * that names the refresh token before it: "the old refresh token remains valid until the new access token or refresh
 * token is used". Whichever of the new pair is seen first confirms it (store_refresh_confirm): the old refresh token,
 * its access token and other unused successors are deleted. An access token that was never used is therefore never in
 * the cache.
 *
 * Tokens are 40 random letters and digits (238 bits) behind a prefix that a secret scanner can look for.
 */
#include "user/login.h"

#include "base/rand.h"
#include "crypto/crypto.h"
#include "matrix/id.h"
#include "store/cross_signing.h"
#include "store/dehydrated.h"
#include "store/devices.h"
#include "user/device.h"
#include "user/internal_users.h"

enum {
	TOKEN_LENGTH = 40,
	DEVICE_ID_LENGTH = 10,
	SUCCESSORS_MAX = 4, /* of a refresh token that is used again and again by a client that gets no answer */
	LOGIN_TOKENS_PER_USER = 10,
	LOGIN_TOKEN_MS = 120000, /* "120000 (2 minutes) is recommended as a default" */
	AGENT_MAX = 200,
};

str token_hash(struct arena *a, str token)
{
	uint8_t *h = arena_alloc(a, 32);

	sha256(token, h);
	return (str){ (char *)h, 32 };
}

static str token_new(struct arena *a, const char *prefix)
{
	return arena_join2(a, str_c(prefix), rand_alnum(a, TOKEN_LENGTH));
}

/*
 * Passwords
 */

err *login_find(struct users *us, struct arena *a, str name, const struct account **out)
{
	const struct account_row *row;

	TRY(account_load(us, a, name, &row));
	*out = account_public(a, row);
	return NULL;
}

struct rehash {
	int64_t nid;
	str old_hash, new_hash;
};

static err *rehash_write(struct tx *tx, void *arg)
{
	const struct rehash *r = arg;

	return store_account_rehash(tx, r->nid, r->old_hash, r->new_hash);
}

static err *rehash(struct users *us, struct arena *a, const struct account_row *row, str password, str *out_hash)
{
	struct rehash r = { .nid = row->nid, .old_hash = row->password };

	*out_hash = row->password;
	if (!password_needs_rehash(row->password, us->opt.cheap_hashes))
		return NULL;
	TRY(account_hash_password(us, a, password, &r.new_hash));
	*out_hash = r.new_hash;
	return store_do(us->opt.store, a, rehash_write, &r);
}

err *login_password(struct users *us, struct arena *a, str name, str password, const struct account **out)
{
	/* Unknown names are counted like known ones: whether an account exists must not show. What no id can be as long
	 * as is not remembered in its length. */
	const str typed = account_full_id(us, a, name), key = account_fold(a, str_head(typed, MIN(typed.n, ID_MAX)));
	const int64_t now = clock_mono_ms();
	const struct account_row *row;
	struct account *acc;
	bool usable;
	str hash;

	TRY(tries_check(us->failed, a, key, now));
	TRY(tries_check(us->tried, a, key, now));
	tries_take(us->tried, key, now);
	TRY(account_load(us, a, name, &row));
	usable = row && !row->deactivated_at && !str_is_empty(row->password);
	/* An empty hash is false, after the same time. */
	if (!password_verify(usable ? row->password : S(""), password, us->opt.password_pepper) || !usable) {
		tries_take(us->failed, key, now);
		return err_new(a, ERR_LOGIN_FAILED, "Invalid username or password");
	}
	TRY(rehash(us, a, row, password, &hash));
	acc = account_public(a, row);
	acc->shown = hash;
	*out = acc;
	return NULL;
}

/*
 * Login tokens
 */
struct one_time {
	enum one_time_kind kind;
	str hash;
	int64_t user, now, expires_at;
};

static err *login_token_write(struct tx *tx, void *arg)
{
	const struct one_time *t = arg;
	bool added;

	return store_one_time_add(tx, ONE_TIME_LOGIN, t->user, t->hash, t->expires_at, t->now, LOGIN_TOKENS_PER_USER,
				  &added);
}

err *login_token_new(struct users *us, struct arena *a, int64_t user, str *out_token, int64_t *out_lifetime_ms)
{
	const int64_t lifetime = us->opt.login_token_lifetime_ms ? us->opt.login_token_lifetime_ms : LOGIN_TOKEN_MS;
	const str token = token_new(a, "hlt_");
	struct one_time t = { .hash = token_hash(a, token), .user = user, .now = clock_ms() };

	t.expires_at = t.now + lifetime;
	TRY(store_do(us->opt.store, a, login_token_write, &t));
	*out_token = token;
	*out_lifetime_ms = lifetime;
	return NULL;
}

static err *login_token_take(struct tx *tx, void *arg)
{
	struct one_time *t = arg;

	return store_one_time_take(tx, ONE_TIME_LOGIN, t->hash, t->now, &t->user);
}

err *login_token(struct users *us, struct arena *a, str token, const struct account **out)
{
	struct one_time t = { .hash = token_hash(a, token), .user = -1, .now = clock_ms() };
	const struct account_row *row;
	AUTO_TX tx = NULL;

	TRY(store_do(us->opt.store, a, login_token_take, &t));
	if (t.user < 0)
		return err_new(a, ERR_LOGIN_FAILED, "Invalid login token");
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_account_get(tx, t.user, &row));
	if (!row)
		return err_new(a, ERR_LOGIN_FAILED, "Invalid login token");
	*out = account_public(a, row);
	return NULL;
}

/*
 * Starting
 */

/* The access token's end: its own lifetime, and never beyond the login's. */
static int64_t access_expiry(const struct users *us, int64_t now, bool refreshable, int64_t session_expires_at)
{
	const int64_t lifetime = refreshable ? us->opt.refreshable_access_token_lifetime_ms
					     : us->opt.nonrefreshable_access_token_lifetime_ms;
	int64_t end = lifetime ? now + lifetime : 0;

	if (session_expires_at && (end == 0 || end > session_expires_at))
		end = session_expires_at;
	return end;
}

static str device_id_new(struct arena *a)
{
	char *p = arena_cstr(a, rand_alpha(a, DEVICE_ID_LENGTH));

	for (size_t i = 0; i < DEVICE_ID_LENGTH; i++)
		if (p[i] >= 'a')
			p[i] = (char)(p[i] - 'a' + 'A');
	return (str){ p, DEVICE_ID_LENGTH };
}

/* Draws the tokens of w, whose user and device are known. */
static err *tokens_draw(struct users *us, struct arena *a, struct login_write *w, bool refreshable,
			int64_t session_expires_at, int64_t previous_id)
{
	int64_t id;

	TRY(store_next_id(us->opt.store, a, SEQ_MISC, 2, &id));
	w->out.access_token = token_new(a, "hat_");
	w->token_hash = token_hash(a, w->out.access_token);
	w->token.id = id;
	w->token.expires_at = access_expiry(us, w->now, refreshable, session_expires_at);
	w->out.expires_in_ms = w->token.expires_at ? w->token.expires_at - w->now : 0;
	if (!refreshable)
		return NULL;
	w->out.refresh_token = token_new(a, "hrt_");
	w->refresh_hash = token_hash(a, w->out.refresh_token);
	w->refresh = (struct refresh_row){
		.id = id + 1,
		.session_expires_at = session_expires_at,
		.expires_at = us->opt.refresh_token_lifetime_ms ? w->now + us->opt.refresh_token_lifetime_ms : 0,
		.previous_id = previous_id,
	};
	w->token.refresh_id = w->refresh.id;
	return NULL;
}

err *login_check(struct arena *a, const struct login_cmd *cmd)
{
	if (cmd->device_id.n > DEVICE_ID_MAX)
		return err_new(a, ERR_INVALID_PARAM, "A device id has at most %d bytes", (int)DEVICE_ID_MAX);
	if (cmd->display_name.n > DEVICE_NAME_MAX)
		return err_new(a, ERR_INVALID_PARAM, "A device's name has at most %d bytes", (int)DEVICE_NAME_MAX);
	return NULL;
}

err *login_prepare(struct users *us, struct arena *a, const struct login_cmd *cmd, struct login_write *out)
{
	const int64_t now = clock_ms();
	const bool refreshable = cmd->want_refresh && us->opt.refreshable_access_token_lifetime_ms > 0;
	struct login_write w = { .arena = a, .cmd = *cmd, .now = now };

	TRY(login_check(a, cmd));
	w.cmd.agent = str_is_none(cmd->agent) ? cmd->agent : str_head(cmd->agent, MIN(cmd->agent.n, AGENT_MAX));
	w.out.device_id = str_is_empty(cmd->device_id) ? device_id_new(a) : cmd->device_id;
	w.token.validated_at = now;
	TRY(tokens_draw(us, a, &w, refreshable, us->opt.session_lifetime_ms ? now + us->opt.session_lifetime_ms : 0,
			0));
	*out = w;
	return NULL;
}

/* shown: STR_NONE, or the hash of the password that was. */
static err *account_may_log_in(struct tx *tx, struct arena *a, int64_t user, str shown)
{
	const struct account_row *row;
	err *e;

	TRY(store_account_get(tx, user, &row));
	if (!row || row->deactivated_at)
		return err_new(a, ERR_USER_DEACTIVATED, "This account has been deactivated");
	/* Whoever changes a password ends the logins that are there: one that is on its way must not come after that.
	 */
	if (!str_is_none(shown) && !str_eq(row->password, shown))
		return err_new(a, ERR_LOGIN_FAILED, "The password was changed meanwhile");
	if (!row->is_locked)
		return NULL;
	e = err_new(a, ERR_USER_LOCKED, "This account has been locked");
	e->extra = S("\"soft_logout\":true");
	return e;
}

static err *tokens_write(struct tx *tx, struct login_write *w, int64_t user, str device_id)
{
	w->token.user = w->refresh.user = user;
	w->token.device_id = w->refresh.device_id = device_id;
	if (w->refresh.id)
		TRY(store_refresh_add(tx, &w->refresh, w->refresh_hash));
	return store_token_add(tx, &w->token, w->token_hash, w->now);
}

/* "Servers therefore must ensure that device IDs will not collide with cross-signing public keys." These are 43
 * characters of base64; device ids that this server makes are shorter. */
static err *check_device_name(struct tx *tx, const struct login_write *w)
{
	bool taken = false;

	if (w->out.device_id.n == 43)
		TRY(store_cross_signing_has(tx, w->cmd.user, w->out.device_id, &taken));
	return taken ? err_new(w->arena, ERR_FORBIDDEN, "This device id is the name of a cross-signing key") : NULL;
}

err *login_write(struct tx *tx, void *arg)
{
	struct login_write *w = arg;
	const struct device_row device = {
		.user = w->cmd.user,
		.device_id = w->out.device_id,
		.display_name = str_is_empty(w->cmd.display_name) ? STR_NONE : w->cmd.display_name,
		.created_at = w->now,
		.seen_at = w->now,
		.seen_ip = w->cmd.address,
		.seen_agent = w->cmd.agent,
	};
	bool added;

	TRY(account_may_log_in(tx, w->arena, w->cmd.user, w->cmd.shown));
	TRY(check_device_name(tx, w));
	/* "If the client sets the device_id, the server will invalidate any access and refresh tokens previously
	 * assigned to that device." */
	TRY(store_tokens_delete_device(tx, device.user, device.device_id));
	TRY(store_device_add(tx, &device, &added));
	if (!added) /* who logs in as the dehydrated device has it for a device like others */
		TRY(store_dehydrated_release(tx, device.user, device.device_id));
	w->devices_changed = added ? device.user : 0;
	if (added)
		TRY(store_devices_trim(tx, device.user, DEVICES_PER_USER, device.device_id));
	return tokens_write(tx, w, device.user, device.device_id);
}

err *login_start(struct users *us, struct arena *a, const struct login_cmd *cmd, struct login *out)
{
	struct login_write w;

	TRY(login_prepare(us, a, cmd, &w));
	TRY(devices_do(us, a, login_write, &w, &w.devices_changed));
	/* Also devices that a full house pushed out. */
	token_cache_drop_user(us->tokens, cmd->user);
	*out = w.out;
	return NULL;
}

/*
 * Refreshing
 */
struct refresh {
	struct users *us;
	struct arena *arena; /* of the caller, who waits */
	str hash;
	int64_t user;
	struct login_write w;
};

static err *unknown_refresh_token(struct arena *a, bool soft)
{
	err *e = err_new(a, ERR_UNKNOWN_TOKEN, soft ? "The login has expired" : "Unrecognised refresh token");

	e->extra = soft ? S("\"soft_logout\":true") : S("\"soft_logout\":false");
	return e;
}

static bool has_passed(int64_t end, int64_t now) { return end != 0 && end <= now; }

static err *refresh_write(struct tx *tx, void *arg)
{
	struct refresh *r = arg;
	const struct refresh_row *old;

	TRY(store_refresh_find(tx, r->hash, &old));
	if (!old)
		return unknown_refresh_token(r->arena, false);
	if (has_passed(old->expires_at, r->w.now) || has_passed(old->session_expires_at, r->w.now))
		return unknown_refresh_token(r->arena, true);
	TRY(account_may_log_in(tx, r->arena, old->user, STR_NONE));
	r->user = old->user;
	if (old->previous_id)
		TRY(store_refresh_confirm(tx, old->id, old->previous_id));
	r->w.refresh.previous_id = old->id;
	r->w.refresh.session_expires_at = old->session_expires_at;
	r->w.token.expires_at = access_expiry(r->us, r->w.now, true, old->session_expires_at);
	r->w.out.expires_in_ms = r->w.token.expires_at ? r->w.token.expires_at - r->w.now : 0;
	r->w.out.device_id = arena_keep(r->arena, old->device_id);
	TRY(tokens_write(tx, &r->w, old->user, r->w.out.device_id));
	return store_refresh_trim(tx, old->id, SUCCESSORS_MAX);
}

err *login_refresh(struct users *us, struct arena *a, str refresh_token, struct login *out)
{
	struct refresh r = { .us = us, .arena = a, .hash = token_hash(a, refresh_token), .w.now = clock_ms() };

	TRY(tokens_draw(us, a, &r.w, true, 0, 0));
	TRY(store_do(us->opt.store, a, refresh_write, &r));
	token_cache_drop_device(us->tokens, r.user, r.w.out.device_id);
	*out = r.w.out;
	return NULL;
}

/*
 * Ending
 */
err *login_end(struct users *us, struct arena *a, int64_t user, str device_id)
{
	return devices_delete(us, a, user, &device_id, 1);
}

struct end_all {
	int64_t user, changed;
};

static err *end_all_write(struct tx *tx, void *arg)
{
	struct end_all *e = arg;
	int64_t gone;

	TRY(store_devices_delete_others(tx, e->user, STR_NONE, &gone));
	e->changed = gone ? e->user : 0;
	return NULL;
}

err *login_end_all(struct users *us, struct arena *a, int64_t user)
{
	struct end_all end = { .user = user };

	TRY(devices_do(us, a, end_all_write, &end, &end.changed));
	token_cache_drop_user(us->tokens, user);
	return NULL;
}
