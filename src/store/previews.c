/* previews.c - the table of previews. */
#include "store/previews.h"

#include "store/tx.h"

#define COLUMNS "url_hash, fetched_at, expires_at, answer, image"

err *store_preview_find(struct tx *tx, str url_hash, int64_t ts, struct preview_row **out)
{
	static const char before[] = "SELECT " COLUMNS " FROM url_previews WHERE url_hash = $1 AND fetched_at <= $2"
				     " AND expires_at > $2 ORDER BY fetched_at DESC LIMIT 1";
	static const char after[] = "SELECT " COLUMNS " FROM url_previews WHERE url_hash = $1 AND fetched_at > $2"
				    " ORDER BY fetched_at LIMIT 1";
	struct row *r;

	*out = NULL;
	TRY(tx_one(tx, before, BIND(B(url_hash), B(ts)), &r));
	if (!r)
		TRY(tx_one(tx, after, BIND(B(url_hash), B(ts)), &r));
	if (!r)
		return NULL;
	*out = ARENA_NEW(tx_arena(tx), struct preview_row);
	**out = (struct preview_row){ row_str(r, 0), row_i64(r, 1), row_i64(r, 2), row_str(r, 3), row_str(r, 4) };
	return NULL;
}

err *store_preview_save(struct tx *tx, const struct preview_row *row)
{
	static const char sql[] = "INSERT INTO url_previews (" COLUMNS ") VALUES ($1, $2, $3, $4, $5)"
				  " ON CONFLICT (url_hash, fetched_at) DO UPDATE SET expires_at = excluded.expires_at,"
				  " answer = excluded.answer, image = excluded.image";

	return tx_run(tx, sql,
		      BIND(B(row->url_hash), B(row->fetched_at), B(row->expires_at), B(row->answer), B(row->image)));
}

static err *read_old(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct preview_rows *out)
{
	VEC(struct preview_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct preview_row){ rows_str(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2), STR_NONE,
					       rows_str(rs, 3) });
	TRY(rows_end(&rs));
	*out = (struct preview_rows){ list.p, list.n };
	return NULL;
}

err *store_previews_old(struct tx *tx, int64_t expired, int64_t keep, size_t limit, struct preview_rows *out)
{
	static const char by_time[] = "SELECT url_hash, fetched_at, expires_at, image FROM url_previews"
				      " WHERE expires_at < $1 ORDER BY expires_at LIMIT $2";
	static const char by_count[] = "SELECT url_hash, fetched_at, expires_at, image FROM url_previews"
				       " ORDER BY expires_at DESC LIMIT $2 OFFSET $1";

	TRY(read_old(tx, by_time, BIND(B(expired), B((int64_t)limit)), out));
	if (out->n > 0)
		return NULL;
	return read_old(tx, by_count, BIND(B(keep), B((int64_t)limit)), out);
}

err *store_previews_delete(struct tx *tx, const struct preview_rows *rows)
{
	static const char sql[] = "DELETE FROM url_previews WHERE url_hash = $1 AND fetched_at = $2";

	for (size_t i = 0; i < rows->n; i++)
		TRY(tx_run(tx, sql, BIND(B(rows->p[i].url_hash), B(rows->p[i].fetched_at))));
	return NULL;
}
