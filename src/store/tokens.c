/* tokens.c - access, refresh and one-time tokens. */
#include "store/tokens.h"

#include "store/tx.h"

err *store_token_add(struct tx *tx, const struct token_row *row, str hash, int64_t now)
{
	static const char sql[] =
		"INSERT INTO access_tokens (id, hash, user_nid, device_id, created_at, expires_at, validated_at, refresh_id)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

	return tx_run(tx, sql,
		      BIND(B(row->id), B(hash), B(row->user), B(row->device_id), B(now), B(row->expires_at),
			   B(row->validated_at), B(row->refresh_id)));
}

err *store_token_find(struct tx *tx, str hash, const struct token_row **out)
{
	static const char sql[] =
		"SELECT t.id, t.user_nid, t.device_id, t.expires_at, t.validated_at, t.refresh_id,"
		" COALESCE(r.previous_id, 0), a.user_id, a.is_admin, a.is_guest, a.is_locked, a.is_suspended,"
		" COALESCE(d.seen_at, 0)"
		" FROM access_tokens t JOIN accounts a ON a.nid = t.user_nid"
		" LEFT JOIN refresh_tokens r ON r.id = t.refresh_id"
		" LEFT JOIN devices d ON d.user_nid = t.user_nid AND d.device_id = t.device_id WHERE t.hash = $1";
	struct token_row *row;
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(hash)), &r));
	*out = NULL;
	if (!r)
		return NULL;
	row = ARENA_NEW(tx_arena(tx), struct token_row);
	*row = (struct token_row){
		.id = row_i64(r, 0),
		.user = row_i64(r, 1),
		.device_id = row_str(r, 2),
		.expires_at = row_i64(r, 3),
		.validated_at = row_i64(r, 4),
		.refresh_id = row_i64(r, 5),
		.previous_id = row_i64(r, 6),
		.user_id = row_str(r, 7),
		.is_admin = row_i64(r, 8) != 0,
		.is_guest = row_i64(r, 9) != 0,
		.is_locked = row_i64(r, 10) != 0,
		.is_suspended = row_i64(r, 11) != 0,
		.seen_at = row_i64(r, 12),
	};
	*out = row;
	return NULL;
}

err *store_token_set_validated(struct tx *tx, int64_t id, int64_t now)
{
	return tx_run(tx, "UPDATE access_tokens SET validated_at = $2 WHERE id = $1", BIND(B(id), B(now)));
}

err *store_token_validated(struct tx *tx, int64_t id, int64_t *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT validated_at FROM access_tokens WHERE id = $1", BIND(B(id)), &r));
	*out = r ? row_i64(r, 0) : 0;
	return NULL;
}

err *store_refresh_add(struct tx *tx, const struct refresh_row *row, str hash)
{
	static const char sql[] =
		"INSERT INTO refresh_tokens (id, hash, user_nid, device_id, expires_at, session_expires_at, previous_id)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)";

	return tx_run(tx, sql,
		      BIND(B(row->id), B(hash), B(row->user), B(row->device_id), B(row->expires_at),
			   B(row->session_expires_at), B(row->previous_id)));
}

err *store_refresh_find(struct tx *tx, str hash, const struct refresh_row **out)
{
	static const char sql[] = "SELECT id, user_nid, device_id, expires_at, session_expires_at, previous_id"
				  " FROM refresh_tokens WHERE hash = $1";
	struct refresh_row *row;
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(hash)), &r));
	*out = NULL;
	if (!r)
		return NULL;
	row = ARENA_NEW(tx_arena(tx), struct refresh_row);
	*row = (struct refresh_row){
		.id = row_i64(r, 0),
		.user = row_i64(r, 1),
		.device_id = row_str(r, 2),
		.expires_at = row_i64(r, 3),
		.session_expires_at = row_i64(r, 4),
		.previous_id = row_i64(r, 5),
	};
	*out = row;
	return NULL;
}

err *store_refresh_confirm(struct tx *tx, int64_t id, int64_t previous_id)
{
	static const char access[] = "DELETE FROM access_tokens WHERE refresh_id IN (SELECT id FROM refresh_tokens"
				     " WHERE (id = $1 OR previous_id = $1) AND id <> $2)";
	static const char refresh[] = "DELETE FROM refresh_tokens WHERE (id = $1 OR previous_id = $1) AND id <> $2";
	static const char confirm[] = "UPDATE refresh_tokens SET previous_id = 0 WHERE id = $1 AND previous_id = $2";
	int64_t changed;

	/* One that is gone by now (trimmed, or another successor was first) must not take the others with it. */
	TRY(tx_run_count(tx, confirm, BIND(B(id), B(previous_id)), &changed));
	if (changed == 0)
		return NULL;
	TRY(tx_run(tx, access, BIND(B(previous_id), B(id))));
	return tx_run(tx, refresh, BIND(B(previous_id), B(id)));
}

err *store_refresh_trim(struct tx *tx, int64_t previous_id, int64_t keep)
{
#define PAST_KEEP                                                                                                      \
	"(SELECT id FROM refresh_tokens WHERE previous_id = $1 AND id <= (SELECT id FROM refresh_tokens"               \
	" WHERE previous_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2))"

	TRY(tx_run(tx, "DELETE FROM access_tokens WHERE refresh_id IN " PAST_KEEP, BIND(B(previous_id), B(keep))));
	return tx_run(tx, "DELETE FROM refresh_tokens WHERE id IN " PAST_KEEP, BIND(B(previous_id), B(keep)));
#undef PAST_KEEP
}

err *store_tokens_delete_device(struct tx *tx, int64_t user, str device_id)
{
	TRY(tx_run(tx, "DELETE FROM access_tokens WHERE user_nid = $1 AND device_id = $2",
		   BIND(B(user), B(device_id))));
	return tx_run(tx, "DELETE FROM refresh_tokens WHERE user_nid = $1 AND device_id = $2",
		      BIND(B(user), B(device_id)));
}

err *store_one_time_add(struct tx *tx, enum one_time_kind kind, int64_t user, str hash, int64_t expires_at, int64_t now,
			int64_t max, bool *out_added)
{
	static const char insert[] = "INSERT INTO one_time_tokens (hash, kind, user_nid, expires_at)"
				     " VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING";
	static const char trim[] =
		"DELETE FROM one_time_tokens WHERE hash IN (SELECT hash FROM one_time_tokens WHERE user_nid = $1 AND kind = $2"
		" ORDER BY expires_at DESC, hash LIMIT 1000 OFFSET $3)";
	int64_t changed;

	TRY(tx_run(tx, "DELETE FROM one_time_tokens WHERE expires_at <= $1", BIND(B(now))));
	TRY(tx_run_count(tx, insert, BIND(B(hash), B((int64_t)kind), B(user), B(expires_at)), &changed));
	*out_added = changed == 1;
	return tx_run(tx, trim, BIND(B(user), B((int64_t)kind), B(max)));
}

err *store_one_time_find(struct tx *tx, enum one_time_kind kind, str hash, int64_t now, int64_t *out_user)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT user_nid FROM one_time_tokens WHERE hash = $1 AND kind = $2 AND expires_at > $3",
		   BIND(B(hash), B((int64_t)kind), B(now)), &r));
	*out_user = r ? row_i64(r, 0) : -1;
	return NULL;
}

err *store_one_time_take(struct tx *tx, enum one_time_kind kind, str hash, int64_t now, int64_t *out_user)
{
	int64_t changed, user;

	TRY(store_one_time_find(tx, kind, hash, now, &user));
	*out_user = -1;
	if (user < 0)
		return NULL;
	/* Whoever deletes the row has it: two that read it at once (several writers) cannot both. */
	TRY(tx_run_count(tx, "DELETE FROM one_time_tokens WHERE hash = $1", BIND(B(hash)), &changed));
	if (changed == 1)
		*out_user = user;
	return NULL;
}

err *store_one_time_delete_user(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM one_time_tokens WHERE user_nid = $1", BIND(B(user)));
}
