#include "store/profiles.h"

#include "store/membership.h"
#include "store/tx.h"

err *store_profile(struct tx *tx, int64_t user, struct profile_field **out, size_t *out_n)
{
	VEC(struct profile_field) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT field, value FROM profiles WHERE \"user\" = $1 ORDER BY field", BIND(B(user)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct profile_field){ rows_str(rs, 0), rows_str(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_profile_field(struct tx *tx, int64_t user, str field, str *out_value)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT value FROM profiles WHERE \"user\" = $1 AND field = $2", BIND(B(user), B(field)), &row));
	*out_value = row ? row_str(row, 0) : STR_NONE;
	return NULL;
}

err *store_profile_set(struct tx *tx, int64_t user, str field, str value)
{
	static const char sql[] = "INSERT INTO profiles (\"user\", field, value) VALUES ($1, $2, $3)"
				  " ON CONFLICT (\"user\", field) DO UPDATE SET value = excluded.value";

	return tx_run(tx, sql, BIND(B(user), B(field), B(value)));
}

err *store_profile_unset(struct tx *tx, int64_t user, str field)
{
	return tx_run(tx, "DELETE FROM profiles WHERE \"user\" = $1 AND field = $2", BIND(B(user), B(field)));
}

err *store_profile_erase(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM profiles WHERE \"user\" = $1", BIND(B(user)));
}

err *store_spread_begin(struct tx *tx, int64_t user)
{
	static const char sql[] = "INSERT INTO profile_spread (\"user\", room, turn) VALUES ($1, 0, 1)"
				  " ON CONFLICT (\"user\") DO UPDATE SET room = 0, turn = profile_spread.turn + 1";

	return tx_run(tx, sql, BIND(B(user)));
}

err *store_spread_reached(struct tx *tx, const struct spread_row *at)
{
	static const char sql[] = "UPDATE profile_spread SET room = $2 WHERE \"user\" = $1 AND turn = $3";

	return tx_run(tx, sql, BIND(B(at->user), B(at->room), B(at->turn)));
}

err *store_spread_end(struct tx *tx, const struct spread_row *at)
{
	static const char sql[] = "DELETE FROM profile_spread WHERE \"user\" = $1 AND turn = $2";

	return tx_run(tx, sql, BIND(B(at->user), B(at->turn)));
}

err *store_spreads(struct tx *tx, struct spread_row **out, size_t *out_n)
{
	VEC(struct spread_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT \"user\", room, turn FROM profile_spread ORDER BY \"user\"", NO_BIND, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct spread_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_user_words_set(struct tx *tx, int64_t user, const str *words, size_t n)
{
	static const char add[] =
		"INSERT INTO user_words (word, \"user\") VALUES ($1, $2) ON CONFLICT (word, \"user\") DO NOTHING";

	TRY(tx_run(tx, "DELETE FROM user_words WHERE \"user\" = $1", BIND(B(user))));
	for (size_t i = 0; i < n; i++)
		TRY(tx_run(tx, add, BIND(B(words[i]), B(user))));
	return NULL;
}

/* The first text that no text with the prefix reaches: its last byte that can be raised, raised. Words are UTF-8, so
 * never all 0xff. */
static str after_prefix(struct arena *a, str prefix)
{
	char *p = arena_cstr(a, prefix);

	p[prefix.n - 1] = (char)((unsigned char)p[prefix.n - 1] + 1);
	return (str){ p, prefix.n };
}

err *store_users_by_word(struct tx *tx, str prefix, size_t limit, int64_t **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT DISTINCT \"user\" FROM user_words WHERE word >= $1 AND word < $2 ORDER BY \"user\" LIMIT $3";

	return tx_ints(tx, sql, BIND(B(prefix), B(after_prefix(tx_arena(tx), prefix)), B((int64_t)limit)), out, out_n);
}

err *store_users_with_word(struct tx *tx, str prefix, const int64_t *users, size_t n, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT DISTINCT \"user\" FROM user_words"
				  " WHERE \"user\" IN $1 AND word >= $2 AND word < $3 ORDER BY \"user\"";

	return tx_ints(tx, sql, BIND(B(((struct i64s){ users, n })), B(prefix), B(after_prefix(tx_arena(tx), prefix))),
		       out, out_n);
}

err *store_users_visible(struct tx *tx, int64_t viewer, const int64_t *users, size_t n, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT DISTINCT m.member FROM membership m"
				  " LEFT JOIN membership v ON v.room = m.room AND v.member = $1 AND v.membership = $2"
				  " LEFT JOIN room_summary s ON s.room = m.room"
				  " WHERE m.member IN $3 AND m.membership = $2"
				  " AND (v.room IS NOT NULL OR s.join_rule = $4 OR s.history_visibility = $5)";

	return tx_ints(tx, sql,
		       BIND(B(viewer), B((int64_t)MEMBER_JOIN), B(((struct i64s){ users, n })), B(S("public")),
			    B(S("world_readable"))),
		       out, out_n);
}
