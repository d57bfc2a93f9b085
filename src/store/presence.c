/* presence.c - a row for each user who ever was online. */
#include "store/presence.h"

#include "store/tx.h"

#define COLUMNS "\"user\", state, status_msg, last_active, changed"

err *store_presence_save(struct tx *tx, const struct presence_row *row)
{
	static const char sql[] = "INSERT INTO presence (" COLUMNS ") VALUES ($1, $2, $3, $4, $5)"
				  " ON CONFLICT (\"user\") DO UPDATE SET state = excluded.state,"
				  " status_msg = excluded.status_msg, last_active = excluded.last_active,"
				  " changed = excluded.changed";

	return tx_run(tx, sql,
		      BIND(B(row->user), B(row->state), B(row->status_msg), B(row->last_active), B(row->changed)));
}

err *store_presence_delete(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM presence WHERE \"user\" = $1", BIND(B(user)));
}

static struct presence_row read_row(const struct rows *rs)
{
	return (struct presence_row){ .user = rows_i64(rs, 0),
				      .state = rows_i64(rs, 1),
				      .status_msg = rows_str(rs, 2),
				      .last_active = rows_i64(rs, 3),
				      .changed = rows_i64(rs, 4) };
}

static err *read_rows(struct tx *tx, struct rows *rs, struct presence_row **out, size_t *out_n)
{
	VEC(struct presence_row) list = { 0 };

	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, read_row(rs));
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_presence_of(struct tx *tx, int64_t user, struct presence_row **out)
{
	struct presence_row *rows;
	struct rows *rs;
	size_t n;

	TRY(tx_query(tx, "SELECT " COLUMNS " FROM presence WHERE \"user\" = $1", BIND(B(user)), &rs));
	TRY(read_rows(tx, rs, &rows, &n));
	*out = n ? rows : NULL;
	return NULL;
}

err *store_presence_recent(struct tx *tx, int64_t but, int64_t since, size_t most, struct presence_row **out,
			   size_t *out_n)
{
	static const char sql[] = "SELECT " COLUMNS " FROM presence WHERE state <> $1 OR changed > $2"
				  " ORDER BY changed DESC LIMIT $3";
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(but), B(since), B((int64_t)most)), &rs));
	return read_rows(tx, rs, out, out_n);
}
