/*
 * register.c - how accounts are made: by their future owner, by the shared secret, by the command line.
 *
 * All of them end in register_account, which writes the account, its first login and what the registration used up (a
 * registration token, the session's answer) in one commit. The user id is interned before; a name that lost the race
 * finds out by the row that is there already.
 */
#include "user/register.h"

#include <assert.h>

#include "base/b64.h"
#include "base/rand.h"
#include "crypto/crypto.h"
#include "matrix/id.h"
#include "store/uia.h"
#include "user/internal_directory.h"
#include "user/internal_uia.h"
#include "user/internal_users.h"
#include "user/password.h"

enum {
	MADE_UP_NAME = 12, /* characters */
	MADE_UP_TRIES = 5,
	NONCE_MS = 60000,
	NONCES_MAX = 100000, /* used ones, remembered until they would have expired */
};

static bool all_digits(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

err *register_user_id(const struct users *us, struct arena *a, str name, str *out_user_id)
{
	str localpart, user_id;

	if (str_is_empty(name))
		return err_new(a, ERR_INVALID_USERNAME, "A user name cannot be empty");
	user_id = account_full_id(us, a, account_fold(a, name));
	if (str_starts(name, S("@")) && !users_is_local(us, user_id))
		return err_new(a, ERR_INVALID_USERNAME, "This is no user id of this server");
	localpart = id_localpart(user_id);
	if (!id_localpart_strict(localpart) || !users_is_local(us, user_id))
		return err_new(a, ERR_INVALID_USERNAME, "A user name may contain only a-z, 0-9 and . _ = - / +");
	if (user_id.n > ID_MAX)
		return err_new(a, ERR_INVALID_USERNAME, "The user id would be longer than %d bytes", (int)ID_MAX);
	/* Names of application services, and of guests, on servers that these accounts may one day move to or from. */
	if (localpart.p[0] == '_')
		return err_new(a, ERR_INVALID_USERNAME, "A user name may not begin with _");
	if (all_digits(localpart))
		return err_new(a, ERR_INVALID_USERNAME, "A user name may not be a number");
	*out_user_id = user_id;
	return NULL;
}

static err *name_taken(struct users *us, struct arena *a, str user_id, bool *out)
{
	struct account_row row;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_accounts_folded(tx, user_id, 1, &row, &n));
	*out = n > 0;
	return NULL;
}

static err *in_use(struct arena *a) { return err_new(a, ERR_USER_IN_USE, "This user name is already taken"); }

err *register_available(struct users *us, struct arena *a, str name)
{
	str user_id;
	bool taken;

	TRY(register_user_id(us, a, name, &user_id));
	if (us->opt.inhibit_user_in_use_error)
		return NULL;
	TRY(name_taken(us, a, user_id, &taken));
	return taken ? in_use(a) : NULL;
}

void register_flows(const struct users *us, struct uia_flow *out)
{
	*out = (struct uia_flow){ .n = 0 };
	if (us->opt.registration_requires_token)
		out->stages[out->n++] = UIA_REGISTRATION_TOKEN;
	if (us->opt.n_policies)
		out->stages[out->n++] = UIA_TERMS;
	if (out->n == 0)
		out->stages[out->n++] = UIA_DUMMY;
}

/*
 * The account
 */
struct account_write {
	struct arena *arena; /* of the caller, who waits */
	const struct users *us;
	const struct register_cmd *cmd;
	struct account_row row;
	bool taken;
	bool logs_in;
	struct login_write login;
};

static err *accept_policies(struct tx *tx, const struct account_write *w)
{
	const struct users_options *opt = &w->us->opt;

	for (size_t i = 0; i < opt->n_policies; i++)
		TRY(store_policy_accept(tx, w->row.nid, opt->policies[i].id, opt->policies[i].version,
					w->row.created_at));
	return NULL;
}

/* What the stages proved is used up. */
static err *use_session(struct tx *tx, struct account_write *w)
{
	const struct uia *u = w->cmd->uia;
	str sealed;
	bool used;

	if (!u)
		return NULL;
	if (!str_is_none(u->registration_token)) {
		TRY(store_registration_token_use(tx, u->registration_token, &used));
		if (!used)
			return err_new(w->arena, ERR_UNAUTHORIZED, "The registration token was used up meanwhile");
	}
	if (u->done[UIA_TERMS])
		TRY(accept_policies(tx, w));
	if (str_is_none(u->session))
		return NULL;
	/* With the parameters that made it: it is these that are repeated, not those that asked for the flows. */
	TRY(uia_seal(w->arena, u, &sealed));
	return store_uia_set_result(tx, uia_session_hash(w->arena, u->session), sealed, w->row.nid);
}

static err *account_write(struct tx *tx, void *arg)
{
	struct account_write *w = arg;
	bool added;

	TRY(store_account_add(tx, &w->row, w->row.user_id, &added));
	w->taken = !added;
	if (w->taken)
		return NULL;
	TRY(use_session(tx, w));
	TRY(directory_index(tx, w->arena, w->row.nid, w->row.user_id, STR_NONE));
	return w->logs_in ? login_write(tx, &w->login) : NULL;
}

static err *make_account(struct users *us, struct arena *a, const struct register_cmd *cmd, str user_id, str hash,
			 struct account_write *w)
{
	struct login_cmd login = cmd->login;

	*w = (struct account_write){
		.arena = a,
		.us = us,
		.cmd = cmd,
		.row = { .user_id = user_id, .password = hash, .is_admin = cmd->admin, .created_at = clock_ms() },
		.logs_in = !cmd->inhibit_login,
	};
	TRY(name_taken(us, a, user_id, &w->taken));
	if (w->taken)
		return NULL;
	TRY(store_intern(us->opt.store, a, user_id, &w->row.nid));
	login.user = w->row.nid;
	if (w->logs_in)
		TRY(login_prepare(us, a, &login, &w->login));
	return store_do(us->opt.store, a, account_write, w);
}

static err *made_up_id(struct users *us, struct arena *a, str *out)
{
	/* Begins with a letter: a number alone is no name. */
	const str name = arena_join2(a, rand_alpha(a, 1), rand_alnum(a, MADE_UP_NAME - 1));

	return register_user_id(us, a, name, out);
}

/* A session that made an account already: "registration is idempotent", its further login. */
static err *again(struct users *us, struct arena *a, const struct register_cmd *cmd, str *out_user_id,
		  struct login *out_login)
{
	struct login_cmd login = cmd->login;

	login.user = cmd->uia->result;
	TRY(store_intern_text(us->opt.store, a, login.user, out_user_id));
	*out_login = (struct login){ 0 };
	return cmd->inhibit_login ? NULL : login_start(us, a, &login, out_login);
}

err *register_account(struct users *us, struct arena *a, const struct register_cmd *cmd, str *out_user_id,
		      struct login *out_login)
{
	struct account_write w = { .taken = true };
	str user_id, hash = STR_NONE;

	if (cmd->uia && cmd->uia->result)
		return again(us, a, cmd, out_user_id, out_login);
	if (!str_is_none(cmd->name))
		TRY(register_user_id(us, a, cmd->name, &user_id));
	if (!str_is_none(cmd->password)) {
		TRY(password_check_policy(&us->opt.password_policy, a, cmd->password));
		TRY(account_hash_password(us, a, cmd->password, &hash));
	}
	for (int i = 0; w.taken && i < (str_is_none(cmd->name) ? MADE_UP_TRIES : 1); i++) {
		if (str_is_none(cmd->name))
			TRY(made_up_id(us, a, &user_id));
		TRY(make_account(us, a, cmd, user_id, hash, &w));
	}
	if (w.taken)
		return in_use(a);
	log_info(us->opt.log, "account registered", F("user_id", user_id), F("admin", (int64_t)cmd->admin));
	*out_user_id = user_id;
	*out_login = w.login.out;
	return NULL;
}

err *users_add(struct users *us, struct arena *a, str name, str password, bool admin, str *out_user_id)
{
	const struct register_cmd cmd = { .name = name, .password = password, .admin = admin, .inhibit_login = true };
	struct login login;

	assert(!str_is_none(name));
	return register_account(us, a, &cmd, out_user_id, &login);
}

/*
 * The shared secret. A nonce is our own word, "time, random bytes, and a MAC over both", so that giving one out writes
 * nothing; it is remembered once it was used.
 */
enum { NONCE_RANDOM = 16, NONCE_MAC = 16, NONCE_BYTES = 8 + NONCE_RANDOM + NONCE_MAC };

static void nonce_mac(const struct users *us, const uint8_t *nonce, uint8_t out[32])
{
	uint8_t text[8 + 8 + NONCE_RANDOM];

	/* Set apart from whatever else the secret signs. */
	memcpy(text, "nonce-v1", 8);
	memcpy(text + 8, nonce, 8 + NONCE_RANDOM);
	hmac_sha256(us->opt.registration_shared_secret, (str){ (const char *)text, sizeof(text) }, out);
}

static err *shared_secret_on(const struct users *us, struct arena *a)
{
	return str_is_empty(us->opt.registration_shared_secret)
		       ? err_new(a, ERR_UNKNOWN, "Shared secret registration is not enabled")
		       : NULL;
}

err *register_nonce(struct users *us, struct arena *a, str *out_nonce)
{
	const int64_t now = clock_ms();
	uint8_t nonce[NONCE_BYTES], mac[32];

	TRY(shared_secret_on(us, a));
	memcpy(nonce, &now, 8);
	rand_bytes(nonce + 8, NONCE_RANDOM);
	nonce_mac(us, nonce, mac);
	memcpy(nonce + 8 + NONCE_RANDOM, mac, NONCE_MAC);
	*out_nonce = hex_encode(a, (str){ (const char *)nonce, sizeof(nonce) });
	return NULL;
}

static bool nonce_good(const struct users *us, struct arena *a, str text, int64_t *out_expires)
{
	const str nonce = hex_decode(a, text);
	uint8_t mac[32];
	int64_t made, age;

	if (nonce.n != NONCE_BYTES)
		return false;
	nonce_mac(us, (const uint8_t *)nonce.p, mac);
	if (!str_eq_secret(str_from(nonce, 8 + NONCE_RANDOM), (str){ (const char *)mac, NONCE_MAC }))
		return false;
	memcpy(&made, nonce.p, 8);
	age = clock_ms() - made;
	*out_expires = made + NONCE_MS;
	return age >= -NONCE_MS && age < NONCE_MS;
}

struct nonce_use {
	str hash;
	int64_t now, expires_at;
	bool first;
};

static err *nonce_write(struct tx *tx, void *arg)
{
	struct nonce_use *n = arg;

	return store_one_time_add(tx, ONE_TIME_NONCE, 0, n->hash, n->expires_at, n->now, NONCES_MAX, &n->first);
}

/* "nonce NUL user NUL password NUL admin|notadmin [NUL user_type]", with HMAC-SHA1, as every provisioning tool writes
 * it. */
static bool mac_good(const struct users *us, struct arena *a, const struct register_proof *p)
{
	AUTO_BUF b = BUF_INIT(64 * 1024);
	uint8_t mac[20];

	buf_add(&b, p->nonce);
	buf_byte(&b, 0);
	buf_add(&b, p->name);
	buf_byte(&b, 0);
	buf_add(&b, p->password);
	buf_byte(&b, 0);
	buf_add(&b, p->admin ? S("admin") : S("notadmin"));
	if (!str_is_none(p->user_type)) {
		buf_byte(&b, 0);
		buf_add(&b, p->user_type);
	}
	if (b.overflow)
		return false;
	hmac_sha1(us->opt.registration_shared_secret, buf_str(&b), mac);
	return str_eq_secret(hex_decode(a, p->mac), (str){ (const char *)mac, sizeof(mac) });
}

err *register_check_proof(struct users *us, struct arena *a, const struct register_proof *p)
{
	struct nonce_use use = { .hash = token_hash(a, p->nonce), .now = clock_ms() };

	TRY(shared_secret_on(us, a));
	if (!nonce_good(us, a, p->nonce, &use.expires_at))
		return err_new(a, ERR_UNKNOWN, "Unrecognised nonce");
	if (!mac_good(us, a, p))
		return err_new(a, ERR_FORBIDDEN, "HMAC incorrect");
	TRY(store_do(us->opt.store, a, nonce_write, &use));
	return use.first ? NULL : err_new(a, ERR_UNKNOWN, "Unrecognised nonce");
}
