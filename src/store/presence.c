/* presence.c - a row for each user who ever was online. */
#include "store/presence.h"

#include "store/tx.h"

#define COLUMNS "\"user\", state, status_msg, last_active, changed"

/* One statement: each would cost PostgreSQL's writer a journey. No message is an empty one. */
err *store_presence_save(struct tx *tx, const struct presence_row *rows, size_t n)
{
	static const char sql[] =
		"INSERT INTO presence (" COLUMNS ")"
		" SELECT zip.c1, zip.c2, zip.c3, zip.c4, zip.c5 FROM ZIP ($1, $2, $3, $4, $5) WHERE true"
		" ON CONFLICT (\"user\") DO UPDATE SET state = excluded.state,"
		" status_msg = excluded.status_msg, last_active = excluded.last_active,"
		" changed = excluded.changed";
	struct arena *a = tx_arena(tx);
	int64_t *numbers = ARENA_ARRAY(a, int64_t, 4 * n);
	str *texts = ARENA_ARRAY(a, str, n);

	for (size_t i = 0; i < n; i++) {
		numbers[i] = rows[i].user;
		numbers[n + i] = rows[i].state;
		numbers[2 * n + i] = rows[i].last_active;
		numbers[3 * n + i] = rows[i].changed;
		texts[i] = str_is_none(rows[i].status_msg) ? S("") : rows[i].status_msg;
	}
	return tx_run(tx, sql,
		      BIND(B(((struct i64s){ numbers, n })), B(((struct i64s){ numbers + n, n })),
			   B(((struct strs){ texts, n })), B(((struct i64s){ numbers + 2 * n, n })),
			   B(((struct i64s){ numbers + 3 * n, n }))));
}

err *store_presence_delete(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM presence WHERE \"user\" = $1", BIND(B(user)));
}

static struct presence_row read_row(const struct rows *rs)
{
	const str status_msg = rows_str(rs, 2);

	return (struct presence_row){ .user = rows_i64(rs, 0),
				      .state = rows_i64(rs, 1),
				      .status_msg = str_is_empty(status_msg) ? STR_NONE : status_msg,
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
