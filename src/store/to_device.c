/*
 * to_device.c - messages that wait for devices.
 *
 * A message to a thousand devices is one statement: the lists are rows, joined with the devices that exist.
 */
#include "store/to_device.h"

err *store_to_device_add(struct tx *tx, const struct to_device_head *head, struct i64s users, struct strs device_ids,
			 struct i64s sizes, struct strs contents, int64_t *out_n)
{
	static const char sql[] =
		"INSERT INTO to_device (user_nid, device_id, stream, created, sender, shared, size, type, content)"
		" SELECT d.user_nid, d.device_id, $5, $6, $7, 0, zip.c3, $8, zip.c4 FROM ZIP ($1, $2, $3, $4)"
		" JOIN devices d ON d.user_nid = zip.c1 AND d.device_id = zip.c2 WHERE zip.c1 > 0"
		" ON CONFLICT (user_nid, device_id, stream) DO NOTHING";

	*out_n = 0;
	if (users.n == 0)
		return NULL;
	return tx_run_count(tx, sql,
			    BIND(B(users), B(device_ids), B(sizes), B(contents), B(head->stream), B(head->created),
				 B(head->sender), B(head->type)),
			    out_n);
}

err *store_to_device_add_shared(struct tx *tx, const struct to_device_head *head, struct i64s users,
				struct strs device_ids, struct i64s sizes, struct i64s shared, int64_t *out_n)
{
	static const char sql[] =
		"INSERT INTO to_device (user_nid, device_id, stream, created, sender, shared, size, type, content)"
		" SELECT d.user_nid, d.device_id, $5, $6, $7, zip.c4, zip.c3, $8, NULL FROM ZIP ($1, $2, $3, $4)"
		" JOIN devices d ON d.user_nid = zip.c1 AND d.device_id = zip.c2 WHERE zip.c1 > 0"
		" ON CONFLICT (user_nid, device_id, stream) DO NOTHING";

	*out_n = 0;
	if (users.n == 0)
		return NULL;
	return tx_run_count(tx, sql,
			    BIND(B(users), B(device_ids), B(sizes), B(shared), B(head->stream), B(head->created),
				 B(head->sender), B(head->type)),
			    out_n);
}

err *store_to_device_share(struct tx *tx, struct i64s ids, struct strs contents)
{
	static const char sql[] = "INSERT INTO to_device_shared (id, content) SELECT zip.c1, zip.c2 FROM ZIP ($1, $2)";

	return ids.n ? tx_run(tx, sql, BIND(B(ids), B(contents))) : NULL;
}

err *store_to_device_targets(struct tx *tx, struct i64s users, struct to_device_target **out, size_t *out_n)
{
	static const char sql[] = "SELECT user_nid, device_id FROM devices WHERE user_nid IN $1";
	VEC(struct to_device_target) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(users)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct to_device_target){ rows_i64(rs, 0), rows_str(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

static err *read_rows(struct tx *tx, const char *sql, const struct bind *b, size_t n, bool contents,
		      struct to_device_row **out, size_t *out_n)
{
	VEC(struct to_device_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		const struct to_device_row row = {
			.stream = rows_i64(rs, 0),
			.created = rows_i64(rs, 1),
			.sender = rows_i64(rs, 2),
			.size = rows_i64(rs, 3),
			.type = contents ? rows_str(rs, 4) : STR_NONE,
			.content = contents ? rows_str(rs, 5) : STR_NONE,
		};

		vec_push(tx_arena(tx), &found, row);
	}
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_to_device_read(struct tx *tx, int64_t user, str device_id, int64_t above, int64_t upto, size_t limit,
			  struct to_device_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT m.stream, m.created, m.sender, m.size, m.type, COALESCE(m.content, s.content) FROM to_device m"
		" LEFT JOIN to_device_shared s ON s.id = m.shared AND m.shared <> 0"
		" WHERE m.user_nid = $1 AND m.device_id = $2 AND m.stream > $3 AND m.stream <= $4"
		" ORDER BY m.stream LIMIT $5";

	return read_rows(tx, sql, BIND(B(user), B(device_id), B(above), B(upto), B((int64_t)limit)), true, out, out_n);
}

err *store_to_device_oldest(struct tx *tx, int64_t user, str device_id, int64_t sender, size_t limit,
			    struct to_device_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT stream, created, sender, size FROM to_device WHERE user_nid = $1 AND device_id = $2"
		" AND ($3 = 0 OR sender = $3) ORDER BY stream LIMIT $4";

	return read_rows(tx, sql, BIND(B(user), B(device_id), B(sender), B((int64_t)limit)), false, out, out_n);
}

err *store_to_device_sum(struct tx *tx, int64_t user, str device_id, struct to_device_sum *out)
{
	static const char sql[] = "SELECT COUNT(*), SUM(size), MIN(stream), MIN(created) FROM to_device"
				  " WHERE user_nid = $1 AND device_id = $2";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(user), B(device_id)), &r));
	*out = (struct to_device_sum){ row_i64(r, 0), row_i64(r, 1), row_i64(r, 2), row_i64(r, 3) };
	return NULL;
}

err *store_to_device_senders(struct tx *tx, int64_t user, str device_id, struct to_device_from **out, size_t *out_n)
{
	static const char sql[] = "SELECT sender, COUNT(*), SUM(size) FROM to_device"
				  " WHERE user_nid = $1 AND device_id = $2 GROUP BY sender";
	VEC(struct to_device_from) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(user), B(device_id)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct to_device_from){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_to_device_next_queue(struct tx *tx, int64_t user, str device_id, const struct to_device_target **out)
{
	static const char sql[] = "SELECT user_nid, device_id FROM to_device WHERE (user_nid, device_id) > ($1, $2)"
				  " ORDER BY user_nid, device_id LIMIT 1";
	struct to_device_target *t;
	struct row *r;

	*out = NULL;
	TRY(tx_one(tx, sql, BIND(B(user), B(device_id)), &r));
	if (!r)
		return NULL;
	t = ARENA_NEW(tx_arena(tx), struct to_device_target);
	*t = (struct to_device_target){ row_i64(r, 0), row_str(r, 1) };
	*out = t;
	return NULL;
}

err *store_to_device_unshare(struct tx *tx, struct i64s ids)
{
	static const char sql[] = "DELETE FROM to_device_shared WHERE id IN $1"
				  " AND NOT EXISTS (SELECT 1 FROM to_device m WHERE m.shared = id AND m.shared <> 0)";

	return ids.n ? tx_run(tx, sql, BIND(B(ids))) : NULL;
}

err *store_to_device_delete_by(struct tx *tx, const char *sql, const struct bind *b, size_t n, int64_t *out_n)
{
	VEC(int64_t) shared = { 0 };
	struct rows *rs;
	int64_t gone = 0;

	TRY(tx_query(tx, sql, b, n, &rs));
	for (; rows_next(rs); gone++) {
		const int64_t id = rows_i64(rs, 0);

		/* Messages to several devices of a user often follow one another. */
		if (id && (shared.n == 0 || shared.p[shared.n - 1] != id))
			vec_push(tx_arena(tx), &shared, id);
	}
	TRY(rows_end(&rs));
	if (out_n)
		*out_n = gone;
	return store_to_device_unshare(tx, (struct i64s){ shared.p, shared.n });
}

err *store_to_device_delete(struct tx *tx, int64_t user, str device_id, int64_t sender, int64_t upto, int64_t *out_n)
{
	static const char sql[] = "DELETE FROM to_device WHERE user_nid = $1 AND device_id = $2"
				  " AND ($3 = 0 OR sender = $3) AND stream <= $4" TO_DEVICE_RETURNING;

	return store_to_device_delete_by(tx, sql, BIND(B(user), B(device_id), B(sender), B(upto)), out_n);
}

err *store_to_device_lose(struct tx *tx, int64_t user, str device_id, int64_t n, int64_t now)
{
	static const char sql[] = "INSERT INTO to_device_lost (user_nid, device_id, n, last) VALUES ($1, $2, $3, $4)"
				  " ON CONFLICT (user_nid, device_id) DO UPDATE SET n = to_device_lost.n + excluded.n,"
				  " last = excluded.last";

	return tx_run(tx, sql, BIND(B(user), B(device_id), B(n), B(now)));
}

err *store_to_device_lost(struct tx *tx, int64_t user, str device_id, int64_t *out_n, int64_t *out_last)
{
	static const char sql[] = "SELECT n, last FROM to_device_lost WHERE user_nid = $1 AND device_id = $2";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(user), B(device_id)), &r));
	*out_n = r ? row_i64(r, 0) : 0;
	*out_last = r ? row_i64(r, 1) : 0;
	return NULL;
}
