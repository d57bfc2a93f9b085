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

/*
 * Giving keys
 */
/* Lists side by side, of those to whom nothing is given yet: whose device, which algorithm, and its place in the list.
 */
struct asked {
	int64_t *users, *at;
	str *device_ids, *algorithms;
	size_t n;
};

static struct asked still_asked(struct arena *a, const struct key_taking *list, size_t n)
{
	struct asked k = { .users = ARENA_ARRAY(a, int64_t, n),
			   .at = ARENA_ARRAY(a, int64_t, n),
			   .device_ids = ARENA_ARRAY(a, str, n),
			   .algorithms = ARENA_ARRAY(a, str, n) };

	for (size_t i = 0; i < n; i++) {
		if (!str_is_none(list[i].key_id))
			continue;
		k.users[k.n] = list[i].user;
		k.device_ids[k.n] = list[i].device_id;
		k.algorithms[k.n] = list[i].algorithm;
		k.at[k.n++] = (int64_t)i;
	}
	return k;
}

/* Rows: which of the list, the key's id, the key, and whether it is used for the first time. */
static err *give(struct tx *tx, const char *sql, struct key_taking *list, size_t n, size_t *out_given)
{
	const struct asked k = still_asked(tx_arena(tx), list, n);
	struct rows *rs = NULL;

	*out_given = 0;
	if (!k.n)
		return NULL;
	TRY(tx_query(tx, sql,
		     BIND(B(((struct i64s){ k.users, k.n })), B(((struct strs){ k.device_ids, k.n })),
			  B(((struct strs){ k.algorithms, k.n })), B(((struct i64s){ k.at, k.n }))),
		     &rs));
	while (rows_next(rs)) {
		struct key_taking *t = &list[rows_i64(rs, 0)];

		t->key_id = rows_str(rs, 1);
		t->key = rows_str(rs, 2);
		t->first = rows_i64(rs, 3);
		(*out_given)++;
	}
	return rows_end(&rs);
}

err *store_one_time_keys_take(struct tx *tx, struct key_taking *list, size_t n)
{
	static const char find[] =
		"SELECT zip.c4, k.key_id, k.key, 0 FROM ZIP ($1, $2, $3, $4) CROSS JOIN one_time_keys k"
		" WHERE k.user_nid = zip.c1 AND k.device_id = zip.c2 AND k.algorithm = zip.c3 AND k.key_id ="
		" (SELECT o.key_id FROM one_time_keys o WHERE o.user_nid = zip.c1 AND o.device_id = zip.c2"
		" AND o.algorithm = zip.c3 ORDER BY o.place LIMIT 1)";
	static const char take[] = "DELETE FROM one_time_keys WHERE (user_nid, device_id, algorithm, key_id) IN"
				   " (SELECT zip.c1, zip.c2, zip.c3, zip.c4 FROM ZIP ($1, $2, $3, $4))";
	struct arena *a = tx_arena(tx);
	int64_t taken, *users;
	size_t given, got = 0;
	str *lists[3];

	TRY(give(tx, find, list, n, &given));
	if (!given)
		return NULL;
	users = ARENA_ARRAY(a, int64_t, given);
	for (size_t c = 0; c < 3; c++)
		lists[c] = ARENA_ARRAY(a, str, given);
	for (size_t i = 0; i < n; i++) {
		if (str_is_none(list[i].key_id))
			continue;
		users[got] = list[i].user;
		lists[0][got] = list[i].device_id;
		lists[1][got] = list[i].algorithm;
		lists[2][got++] = list[i].key_id;
	}
	TRY(tx_run_count(tx, take,
			 BIND(B(((struct i64s){ users, got })), B(((struct strs){ lists[0], got })),
			      B(((struct strs){ lists[1], got })), B(((struct strs){ lists[2], got }))),
			 &taken));
	return (size_t)taken == given ? NULL : err_new(a, ERR_BUSY, "One-time keys were taken by another process");
}

err *store_fallback_keys_use(struct tx *tx, struct key_taking *list, size_t n)
{
	static const char find[] =
		"SELECT zip.c4, k.key_id, k.key, 1 - k.used FROM ZIP ($1, $2, $3, $4) CROSS JOIN fallback_keys k"
		" WHERE k.user_nid = zip.c1 AND k.device_id = zip.c2 AND k.algorithm = zip.c3";
	static const char use[] = "UPDATE fallback_keys SET used = 1 WHERE user_nid = $1 AND device_id = $2"
				  " AND algorithm = $3";
	size_t given;

	TRY(give(tx, find, list, n, &given));
	for (size_t i = 0; i < n && given; i++)
		if (list[i].first)
			TRY(tx_run(tx, use, BIND(B(list[i].user), B(list[i].device_id), B(list[i].algorithm))));
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
