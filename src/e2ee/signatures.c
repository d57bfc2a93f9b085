/*
 * signatures.c - POST /keys/signatures/upload: signatures on keys that are here already.
 *
 * Three kinds are taken: by the user's self-signing key on their devices, by their devices on their master key, and by
 * their user-signing key on other users' master keys. Each is checked against a snapshot, outside of the writer; the
 * piece writes only if every key that it has to do with is still the same, and otherwise all begins again.
 */
#include "e2ee/cross_signing.h"

#include "base/map.h"
#include "e2ee/device_lists.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/user_key.h"
#include "store/cross_signing.h"
#include "store/device_keys.h"
#include "store/tx.h"

enum { ATTEMPTS = 5 };

/* What is stored of everybody whom the request names. */
struct stored {
	struct cross_signing_row own;
	struct device_keys_row *devices; /* the user's */
	size_t n_devices;
	struct cross_signing_row *others;
	struct user_signature_row *made; /* by the user, on the others' keys */
	size_t n_others, n_made;
};

struct signing {
	struct e2ee *e;
	struct arena *a;
	const struct signatures_cmd *cmd;
	int64_t *others; /* whom the request names besides the user */
	size_t n_others;
	struct stored st;
	struct user_key *master, *self_signing, *user_signing; /* NULL: none */
	VEC(struct signature_failure) failures;
	/* what is to be written: own devices with their new texts, the own master key's new text, signatures on others
	 */
	VEC(struct device_keys_row) signed_devices;
	str signed_master;
	VEC(struct user_signature_row) made;
	/* set by each run */
	bool conflict;
	struct device_list_note own_note, others_note;
};

static bool is_own(const struct signing *s, str user_id) { return str_eq(user_id, s->cmd->user_id); }

/*
 * Reading
 */
static err *check_form(const struct signing *s)
{
	size_t n = s->cmd->body->object.n;

	if (s->cmd->body->dup)
		return err_new(s->a, ERR_INVALID_PARAM, "A user stands twice");
	JSON_EACH (s->cmd->body, user) {
		if (user->value->kind != JSON_OBJECT || user->value->dup)
			return err_new(s->a, ERR_INVALID_PARAM, "Keys must be objects by key id by user id");
		n += user->value->object.n;
		JSON_EACH (user->value, key)
			if (key->value->kind != JSON_OBJECT)
				return err_new(s->a, ERR_INVALID_PARAM, "Keys must be objects by key id by user id");
	}
	if (n > SIGNED_KEYS_MAX)
		return err_new(s->a, ERR_INVALID_PARAM, "At most %d keys at once", (int)SIGNED_KEYS_MAX);
	return NULL;
}

static err *find_others(struct signing *s)
{
	s->others = ARENA_ARRAY(s->a, int64_t, s->cmd->body->object.n);
	JSON_EACH (s->cmd->body, user) {
		int64_t nid;

		if (is_own(s, user->key))
			continue;
		TRY(store_intern_find(s->e->opt.store, s->a, user->key, &nid));
		if (nid)
			s->others[s->n_others++] = nid;
	}
	return NULL;
}

static err *read_stored(const struct signing *s, struct tx *tx, struct stored *out)
{
	const int64_t user = s->cmd->user;
	bool found;

	*out = (struct stored){ .own = { .user = user } };
	TRY(store_cross_signing_get(tx, user, &out->own, &found));
	if (json_get(s->cmd->body, s->cmd->user_id))
		TRY(store_device_keys(tx, &user, 1, NULL, 0, &out->devices, &out->n_devices));
	TRY(store_cross_signing(tx, user, s->others, s->n_others, &out->others, &out->n_others));
	return store_user_signatures(tx, user, s->others, s->n_others, &out->made, &out->n_made);
}

static str device_text(const struct stored *st, str device_id)
{
	for (size_t i = 0; i < st->n_devices; i++)
		if (str_eq(st->devices[i].device_id, device_id))
			return st->devices[i].keys;
	return STR_NONE;
}

static str master_text(const struct stored *st, int64_t user)
{
	for (size_t i = 0; i < st->n_others; i++)
		if (st->others[i].user == user)
			return st->others[i].master;
	return STR_NONE;
}

/*
 * Checking
 */
static err *unknown(const struct signing *s) { return err_new(s->a, ERR_NOT_FOUND, "Unknown device"); }

static err *invalid(const struct signing *s) { return err_new(s->a, ERR_INVALID_SIGNATURE, "Invalid signature"); }

/* "The signed JSON object must match the key previously uploaded or retrieved for the given key ID, with the exception
 * of the signatures property" */
static err *check_same(const struct signing *s, const struct key_object *given, const struct key_object *stored)
{
	return str_eq(given->bare, stored->bare) ? NULL : err_new(s->a, ERR_UNKNOWN, "Key does not match");
}

/* "signatures made by the user's own devices about their own master key" */
static err *check_device_signature(const struct signing *s, const struct key_object *master, str key_id)
{
	const str text = device_text(&s->st, str_from(key_id, 8));
	uint8_t public_key[32];
	struct key_object device;

	if (str_is_none(text))
		return invalid(s);
	TRY(key_object_parse(s->a, text, s->cmd->user_id, &device));
	if (!key_decode(s->a, key_object_public(&device, key_id), public_key) ||
	    !key_object_verify(s->a, master, key_id, public_key))
		return invalid(s);
	return NULL;
}

static err *sign_own_master(struct signing *s, const struct key_object *given)
{
	struct key_object *stored = &s->master->object;
	size_t added = 0;

	if (!given->signatures->object.n)
		return invalid(s);
	TRY(check_same(s, given, stored));
	JSON_EACH (given->signatures, m) {
		if (!str_starts(m->key, S("ed25519:")) || str_eq(key_object_signature(stored, m->key), m->value->s))
			continue;
		TRY(check_device_signature(s, given, m->key));
		added++;
	}
	if (!added)
		return NULL;
	JSON_EACH (given->signatures, m)
		if (str_starts(m->key, S("ed25519:")))
			json_set(s->a, stored->signatures, m->key, m->value);
	return key_object_text(s->a, stored, &s->signed_master);
}

static err *sign_own_device(struct signing *s, str device_id, const struct key_object *given)
{
	const str before = device_text(&s->st, device_id);
	struct device_keys_row row = { .user = s->cmd->user, .device_id = device_id };
	AUTO_ARENA scratch = NULL;
	struct key_object stored;
	str signature;

	if (!s->self_signing)
		return err_new(s->a, ERR_NOT_FOUND, "There is no self-signing key");
	signature = key_object_signature(given, s->self_signing->id);
	if (str_is_none(signature))
		return invalid(s);
	if (str_is_none(before))
		return unknown(s);
	/* A key's tree is many times its text, and there may be a thousand. */
	scratch = arena_new();
	TRY(err_keep(s->a, key_object_parse(scratch, before, s->cmd->user_id, &stored)));
	if (str_eq(key_object_signature(&stored, s->self_signing->id), signature))
		return NULL;
	TRY(check_same(s, given, &stored));
	if (!user_key_signed(s->a, s->self_signing, given))
		return invalid(s);
	json_set(scratch, stored.signatures, s->self_signing->id, json_new_str(scratch, signature));
	TRY(key_object_text(s->a, &stored, &row.keys));
	vec_push(s->a, &s->signed_devices, row);
	return NULL;
}

static err *sign_own(struct signing *s, str key_id, const struct json *json)
{
	struct key_object given;

	TRY(key_object_read(s->a, json, s->cmd->user_id, &given));
	if (s->master && str_eq(key_id, s->master->name))
		return sign_own_master(s, &given);
	return sign_own_device(s, key_id, &given);
}

static bool was_made(const struct stored *st, const struct user_signature_row *row)
{
	for (size_t i = 0; i < st->n_made; i++) {
		const struct user_signature_row *old = &st->made[i];

		if (old->user == row->user && str_eq(old->master, row->master) && str_eq(old->key_id, row->key_id) &&
		    str_eq(old->signature, row->signature))
			return true;
	}
	return false;
}

/* "signatures made by the user's own [...] user-signing key": on others' master keys, and on nothing else. */
static err *sign_other(struct signing *s, int64_t user, const struct user_key *master, str key_id,
		       const struct json *json)
{
	struct user_signature_row row = { .signer = s->cmd->user, .user = user };
	struct key_object given;

	if (!s->user_signing)
		return err_new(s->a, ERR_NOT_FOUND, "There is no user-signing key");
	if (!master || !str_eq(master->name, key_id))
		return unknown(s);
	/* The signatures that count are the signer's. */
	TRY(key_object_read(s->a, json, s->cmd->user_id, &given));
	TRY(check_same(s, &given, &master->object));
	if (!user_key_signed(s->a, s->user_signing, &given))
		return invalid(s);
	row.master = master->name;
	row.key_id = s->user_signing->id;
	row.signature = key_object_signature(&given, row.key_id);
	if (!was_made(&s->st, &row))
		vec_push(s->a, &s->made, row);
	return NULL;
}

static void failed(struct signing *s, str user_id, str key_id, const err *why)
{
	if (why)
		vec_push(s->a, &s->failures, (struct signature_failure){ user_id, key_id, why });
}

static err *check_user(struct signing *s, str user_id, const struct json *keys)
{
	struct user_key *master;
	int64_t user;
	str text;

	if (is_own(s, user_id)) {
		JSON_EACH (keys, m)
			failed(s, user_id, m->key, sign_own(s, m->key, m->value));
		return NULL;
	}
	TRY(store_intern_find(s->e->opt.store, s->a, user_id, &user));
	text = user ? master_text(&s->st, user) : STR_NONE;
	/* What another server gave out as its user's may be no such key: then there is none to sign. */
	if (user_key_parse(s->a, text, user_id, KEY_MASTER, &master))
		master = NULL;
	JSON_EACH (keys, m)
		failed(s, user_id, m->key, sign_other(s, user, master, m->key, m->value));
	return NULL;
}

static err *check_all(struct signing *s)
{
	const struct cross_signing_row *own = &s->st.own;
	const str id = s->cmd->user_id;

	TRY(user_key_parse(s->a, own->master, id, KEY_MASTER, &s->master));
	TRY(user_key_parse(s->a, own->self_signing, id, KEY_SELF_SIGNING, &s->self_signing));
	TRY(user_key_parse(s->a, own->user_signing, id, KEY_USER_SIGNING, &s->user_signing));
	s->failures.n = s->signed_devices.n = s->made.n = 0;
	s->signed_master = STR_NONE;
	JSON_EACH (s->cmd->body, user)
		TRY(check_user(s, user->key, user->value));
	return NULL;
}

/*
 * Writing
 */
static bool any_own(const struct signing *s) { return s->signed_devices.n || !str_is_none(s->signed_master); }

static bool still_so(const struct signing *s, const struct stored *now)
{
	const struct stored *then = &s->st;

	if (!str_eq(now->own.master, then->own.master) || !str_eq(now->own.self_signing, then->own.self_signing) ||
	    !str_eq(now->own.user_signing, then->own.user_signing) || now->n_devices != then->n_devices)
		return false;
	for (size_t i = 0; i < then->n_devices; i++)
		if (!str_eq(device_text(now, then->devices[i].device_id), then->devices[i].keys))
			return false;
	for (size_t i = 0; i < s->made.n; i++)
		if (!str_eq(master_text(now, s->made.p[i].user), master_text(then, s->made.p[i].user)))
			return false;
	return true;
}

static err *signing_run(struct tx *tx, void *arg)
{
	struct signing *s = arg;
	struct stored now;

	TRY(read_stored(s, tx, &now));
	s->conflict = !still_so(s, &now);
	if (s->conflict)
		return NULL;
	for (size_t i = 0; i < s->signed_devices.n; i++) {
		const struct device_keys_row *d = &s->signed_devices.p[i];
		bool saved;

		TRY(store_device_keys_save(tx, d->user, d->device_id, d->keys, &saved));
	}
	if (!str_is_none(s->signed_master)) {
		now.own.master = s->signed_master;
		TRY(store_cross_signing_save(tx, &now.own));
	}
	for (size_t i = 0; i < s->made.n; i++)
		TRY(store_user_signature_save(tx, &s->made.p[i]));
	return NULL;
}

static err *signing_late(struct tx *tx, void *arg)
{
	struct signing *s = arg;

	if (s->conflict)
		return NULL;
	s->own_note = s->others_note = (struct device_list_note){ .user = s->cmd->user, .a = s->a };
	if (any_own(s))
		TRY(device_list_note_write(tx, &s->own_note));
	if (s->made.n) {
		int64_t *users = ARENA_ARRAY(tx_arena(tx), int64_t, s->made.n);

		for (size_t i = 0; i < s->made.n; i++)
			users[i] = s->made.p[i].user;
		TRY(device_list_signed_write(tx, &s->others_note, users, s->made.n));
	}
	return NULL;
}

static void signing_after(void *arg, const err *result)
{
	const struct signing *s = arg;

	if (result || s->conflict)
		return;
	if (any_own(s))
		lists_tell(s->e, &s->own_note);
	if (s->made.n)
		device_list_note_tell(s->e->opt.bus, &s->others_note);
}

static err *try_signing(struct signing *s)
{
	const struct piece piece = {
		.run = signing_run, .late = signing_late, .after = signing_after, .arg = s, .positions = 2
	};
	struct ticket *ticket;
	AUTO_TX tx = NULL;

	s->conflict = false;
	TRY(store_read(s->e->opt.store, s->a, &tx));
	TRY(read_stored(s, tx, &s->st));
	store_read_end(&tx);
	TRY(check_all(s));
	if (!any_own(s) && !s->made.n)
		return NULL;
	TRY(store_write(s->e->opt.store, s->a, &piece, &ticket));
	return store_wait(s->a, ticket);
}

err *e2ee_signatures_upload(struct e2ee *e, struct arena *a, const struct signatures_cmd *cmd,
			    struct signature_failures *out)
{
	struct signing s = { .e = e, .a = a, .cmd = cmd };

	TRY(check_form(&s));
	TRY(find_others(&s));
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		TRY(try_signing(&s));
		if (s.conflict)
			continue;
		*out = (struct signature_failures){ s.failures.p, s.failures.n };
		return NULL;
	}
	return err_new(a, ERR_BUSY, "The keys keep changing");
}
