/*
 * cross_signing.c - the keys that stand for a user.
 *
 * What an upload means depends on what is stored: whether a proof is needed, and which master key signs the others. It
 * is checked against a snapshot, outside of the writer; the piece writes only if what was read is still so, and
 * otherwise all begins again.
 */
#include "e2ee/cross_signing.h"

#include "e2ee/device_lists.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/user_key.h"
#include "store/cross_signing.h"
#include "store/device_keys.h"
#include "store/devices.h"
#include "store/tx.h"

enum { ATTEMPTS = 5 };

struct upload {
	struct e2ee *e;
	struct arena *a;
	const struct cross_signing_cmd *cmd;
	struct user_key *given[KEY_USAGES]; /* NULL: not in the request */
	struct user_key *stored[KEY_USAGES];
	struct cross_signing_row before; /* as it was checked against */
	bool replaced[KEY_USAGES];       /* given, and another one than is stored */
	/* set by each run */
	bool conflict;
	struct device_list_note note;
};

static const str *key_of(const struct cross_signing_row *row, enum user_key_usage usage)
{
	return usage == KEY_MASTER ? &row->master : usage == KEY_SELF_SIGNING ? &row->self_signing : &row->user_signing;
}

static bool row_equal(const struct cross_signing_row *x, const struct cross_signing_row *y)
{
	for (enum user_key_usage k = 0; k < KEY_USAGES; k++)
		if (!str_eq(*key_of(x, k), *key_of(y, k)))
			return false;
	return true;
}

static err *read_row(struct tx *tx, int64_t user, struct cross_signing_row *out)
{
	bool found;

	*out = (struct cross_signing_row){ .user = user };
	return store_cross_signing_get(tx, user, out, &found);
}

static err *read_given(struct upload *u)
{
	for (enum user_key_usage k = 0; k < KEY_USAGES; k++) {
		const struct json *json = json_get(u->cmd->body, user_key_member(k));

		if (!json)
			continue;
		u->given[k] = ARENA_NEW(u->a, struct user_key);
		TRY(user_key_read(u->a, json, u->cmd->user_id, k, u->given[k]));
		for (enum user_key_usage other = 0; other < k; other++)
			if (u->given[other] && str_eq(u->given[other]->name, u->given[k]->name))
				return err_new(u->a, ERR_INVALID_PARAM, "The same key twice");
	}
	return NULL;
}

static err *read_stored(struct upload *u)
{
	AUTO_TX tx = NULL;

	TRY(store_read(u->e->opt.store, u->a, &tx));
	TRY(read_row(tx, u->cmd->user, &u->before));
	for (enum user_key_usage k = 0; k < KEY_USAGES; k++) {
		const struct user_key *given = u->given[k];

		TRY(user_key_parse(u->a, *key_of(&u->before, k), u->cmd->user_id, k, &u->stored[k]));
		u->replaced[k] = given && (!u->stored[k] || !str_eq(given->object.bare, u->stored[k]->object.bare));
	}
	return NULL;
}

/* "Must be signed by the accompanying master signing key, or by the user's most recently uploaded master signing key if
 * no master signing key is included in the request." */
static err *check_signatures(const struct upload *u)
{
	const struct user_key *master = u->given[KEY_MASTER] ? u->given[KEY_MASTER] : u->stored[KEY_MASTER];

	/* "M_MISSING_PARAM: No master signing key is available." */
	if (!master)
		return err_new(u->a, ERR_MISSING_PARAM, "No master key available");
	for (enum user_key_usage k = KEY_SELF_SIGNING; k < KEY_USAGES; k++)
		if (u->given[k] && !user_key_signed(u->a, master, &u->given[k]->object))
			return err_new(u->a, ERR_INVALID_SIGNATURE, "Invalid signature on %.*s",
				       STR_ARG(user_key_member(k)));
	return NULL;
}

/*
 * Writing
 */
/* "403: The public key of one of the keys is the same as one of the user's device IDs" */
static err *check_names(struct tx *tx, const struct upload *u)
{
	for (enum user_key_usage k = 0; k < KEY_USAGES; k++) {
		const struct device_row *device = NULL;

		if (u->replaced[k])
			TRY(store_device_get(tx, u->cmd->user, u->given[k]->name, &device));
		if (device)
			return err_new(tx_arena(tx), ERR_FORBIDDEN, "Key ID in use");
	}
	return NULL;
}

/* The old self-signing key's signatures leave the user's devices. */
static err *drop_device_signatures(struct tx *tx, const struct upload *u)
{
	const struct user_key *old = u->stored[KEY_SELF_SIGNING];
	struct arena *a = tx_arena(tx);
	struct device_keys_row *rows;
	size_t n;

	if (!old)
		return NULL;
	TRY(store_device_keys(tx, &u->cmd->user, 1, NULL, 0, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA scratch = arena_new(); /* trees are many times their texts */
		struct key_object k;
		bool saved;
		str text;

		TRY(err_keep(a, key_object_parse(scratch, rows[i].keys, u->cmd->user_id, &k)));
		if (str_is_none(key_object_signature(&k, old->id)))
			continue;
		json_del(k.signatures, old->id);
		TRY(key_object_text(a, &k, &text));
		TRY(store_device_keys_save(tx, u->cmd->user, rows[i].device_id, text, &saved));
	}
	return NULL;
}

/* Keys that the old master key has signed go with it. */
static err *text_after(const struct upload *u, struct arena *a, enum user_key_usage k, str *out)
{
	*out = u->replaced[KEY_MASTER] && !u->given[k] ? STR_NONE : *key_of(&u->before, k);
	return u->replaced[k] || (u->given[k] && u->replaced[KEY_MASTER])
		       ? key_object_text(a, &u->given[k]->object, out)
		       : NULL;
}

static bool changes(const struct upload *u, enum user_key_usage k)
{
	return u->replaced[k] || (u->replaced[KEY_MASTER] && u->stored[k] && !u->given[k]);
}

static err *upload_run(struct tx *tx, void *arg)
{
	struct upload *u = arg;
	struct cross_signing_row now, after = { .user = u->cmd->user };
	struct arena *a = tx_arena(tx);

	TRY(read_row(tx, u->cmd->user, &now));
	u->conflict = !row_equal(&now, &u->before);
	if (u->conflict)
		return NULL;
	TRY(check_names(tx, u));
	TRY(text_after(u, a, KEY_MASTER, &after.master));
	TRY(text_after(u, a, KEY_SELF_SIGNING, &after.self_signing));
	TRY(text_after(u, a, KEY_USER_SIGNING, &after.user_signing));
	TRY(store_cross_signing_save(tx, &after));
	if (changes(u, KEY_SELF_SIGNING))
		TRY(drop_device_signatures(tx, u));
	if (changes(u, KEY_MASTER))
		TRY(store_user_signatures_delete_of(tx, u->cmd->user));
	return changes(u, KEY_USER_SIGNING) ? store_user_signatures_delete_by(tx, u->cmd->user) : NULL;
}

static err *upload_late(struct tx *tx, void *arg)
{
	struct upload *u = arg;

	if (u->conflict)
		return NULL;
	u->note = (struct device_list_note){ .user = u->cmd->user, .a = u->a };
	if (changes(u, KEY_MASTER) || changes(u, KEY_SELF_SIGNING))
		return device_list_note_write(tx, &u->note);
	/* Nobody else sees the user-signing key. */
	return device_list_signed_write(tx, &u->note, &u->cmd->user, 1);
}

static void upload_after(void *arg, const err *result)
{
	const struct upload *u = arg;

	if (!result && !u->conflict)
		lists_tell(u->e, &u->note);
}

static err *write_upload(struct upload *u)
{
	const struct piece piece = { .run = upload_run, .late = upload_late, .after = upload_after, .arg = u };
	struct ticket *ticket;

	TRY(store_write(u->e->opt.store, u->a, &piece, &ticket));
	return store_wait(u->a, ticket);
}

err *e2ee_cross_signing_upload(struct e2ee *e, struct arena *a, const struct cross_signing_cmd *cmd,
			       bool *out_needs_proof)
{
	struct upload u = { .e = e, .a = a, .cmd = cmd };

	*out_needs_proof = false;
	TRY(read_given(&u));
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		TRY(read_stored(&u));
		/* "there is an existing master signing key and it exactly matches the master signing key provided in
		 * the request body. If there are any additional keys provided in the request [...] they MUST also
		 * match" */
		if (!u.replaced[KEY_MASTER] && !u.replaced[KEY_SELF_SIGNING] && !u.replaced[KEY_USER_SIGNING])
			return NULL;
		TRY(check_signatures(&u));
		/* "there is no existing master signing key uploaded to the homeserver" */
		if (u.stored[KEY_MASTER] && !cmd->proven) {
			*out_needs_proof = true;
			return NULL;
		}
		TRY(write_upload(&u));
		if (!u.conflict)
			return NULL;
	}
	return err_new(a, ERR_BUSY, "The keys keep changing");
}
