/* device_keys.c - the keys that devices publish. */
#include "store/device_keys.h"

#include "matrix/membership.h"
#include "store/tx.h"

static err *collect_device_keys(struct tx *tx, struct rows **rs, struct device_keys_row **out, size_t *out_n)
{
	VEC(struct device_keys_row) found = { 0 };

	while (rows_next(*rs))
		vec_push(tx_arena(tx), &found,
			 (struct device_keys_row){ rows_i64(*rs, 0), rows_str(*rs, 1), rows_str(*rs, 2),
						   rows_str(*rs, 3) });
	TRY(rows_end(rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

#define SELECT_DEVICE_KEYS "SELECT user_nid, device_id, keys, display_name FROM device_keys WHERE user_nid IN $1"

err *store_device_keys(struct tx *tx, const int64_t *users, size_t n, const str *device_ids, size_t n_ids,
		       struct device_keys_row **out, size_t *out_n)
{
	static const char all[] = SELECT_DEVICE_KEYS;
	static const char some[] = SELECT_DEVICE_KEYS " AND device_id IN $2";
	const struct i64s of = { users, n };
	const struct strs ids = { device_ids, n_ids };
	struct rows *rs = NULL;

	*out = NULL;
	*out_n = 0;
	if (!n)
		return NULL;
	if (n_ids)
		TRY(tx_query(tx, some, BIND(B(of), B(ids)), &rs));
	else
		TRY(tx_query(tx, all, BIND(B(of)), &rs));
	return collect_device_keys(tx, &rs, out, out_n);
}

err *store_device_keys_get(struct tx *tx, int64_t user, str device_id, str *out)
{
	static const char sql[] = "SELECT keys FROM device_keys WHERE user_nid = $1 AND device_id = $2";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(user), B(device_id)), &r));
	*out = r ? row_str(r, 0) : STR_NONE;
	return NULL;
}

err *store_device_keys_save(struct tx *tx, int64_t user, str device_id, str keys, bool *out_saved)
{
	static const char sql[] =
		"INSERT INTO device_keys (user_nid, device_id, keys, display_name)"
		" SELECT user_nid, device_id, $3, display_name FROM devices WHERE user_nid = $1 AND device_id = $2"
		" ON CONFLICT (user_nid, device_id) DO UPDATE SET keys = excluded.keys";
	int64_t changed;

	TRY(tx_run_count(tx, sql, BIND(B(user), B(device_id), B(keys)), &changed));
	*out_saved = changed == 1;
	return NULL;
}

err *store_one_time_keys_find(struct tx *tx, int64_t user, str device_id, const str *key_ids, size_t n,
			      struct one_time_key_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT algorithm, key_id, key FROM one_time_keys"
				  " WHERE user_nid = $1 AND device_id = $2 AND key_id IN $3";
	const struct strs ids = { key_ids, n };
	VEC(struct one_time_key_row) found = { 0 };
	struct rows *rs = NULL;

	TRY(tx_query(tx, sql, BIND(B(user), B(device_id), B(ids)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct one_time_key_row){ rows_str(rs, 0), rows_str(rs, 1), rows_str(rs, 2) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

/* Rows side by side; the device's own row must be there still. */
static err *add_keys(struct tx *tx, const char *sql, int64_t user, str device_id, int64_t place,
		     const struct one_time_key_row *rows, size_t n, size_t *out_changed)
{
	struct arena *a = tx_arena(tx);
	str *lists[3];
	int64_t changed;

	for (size_t c = 0; c < 3; c++)
		lists[c] = ARENA_ARRAY(a, str, n);
	for (size_t i = 0; i < n; i++) {
		lists[0][i] = rows[i].algorithm;
		lists[1][i] = rows[i].key_id;
		lists[2][i] = rows[i].key;
	}
	const struct strs algorithms = { lists[0], n }, ids = { lists[1], n }, keys = { lists[2], n };

	TRY(tx_run_count(tx, sql, BIND(B(user), B(device_id), B(place), B(algorithms), B(ids), B(keys)), &changed));
	*out_changed = (size_t)changed;
	return NULL;
}

err *store_one_time_keys_add(struct tx *tx, int64_t user, str device_id, int64_t place,
			     const struct one_time_key_row *rows, size_t n, size_t *out_added)
{
	static const char sql[] = "INSERT INTO one_time_keys (user_nid, device_id, algorithm, key_id, place, key)"
				  " SELECT d.user_nid, d.device_id, zip.c1, zip.c2, $3, zip.c3"
				  " FROM ZIP ($4, $5, $6), devices d WHERE d.user_nid = $1 AND d.device_id = $2"
				  " ON CONFLICT (user_nid, device_id, algorithm, key_id) DO NOTHING";

	return add_keys(tx, sql, user, device_id, place, rows, n, out_added);
}

static err *first_key(struct tx *tx, const char *sql, int64_t user, str device_id, str algorithm,
		      struct one_time_key_row *out, bool *out_found)
{
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(user), B(device_id), B(algorithm)), &r));
	*out_found = r != NULL;
	if (r)
		*out = (struct one_time_key_row){ algorithm, row_str(r, 0), row_str(r, 1) };
	return NULL;
}

/* SQLite makes a table in passing for RETURNING: two statements cost less. What another process took in between is not
 * deleted here, and the next one is tried. */
err *store_one_time_key_take(struct tx *tx, int64_t user, str device_id, str algorithm, struct one_time_key_row *out,
			     bool *out_found)
{
	static const char find[] = "SELECT key_id, key FROM one_time_keys WHERE user_nid = $1 AND device_id = $2"
				   " AND algorithm = $3 ORDER BY place LIMIT 1";
	static const char take[] = "DELETE FROM one_time_keys WHERE user_nid = $1 AND device_id = $2"
				   " AND algorithm = $3 AND key_id = $4";
	int64_t taken = 0;

	do {
		TRY(first_key(tx, find, user, device_id, algorithm, out, out_found));
		if (!*out_found)
			return NULL;
		TRY(tx_run_count(tx, take, BIND(B(user), B(device_id), B(algorithm), B(out->key_id)), &taken));
	} while (!taken);
	return NULL;
}

err *store_fallback_keys_save(struct tx *tx, int64_t user, str device_id, const struct one_time_key_row *rows, size_t n,
			      size_t *out_changed)
{
	static const char sql[] = "INSERT INTO fallback_keys (user_nid, device_id, algorithm, key_id, key, used)"
				  " SELECT d.user_nid, d.device_id, zip.c1, zip.c2, zip.c3, $3"
				  " FROM ZIP ($4, $5, $6), devices d WHERE d.user_nid = $1 AND d.device_id = $2"
				  " ON CONFLICT (user_nid, device_id, algorithm) DO UPDATE"
				  " SET key_id = excluded.key_id, key = excluded.key, used = excluded.used"
				  " WHERE fallback_keys.key_id <> excluded.key_id OR fallback_keys.key <> excluded.key";

	return add_keys(tx, sql, user, device_id, 0, rows, n, out_changed);
}

err *store_fallback_key_use(struct tx *tx, int64_t user, str device_id, str algorithm, struct one_time_key_row *out,
			    bool *out_found, bool *out_first)
{
	static const char find[] = "SELECT key_id, key FROM fallback_keys WHERE user_nid = $1 AND device_id = $2"
				   " AND algorithm = $3";
	static const char use[] = "UPDATE fallback_keys SET used = 1 WHERE user_nid = $1 AND device_id = $2"
				  " AND algorithm = $3 AND used = 0";
	int64_t changed;

	*out_first = false;
	TRY(first_key(tx, find, user, device_id, algorithm, out, out_found));
	if (!*out_found)
		return NULL;
	TRY(tx_run_count(tx, use, BIND(B(user), B(device_id), B(algorithm)), &changed));
	*out_first = changed == 1;
	return NULL;
}

err *store_key_counts(struct tx *tx, int64_t user, str device_id, struct key_count_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT algorithm, CAST(SUM(one_time) AS BIGINT), CAST(SUM(unused) AS BIGINT),"
		" CAST(SUM(fallback) AS BIGINT) FROM ("
		"SELECT algorithm, COUNT(*) AS one_time, 0 AS unused, 0 AS fallback FROM one_time_keys"
		" WHERE user_nid = $1 AND device_id = $2 GROUP BY algorithm"
		" UNION ALL SELECT algorithm, 0, 1 - used, 1 FROM fallback_keys WHERE user_nid = $1 AND device_id = $2"
		") AS k GROUP BY algorithm ORDER BY algorithm";
	VEC(struct key_count_row) found = { 0 };
	struct rows *rs = NULL;

	TRY(tx_query(tx, sql, BIND(B(user), B(device_id)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct key_count_row){ rows_str(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) > 0,
						 rows_i64(rs, 3) > 0 });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_members_without_keys(struct tx *tx, int64_t user, size_t limit, struct keyless_member **out, size_t *out_n)
{
	static const char sql[] = "SELECT m.member, COUNT(*) FROM membership mine"
				  " JOIN room_summary s ON s.room = mine.room AND s.encryption IS NOT NULL"
				  " JOIN membership m ON m.room = mine.room AND m.membership IN $3 AND m.member <> $1"
				  " JOIN accounts a ON a.nid = m.member"
				  " WHERE mine.member = $1 AND mine.membership = $2"
				  " AND NOT EXISTS (SELECT 1 FROM device_keys k WHERE k.user_nid = m.member)"
				  " GROUP BY m.member ORDER BY COUNT(*) DESC, m.member LIMIT $4";
	static const int64_t in[] = { MEMBER_JOIN, MEMBER_INVITE };
	VEC(struct keyless_member) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(user), B(MEMBER_JOIN), B(((struct i64s){ in, ARRAY_LEN(in) })), B((int64_t)limit)),
		     &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct keyless_member){ rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}
