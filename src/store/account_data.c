#include "store/account_data.h"

#include "store/tx.h"

err *store_account_data(struct tx *tx, int64_t user, int64_t room, str type, struct account_data_row **out)
{
	static const char sql[] =
		"SELECT stream, content FROM account_data WHERE \"user\" = $1 AND room = $2 AND type = $3";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(user), B(room), B(type)), &row));
	*out = NULL;
	if (!row)
		return NULL;
	*out = ARENA_NEW(tx_arena(tx), struct account_data_row);
	**out = (struct account_data_row){ room, type, row_i64(row, 0), row_str(row, 1) };
	return NULL;
}

err *store_account_data_changed(struct tx *tx, int64_t user, int64_t room, int64_t above, int64_t upto,
				struct account_data_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT room, type, stream, content FROM account_data"
		" WHERE \"user\" = $1 AND stream > $2 AND stream <= $3 AND (room = $4 OR $4 = -1) ORDER BY stream";
	VEC(struct account_data_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(user), B(above), B(upto), B(room)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct account_data_row){ rows_i64(rs, 0), rows_str(rs, 1), rows_i64(rs, 2),
						    rows_str(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_account_data_begin(struct tx *tx, int64_t user, struct account_data_row *r,
			      struct account_data_row **out_old)
{
	TRY(tx_position(tx, &r->stream));
	return store_account_data(tx, user, r->room, r->type, out_old);
}

err *store_account_data_set(struct tx *tx, int64_t user, const struct account_data_row *r)
{
	static const char sql[] =
		"INSERT INTO account_data (\"user\", room, type, stream, content) VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT (\"user\", room, type) DO UPDATE SET stream = excluded.stream, content = excluded.content";

	return tx_run(tx, sql, BIND(B(user), B(r->room), B(r->type), B(r->stream), B(r->content)));
}

err *store_account_data_count(struct tx *tx, int64_t user, int64_t *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT count(*) FROM account_data WHERE \"user\" = $1", BIND(B(user)), &row));
	*out = row_i64(row, 0);
	return NULL;
}

err *store_push_rules(struct tx *tx, int64_t user, str *out_rules, int64_t *out_stream)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT rules, stream FROM push_rules WHERE \"user\" = $1", BIND(B(user)), &row));
	*out_rules = row ? row_str(row, 0) : STR_NONE;
	*out_stream = row ? row_i64(row, 1) : 0;
	return NULL;
}

err *store_push_rules_owners(struct tx *tx, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT \"user\" FROM push_rules", NO_BIND, out, out_n);
}

err *store_push_rules_begin(struct tx *tx, int64_t user, str *out_rules, int64_t *out_stream)
{
	int64_t old;

	TRY(tx_position(tx, out_stream));
	return store_push_rules(tx, user, out_rules, &old);
}

err *store_push_rules_set(struct tx *tx, int64_t user, str rules, int64_t stream)
{
	static const char sql[] =
		"INSERT INTO push_rules (\"user\", stream, rules) VALUES ($1, $2, $3)"
		" ON CONFLICT (\"user\") DO UPDATE SET stream = excluded.stream, rules = excluded.rules";

	return tx_run(tx, sql, BIND(B(user), B(stream), B(rules)));
}

err *store_filter(struct tx *tx, int64_t user, int64_t filter, str *out_text)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT text FROM filters WHERE \"user\" = $1 AND filter = $2", BIND(B(user), B(filter)), &row));
	*out_text = row ? row_str(row, 0) : STR_NONE;
	return NULL;
}

err *store_filter_add(struct tx *tx, int64_t user, str digest, str text, int64_t max, int64_t *out_filter)
{
	static const char find[] = "SELECT filter FROM filters WHERE \"user\" = $1 AND digest = $2";
	static const char next[] = "SELECT coalesce(max(filter) + 1, 0) FROM filters WHERE \"user\" = $1";
	static const char add[] = "INSERT INTO filters (\"user\", filter, digest, text) VALUES ($1, $2, $3, $4)";
	static const char trim[] = "DELETE FROM filters WHERE \"user\" = $1 AND filter <= $2";
	struct row *row;

	TRY(tx_one(tx, find, BIND(B(user), B(digest)), &row));
	if (row) {
		*out_filter = row_i64(row, 0);
		return NULL;
	}
	TRY(tx_one(tx, next, BIND(B(user)), &row));
	*out_filter = row_i64(row, 0);
	TRY(tx_run(tx, add, BIND(B(user), B(*out_filter), B(digest), B(text))));
	return tx_run(tx, trim, BIND(B(user), B(*out_filter - max)));
}

err *store_account_data_erase(struct tx *tx, int64_t user)
{
	TRY(tx_run(tx, "DELETE FROM account_data WHERE \"user\" = $1", BIND(B(user))));
	TRY(tx_run(tx, "DELETE FROM push_rules WHERE \"user\" = $1", BIND(B(user))));
	return tx_run(tx, "DELETE FROM filters WHERE \"user\" = $1", BIND(B(user)));
}
