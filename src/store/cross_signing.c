/* cross_signing.c - users' cross-signing keys, and signatures that only their maker sees. */
#include "store/cross_signing.h"

#include "json/writer.h"
#include "store/devices.h"
#include "store/tx.h"

err *store_cross_signing(struct tx *tx, int64_t viewer, const int64_t *users, size_t n, struct cross_signing_row **out,
			 size_t *out_n)
{
	static const char sql[] = "SELECT user_nid, master, self_signing, CASE WHEN user_nid = $2 THEN user_signing END"
				  " FROM cross_signing_keys WHERE user_nid IN $1";
	const struct i64s of = { users, n };
	VEC(struct cross_signing_row) found = { 0 };
	struct rows *rs = NULL;

	*out = NULL;
	*out_n = 0;
	if (!n)
		return NULL;
	TRY(tx_query(tx, sql, BIND(B(of), B(viewer)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct cross_signing_row){ rows_i64(rs, 0), rows_str(rs, 1), rows_str(rs, 2),
						     rows_str(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_cross_signing_get(struct tx *tx, int64_t user, struct cross_signing_row *out, bool *out_found)
{
	struct cross_signing_row *rows;
	size_t n;

	TRY(store_cross_signing(tx, user, &user, 1, &rows, &n));
	*out_found = n == 1;
	if (n)
		*out = rows[0];
	return NULL;
}

err *store_cross_signing_save(struct tx *tx, const struct cross_signing_row *row)
{
	static const char sql[] =
		"INSERT INTO cross_signing_keys (user_nid, master, self_signing, user_signing)"
		" VALUES ($1, $2, $3, $4) ON CONFLICT (user_nid) DO UPDATE SET master = excluded.master,"
		" self_signing = excluded.self_signing, user_signing = excluded.user_signing";

	return tx_run(tx, sql, BIND(B(row->user), B(row->master), B(row->self_signing), B(row->user_signing)));
}

err *store_cross_signing_delete(struct tx *tx, int64_t user)
{
	TRY(tx_run(tx, "DELETE FROM cross_signing_keys WHERE user_nid = $1", BIND(B(user))));
	TRY(store_user_signatures_delete_by(tx, user));
	return store_user_signatures_delete_of(tx, user);
}

/* Takes the signatures of devices that are no more out of one user's; false: there were none. */
static err *forget_signatures(struct tx *tx, int64_t user, struct json *signatures, bool *out_changed)
{
	struct json *kept = json_copy(tx_arena(tx), signatures);

	JSON_EACH (signatures, m) {
		const struct device_row *device;

		if (!str_starts(m->key, S("ed25519:")))
			continue;
		TRY(store_device_get(tx, user, str_from(m->key, 8), &device));
		if (device)
			continue;
		json_del(kept, m->key);
		*out_changed = true;
	}
	*signatures = *kept;
	return NULL;
}

err *store_cross_signing_forget_devices(struct tx *tx, int64_t user)
{
	static const char find[] = "SELECT master FROM cross_signing_keys WHERE user_nid = $1";
	struct json *master, *all;
	AUTO_BUF text = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&text);
	bool changed = false;
	struct row *r;

	TRY(tx_one(tx, find, BIND(B(user)), &r));
	if (!r)
		return NULL;
	TRY(json_parse(tx_arena(tx), row_str(r, 0), &json_limits_request, &master));
	if (!json_get_object(master, S("signatures")))
		return NULL;
	all = json_copy(tx_arena(tx), json_get_object(master, S("signatures")));
	JSON_EACH (json_get_object(master, S("signatures")), m) {
		struct json *theirs = json_copy(tx_arena(tx), m->value);

		TRY(forget_signatures(tx, user, theirs, &changed));
		if (theirs->object.n)
			json_set(tx_arena(tx), all, m->key, theirs);
		else
			json_del(all, m->key);
	}
	if (!changed)
		return NULL;
	json_set(tx_arena(tx), master, S("signatures"), all); /* in its place, which is the last */
	jw_json(&w, NULL, master);
	return tx_run(tx, "UPDATE cross_signing_keys SET master = $2 WHERE user_nid = $1",
		      BIND(B(user), B(buf_str(&text))));
}

static bool is_key(struct tx *tx, str text, str public_key)
{
	struct json *key;

	if (str_is_none(text) || json_parse(tx_arena(tx), text, &json_limits_request, &key))
		return false;
	JSON_EACH (json_get_object(key, S("keys")), m)
		if (str_eq(json_str(m->value), public_key))
			return true;
	return false;
}

err *store_cross_signing_has(struct tx *tx, int64_t user, str public_key, bool *out)
{
	struct cross_signing_row row;

	TRY(store_cross_signing_get(tx, user, &row, out));
	*out = *out && (is_key(tx, row.master, public_key) || is_key(tx, row.self_signing, public_key) ||
			is_key(tx, row.user_signing, public_key));
	return NULL;
}

static err *signatures_read(struct tx *tx, struct rows *rs, int64_t signer, struct user_signature_row **out,
			    size_t *out_n)
{
	VEC(struct user_signature_row) found = { 0 };

	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct user_signature_row){ signer, rows_i64(rs, 0), rows_str(rs, 1), rows_str(rs, 2),
						      rows_str(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

/* Who has signed few is cheaper read as a whole than by a look-up for each user. */
err *store_user_signatures(struct tx *tx, int64_t signer, const int64_t *users, size_t n,
			   struct user_signature_row **out, size_t *out_n)
{
	static const char first[] = "SELECT user_nid, master, key_id, signature FROM user_signatures"
				    " WHERE signer_nid = $1 LIMIT $2";
	static const char some[] = "SELECT user_nid, master, key_id, signature FROM user_signatures"
				   " WHERE signer_nid = $1 AND user_nid IN $2";
	const struct i64s of = { users, n };
	struct rows *rs = NULL;
	enum { FEW = 64 };

	*out = NULL;
	*out_n = 0;
	if (!n)
		return NULL;
	TRY(tx_query(tx, first, BIND(B(signer), B((int64_t)FEW)), &rs));
	TRY(signatures_read(tx, rs, signer, out, out_n));
	if (*out_n < FEW)
		return NULL;
	TRY(tx_query(tx, some, BIND(B(signer), B(of)), &rs));
	return signatures_read(tx, rs, signer, out, out_n);
}

err *store_user_signature_save(struct tx *tx, const struct user_signature_row *row)
{
	static const char sql[] = "INSERT INTO user_signatures (signer_nid, user_nid, master, key_id, signature)"
				  " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (signer_nid, user_nid) DO UPDATE SET"
				  " master = excluded.master, key_id = excluded.key_id, signature = excluded.signature";

	return tx_run(tx, sql, BIND(B(row->signer), B(row->user), B(row->master), B(row->key_id), B(row->signature)));
}

err *store_user_signatures_delete_by(struct tx *tx, int64_t signer)
{
	return tx_run(tx, "DELETE FROM user_signatures WHERE signer_nid = $1", BIND(B(signer)));
}

err *store_user_signatures_delete_of(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM user_signatures WHERE user_nid = $1", BIND(B(user)));
}
