/* device_lists.c - the newest change of each user's devices and keys. */
#include "store/device_lists.h"

#include "matrix/membership.h"
#include "store/tx.h"

err *store_device_list_changed(struct tx *tx, int64_t user, int64_t position, int64_t now)
{
	static const char sql[] =
		"INSERT INTO device_lists (\"user\", stream, changed) VALUES ($1, $2, $3)"
		" ON CONFLICT (\"user\") DO UPDATE SET stream = excluded.stream, changed = excluded.changed";

	return tx_run(tx, sql, BIND(B(user), B(position), B(now)));
}

err *store_device_list_streams(struct tx *tx, const int64_t *users, size_t n, struct device_list_row **out,
			       size_t *out_n)
{
	static const char sql[] = "SELECT \"user\", stream FROM device_lists WHERE \"user\" IN $1";
	const struct i64s of = { users, n };
	struct device_list_row *found = ARENA_ARRAY(tx_arena(tx), struct device_list_row, n);
	struct rows *rs = NULL;
	size_t got = 0;

	TRY(tx_query(tx, sql, BIND(B(of)), &rs));
	while (rows_next(rs))
		if (got < n)
			found[got++] = (struct device_list_row){ rows_i64(rs, 0), rows_i64(rs, 1) };
	TRY(rows_end(&rs));
	*out = found;
	*out_n = got;
	return NULL;
}

err *store_device_lists_signed(struct tx *tx, int64_t viewer, const int64_t *users, size_t n, int64_t position)
{
	static const char sql[] = "INSERT INTO device_lists_signed (viewer, user_nid, stream)"
				  " SELECT $1, each.value, $3 FROM EACH $2 WHERE each.value > 0"
				  " ON CONFLICT (viewer, user_nid) DO UPDATE SET stream = excluded.stream";
	const struct i64s list = { users, n };

	return n ? tx_run(tx, sql, BIND(B(viewer), B(list), B(position))) : NULL;
}

static err *read_users(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct user_list *out)
{
	return tx_ints(tx, sql, b, n, &out->p, &out->n);
}

/*
 * Of a user `who`: shares a room with $1, both joined since $n or before. From the side of the other one, who mostly is
 * in fewer rooms than there are members in the viewer's. The OFFSET says nothing, but keeps PostgreSQL from reading all
 * members of the viewer's rooms instead, for one user.
 */
#define SHARES(who, n)                                                                                                 \
	"EXISTS (SELECT 1 FROM membership o JOIN membership v ON v.room = o.room AND v.member = $1"                    \
	" AND v.membership = 1 AND v.since <= " n " WHERE o.member = " who " AND o.membership = 1"                     \
	" AND o.since <= " n " LIMIT 1 OFFSET 0)"

err *store_device_lists_changed(struct tx *tx, int64_t viewer, int64_t above, int64_t upto, struct user_list *out)
{
	static const char sql[] = "SELECT l.\"user\" FROM device_lists l WHERE l.stream > $2 AND l.stream <= $3"
				  " AND (l.\"user\" = $1 OR " SHARES(
					  "l.\"user\"", "$3") ")"
							      " UNION ALL SELECT user_nid FROM device_lists_signed"
							      " WHERE viewer = $1 AND stream > $2 AND stream <= $3";

	return read_users(tx, sql, BIND(B(viewer), B(above), B(upto)), out);
}

err *store_own_moves(struct tx *tx, int64_t viewer, int64_t above, struct own_move **out, size_t *out_n)
{
	static const char sql[] = "SELECT room, membership, since, began, ended FROM membership"
				  " WHERE member = $1 AND stream > $2";
	VEC(struct own_move) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(viewer), B(above)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct own_move){ rows_i64(rs, 0), rows_i64(rs, 1) == MEMBER_JOIN, rows_i64(rs, 2),
					    rows_i64(rs, 3), rows_i64(rs, 4) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

static err *read_moves(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct user_list *came,
		       struct user_list *went)
{
	VEC(int64_t) in = { 0 };
	VEC(int64_t) out = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		if (rows_i64(rs, 1))
			vec_push(tx_arena(tx), &in, rows_i64(rs, 0));
		else
			vec_push(tx_arena(tx), &out, rows_i64(rs, 0));
	}
	TRY(rows_end(&rs));
	*came = (struct user_list){ in.p, in.n };
	*went = (struct user_list){ out.p, out.n };
	return NULL;
}

err *store_moves(struct tx *tx, int64_t viewer, const int64_t *rooms, size_t n_rooms, int64_t above, int64_t upto,
		 struct user_list *came, struct user_list *went)
{
	/* Who left has to have been joined: to have turned down an invitation tells nobody anything. */
#define CAME "m.membership IN (1, 2, 5) AND m.since <= $3"
#define MOVES                                                                                                          \
	"SELECT m.member, CASE WHEN " CAME " THEN 1 ELSE 0 END FROM membership v CROSS JOIN membership m"              \
	" WHERE v.member = $1 AND v.membership = 1 AND v.since <= $3 AND m.room = v.room AND m.since > $2"             \
	" AND m.member <> $1 AND (" CAME " OR m.ended > $2 AND m.ended <= $3)"
	static const char all[] = MOVES;
	static const char some[] = MOVES " AND v.room IN $4";
	const struct i64s list = { rooms, n_rooms };

	if (!rooms)
		return read_moves(tx, all, BIND(B(viewer), B(above), B(upto)), came, went);
	*came = *went = (struct user_list){ 0 };
	return n_rooms ? read_moves(tx, some, BIND(B(viewer), B(above), B(upto), B(list)), came, went) : NULL;
}

err *store_joined_to(struct tx *tx, const int64_t *rooms, size_t n, struct user_list *out)
{
	static const char one[] = "SELECT member FROM membership WHERE room IN $1 AND membership = 1";
	static const char several[] = "SELECT DISTINCT member FROM membership WHERE room IN $1 AND membership = 1";
	const struct i64s list = { rooms, n };

	*out = (struct user_list){ 0 };
	return n ? read_users(tx, n == 1 ? one : several, BIND(B(list)), out) : NULL;
}

err *store_joined_until(struct tx *tx, int64_t room, int64_t above, int64_t until, struct user_list *out)
{
	static const char sql[] = "SELECT member FROM membership WHERE room = $1 AND ((membership = 1 AND since <= $3)"
				  " OR (ended > $2 AND began <= $3))";

	return read_users(tx, sql, BIND(B(room), B(above), B(until)), out);
}

err *store_sharing(struct tx *tx, int64_t viewer, struct user_list users, int64_t by, struct user_list *out)
{
	static const char sql[] = "SELECT each.value FROM EACH $2 WHERE " SHARES("each.value", "$3") " ORDER BY 1";
	const struct i64s list = { users.p, users.n };

	*out = (struct user_list){ 0 };
	return users.n ? read_users(tx, sql, BIND(B(viewer), B(list), B(by)), out) : NULL;
}

/* Members of the encrypted rooms that $1 is in. */
#define IN_ENCRYPTED_ROOMS                                                                                             \
	"(SELECT m.member FROM membership mine"                                                                        \
	" JOIN room_summary s ON s.room = mine.room AND s.encryption IS NOT NULL"                                      \
	" JOIN membership m ON m.room = mine.room AND m.membership = 1 AND m.member <> $1"                             \
	" WHERE mine.member = $1 AND mine.membership = 1)"

err *store_lists_unheard(struct tx *tx, int64_t user, int64_t above, int64_t after, size_t limit,
			 struct unheard_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT l.\"user\", l.changed FROM device_lists l"
				  " WHERE (l.stream > $2 OR l.changed > $3) AND l.\"user\" IN " IN_ENCRYPTED_ROOMS
				  " ORDER BY l.changed DESC, 1 LIMIT $4";
	VEC(struct unheard_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(user), B(above), B(after), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct unheard_row){ rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_devices_unaware(struct tx *tx, int64_t user, int64_t slack, size_t limit, struct unaware_row **out,
			   size_t *out_n)
{
	/* A message that waits was sent at a position that the device did not come up to. */
	static const char sql[] =
		"SELECT d.user_nid, COUNT(*), SUM(CASE WHEN d.seen_at > l.changed + $2 THEN 1 ELSE 0 END), MAX(l.changed)"
		" FROM device_lists l JOIN devices d ON d.user_nid IN " IN_ENCRYPTED_ROOMS
		" JOIN device_keys k ON k.user_nid = d.user_nid AND k.device_id = d.device_id"
		" WHERE l.\"user\" = $1 AND (d.seen_at + $2 < l.changed OR EXISTS (SELECT 1 FROM to_device t"
		" WHERE t.user_nid = d.user_nid AND t.device_id = d.device_id AND t.stream < l.stream))"
		" AND NOT EXISTS (SELECT 1 FROM dehydrated_devices y WHERE y.user_nid = d.user_nid"
		" AND y.device_id = d.device_id)"
		" GROUP BY d.user_nid ORDER BY COUNT(*) DESC, d.user_nid LIMIT $3";
	VEC(struct unaware_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(user), B(slack), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct unaware_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2), rows_i64(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}
