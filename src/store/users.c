/* users.c - accounts, and the tokens that let people make one. */
#include "store/users.h"

#include "store/tx.h"

#define ACCOUNT_COLUMNS                                                                                                \
	"nid, user_id, password, is_admin, is_guest, is_locked, is_suspended, created_at, deactivated_at"

static struct account_row account_of(const struct rows *rs)
{
	return (struct account_row){
		.nid = rows_i64(rs, 0),
		.user_id = rows_str(rs, 1),
		.password = rows_str(rs, 2),
		.is_admin = rows_i64(rs, 3) != 0,
		.is_guest = rows_i64(rs, 4) != 0,
		.is_locked = rows_i64(rs, 5) != 0,
		.is_suspended = rows_i64(rs, 6) != 0,
		.created_at = rows_i64(rs, 7),
		.deactivated_at = rows_i64(rs, 8),
	};
}

static err *accounts_read(struct tx *tx, const char *sql, const struct bind *b, size_t n, size_t max,
			  struct account_row *out, size_t *out_n)
{
	struct rows *rs = NULL;
	size_t got = 0;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		if (got < max)
			out[got++] = account_of(rs);
	TRY(rows_end(&rs));
	*out_n = got;
	return NULL;
}

static err *account_one(struct tx *tx, const char *sql, const struct bind *b, size_t n, const struct account_row **out)
{
	struct account_row *row = ARENA_NEW(tx_arena(tx), struct account_row);
	size_t got;

	TRY(accounts_read(tx, sql, b, n, 1, row, &got));
	*out = got ? row : NULL;
	return NULL;
}

err *store_account_add(struct tx *tx, const struct account_row *row, str folded, bool *out_added)
{
	static const char sql[] =
		"INSERT INTO accounts (nid, user_id, folded, password, is_admin, is_guest, is_locked, is_suspended,"
		" created_at, deactivated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
		" ON CONFLICT (nid) DO NOTHING";
	int64_t changed;

	TRY(tx_run_count(tx, sql,
			 BIND(B(row->nid), B(row->user_id), B(folded), B(row->password), B(row->is_admin),
			      B(row->is_guest), B(row->is_locked), B(row->is_suspended), B(row->created_at),
			      B(row->deactivated_at)),
			 &changed));
	*out_added = changed == 1;
	return NULL;
}

err *store_account_get(struct tx *tx, int64_t nid, const struct account_row **out)
{
	return account_one(tx, "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE nid = $1", BIND(B(nid)), out);
}

err *store_account_find(struct tx *tx, str user_id, const struct account_row **out)
{
	return account_one(tx, "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE user_id = $1", BIND(B(user_id)), out);
}

err *store_accounts_folded(struct tx *tx, str folded, size_t max, struct account_row *out, size_t *out_n)
{
	static const char sql[] =
		"SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE folded = $1 ORDER BY user_id LIMIT $2";

	return accounts_read(tx, sql, BIND(B(folded), B((int64_t)max)), max, out, out_n);
}

err *store_accounts_list(struct tx *tx, str after, size_t max, struct account_row *out, size_t *out_n)
{
	static const char sql[] =
		"SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE user_id > $1 ORDER BY user_id LIMIT $2";

	return accounts_read(tx, sql, BIND(B(str_is_none(after) ? S("") : after), B((int64_t)max)), max, out, out_n);
}

err *store_account_set_password(struct tx *tx, int64_t nid, str hash)
{
	return tx_run(tx, "UPDATE accounts SET password = $2 WHERE nid = $1", BIND(B(nid), B(hash)));
}

err *store_account_rehash(struct tx *tx, int64_t nid, str old_hash, str new_hash)
{
	return tx_run(tx, "UPDATE accounts SET password = $3 WHERE nid = $1 AND password = $2",
		      BIND(B(nid), B(old_hash), B(new_hash)));
}

err *store_account_set_admin(struct tx *tx, int64_t nid, bool admin)
{
	return tx_run(tx, "UPDATE accounts SET is_admin = $2 WHERE nid = $1", BIND(B(nid), B(admin)));
}

err *store_account_set_locked(struct tx *tx, int64_t nid, bool locked)
{
	return tx_run(tx, "UPDATE accounts SET is_locked = $2 WHERE nid = $1", BIND(B(nid), B(locked)));
}

err *store_account_set_suspended(struct tx *tx, int64_t nid, bool suspended)
{
	return tx_run(tx, "UPDATE accounts SET is_suspended = $2 WHERE nid = $1", BIND(B(nid), B(suspended)));
}

err *store_account_deactivate(struct tx *tx, int64_t nid, int64_t now, bool erase)
{
	static const char sql[] = "UPDATE accounts SET password = NULL,"
				  " deactivated_at = CASE WHEN deactivated_at = 0 THEN $2 ELSE deactivated_at END,"
				  " is_erased = CASE WHEN $3 = 1 THEN 1 ELSE is_erased END WHERE nid = $1";
	static const char closing[] = "INSERT INTO closing_accounts (nid) VALUES ($1) ON CONFLICT (nid) DO NOTHING";

	TRY(tx_run(tx, sql, BIND(B(nid), B(now), B(erase))));
	return tx_run(tx, closing, BIND(B(nid)));
}

err *store_account_is_erased(struct tx *tx, int64_t nid, bool *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT is_erased FROM accounts WHERE nid = $1", BIND(B(nid)), &row));
	*out = row && row_i64(row, 0);
	return NULL;
}

err *store_accounts_erased(struct tx *tx, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT nid FROM accounts WHERE is_erased = 1", NO_BIND, out, out_n);
}

err *store_account_closed(struct tx *tx, int64_t nid)
{
	return tx_run(tx, "DELETE FROM closing_accounts WHERE nid = $1", BIND(B(nid)));
}

err *store_accounts_closing(struct tx *tx, size_t max, struct account_row *out, size_t *out_n)
{
	static const char sql[] =
		"SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE nid IN (SELECT nid FROM closing_accounts) LIMIT $1";

	return accounts_read(tx, sql, BIND(B((int64_t)max)), max, out, out_n);
}

err *store_policy_accept(struct tx *tx, int64_t nid, str policy, str version, int64_t now)
{
	static const char sql[] =
		"INSERT INTO accepted_policies (user_nid, policy, version, accepted_at) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (user_nid, policy, version) DO NOTHING";

	return tx_run(tx, sql, BIND(B(nid), B(policy), B(version), B(now)));
}

/*
 * Registration tokens
 */

/* A use that has begun and not ended is a session that holds the token: nothing has to be counted back when it expires.
 */
#define TOKEN_SELECT                                                                                                   \
	"SELECT t.token, t.uses_allowed, t.completed, t.expires_at, (SELECT count(*) FROM uia_sessions s"              \
	" WHERE s.registration_token = t.token AND s.result_nid = 0 AND s.expires_at > $1) FROM registration_tokens t"

static err *tokens_read(struct tx *tx, const char *sql, const struct bind *b, size_t n, size_t max,
			struct registration_token_row *out, size_t *out_n)
{
	struct rows *rs = NULL;
	size_t got = 0;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		if (got == max)
			continue;
		out[got++] = (struct registration_token_row){
			.token = rows_str(rs, 0),
			.uses_allowed = rows_null(rs, 1) ? -1 : rows_i64(rs, 1),
			.completed = rows_i64(rs, 2),
			.expires_at = rows_i64(rs, 3),
			.pending = rows_i64(rs, 4),
		};
	}
	TRY(rows_end(&rs));
	*out_n = got;
	return NULL;
}

static struct bind uses_bind(int64_t uses_allowed) { return uses_allowed < 0 ? bind_null() : bind_int(uses_allowed); }

err *store_registration_token_add(struct tx *tx, const struct registration_token_row *row, int64_t now, bool *out_added)
{
	static const char sql[] =
		"INSERT INTO registration_tokens (token, uses_allowed, completed, expires_at, created_at)"
		" VALUES ($1, $2, 0, $3, $4) ON CONFLICT (token) DO NOTHING";
	int64_t changed;

	TRY(tx_run_count(tx, sql, BIND(B(row->token), uses_bind(row->uses_allowed), B(row->expires_at), B(now)),
			 &changed));
	*out_added = changed == 1;
	return NULL;
}

err *store_registration_token_get(struct tx *tx, str token, int64_t now, const struct registration_token_row **out)
{
	struct registration_token_row *row = ARENA_NEW(tx_arena(tx), struct registration_token_row);
	size_t got;

	TRY(tokens_read(tx, TOKEN_SELECT " WHERE t.token = $2", BIND(B(now), B(token)), 1, row, &got));
	*out = got ? row : NULL;
	return NULL;
}

err *store_registration_tokens_list(struct tx *tx, int64_t now, size_t max, struct registration_token_row *out,
				    size_t *out_n)
{
	return tokens_read(tx, TOKEN_SELECT " ORDER BY t.created_at, t.token LIMIT $2", BIND(B(now), B((int64_t)max)),
			   max, out, out_n);
}

err *store_registration_token_update(struct tx *tx, str token, int64_t uses_allowed, int64_t expires_at)
{
	return tx_run(tx, "UPDATE registration_tokens SET uses_allowed = $2, expires_at = $3 WHERE token = $1",
		      BIND(B(token), uses_bind(uses_allowed), B(expires_at)));
}

err *store_registration_token_delete(struct tx *tx, str token, bool *out_deleted)
{
	int64_t changed;

	TRY(tx_run_count(tx, "DELETE FROM registration_tokens WHERE token = $1", BIND(B(token)), &changed));
	*out_deleted = changed == 1;
	return NULL;
}

err *store_registration_token_use(struct tx *tx, str token, bool *out_used)
{
	static const char sql[] = "UPDATE registration_tokens SET completed = completed + 1 WHERE token = $1"
				  " AND (uses_allowed IS NULL OR completed < uses_allowed)";
	int64_t changed;

	TRY(tx_run_count(tx, sql, BIND(B(token)), &changed));
	*out_used = changed == 1;
	return NULL;
}
