/* uia.c - sessions of user-interactive authentication. */
#include "store/uia.h"

#include "store/tx.h"

err *store_uia_add(struct tx *tx, str hash, const struct uia_row *row, int64_t max)
{
	static const char insert[] = "INSERT INTO uia_sessions (hash, user_nid, sealed, registration_token, result_nid,"
				     " created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
	static const char trim[] =
		"DELETE FROM uia_sessions WHERE user_nid = $1 AND created_at <= (SELECT created_at FROM uia_sessions"
		" WHERE user_nid = $1 ORDER BY created_at DESC LIMIT 1 OFFSET $2) AND hash <> $3";

	TRY(tx_run(tx, "DELETE FROM uia_sessions WHERE expires_at <= $1", BIND(B(row->created_at))));
	TRY(tx_run(tx, insert,
		   BIND(B(hash), B(row->user), B(row->sealed), B(row->registration_token), B(row->result),
			B(row->created_at), B(row->expires_at))));
	return max ? tx_run(tx, trim, BIND(B(row->user), B(max), B(hash))) : NULL;
}

err *store_uia_get(struct tx *tx, str hash, int64_t now, const struct uia_row **out)
{
	static const char sql[] =
		"SELECT user_nid, sealed, registration_token, result_nid, created_at, expires_at FROM uia_sessions"
		" WHERE hash = $1 AND expires_at > $2";
	struct uia_row *row;
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(hash), B(now)), &r));
	*out = NULL;
	if (!r)
		return NULL;
	row = ARENA_NEW(tx_arena(tx), struct uia_row);
	*row = (struct uia_row){
		.user = row_i64(r, 0),
		.sealed = row_str(r, 1),
		.registration_token = row_str(r, 2),
		.result = row_i64(r, 3),
		.created_at = row_i64(r, 4),
		.expires_at = row_i64(r, 5),
	};
	*out = row;
	return NULL;
}

err *store_uia_update(struct tx *tx, str hash, str sealed, str registration_token)
{
	return tx_run(tx, "UPDATE uia_sessions SET sealed = $2, registration_token = $3 WHERE hash = $1",
		      BIND(B(hash), B(sealed), B(registration_token)));
}

err *store_uia_set_result(struct tx *tx, str hash, str sealed, int64_t user)
{
	return tx_run(tx, "UPDATE uia_sessions SET sealed = $2, result_nid = $3 WHERE hash = $1",
		      BIND(B(hash), B(sealed), B(user)));
}

err *store_uia_delete(struct tx *tx, str hash)
{
	return tx_run(tx, "DELETE FROM uia_sessions WHERE hash = $1", BIND(B(hash)));
}

err *store_uia_delete_user(struct tx *tx, int64_t user)
{
	TRY(tx_run(tx, "DELETE FROM uia_sessions WHERE user_nid = $1", BIND(B(user))));
	return tx_run(tx, "DELETE FROM uia_sessions WHERE result_nid = $1", BIND(B(user)));
}
