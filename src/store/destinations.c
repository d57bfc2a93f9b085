/* destinations.c - a row for each server that does not answer. */
#include "store/destinations.h"

#include "store/tx.h"

#define COLUMNS "server_name, failing_since, failed_at, retry_at, pause_ms, last_error"

err *store_destination_save(struct tx *tx, const struct destination_row *row)
{
	static const char sql[] =
		"INSERT INTO destinations (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6)"
		" ON CONFLICT (server_name) DO UPDATE SET failing_since = excluded.failing_since,"
		" failed_at = excluded.failed_at, retry_at = excluded.retry_at, pause_ms = excluded.pause_ms,"
		" last_error = excluded.last_error";

	return tx_run(tx, sql,
		      BIND(B(row->server_name), B(row->failing_since), B(row->failed_at), B(row->retry_at),
			   B(row->pause_ms), B(row->last_error)));
}

err *store_destination_delete(struct tx *tx, str server_name)
{
	return tx_run(tx, "DELETE FROM destinations WHERE server_name = $1", BIND(B(server_name)));
}

err *store_destinations(struct tx *tx, size_t most, struct destination_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT " COLUMNS " FROM destinations ORDER BY failed_at DESC LIMIT $1";
	VEC(struct destination_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B((int64_t)most)), &rs));
	while (rows_next(rs)) {
		const struct destination_row row = { .server_name = rows_str(rs, 0),
						     .failing_since = rows_i64(rs, 1),
						     .failed_at = rows_i64(rs, 2),
						     .retry_at = rows_i64(rs, 3),
						     .pause_ms = rows_i64(rs, 4),
						     .last_error = rows_str(rs, 5) };

		vec_push(tx_arena(tx), &list, row);
	}
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}
