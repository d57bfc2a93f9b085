/*
 * media.c - the tables of the content repository.
 *
 * `refs` is counted in the transaction that makes or deletes what refers to a content, so a content at 0 is refered to
 * by nobody in any snapshot after it; and whoever deletes its row says so again in the statement (refs = 0), because a
 * new upload may have come in between.
 */
#include "store/media.h"

#include "store/thumbnails.h"
#include "store/tx.h"

err *store_content_ref(struct tx *tx, const struct store_content *c, int64_t *out_content)
{
	static const char sql[] = "INSERT INTO media_content (content, hash, size, refs) VALUES ($1, $2, $3, 1)"
				  " ON CONFLICT (hash) DO UPDATE SET refs = media_content.refs + 1 RETURNING content";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(c->content), B(c->hash), B(c->size)), &r));
	*out_content = row_i64(r, 0);
	return NULL;
}

err *store_content_unref(struct tx *tx, int64_t content)
{
	return tx_run(tx, "UPDATE media_content SET refs = refs - 1 WHERE content = $1", BIND(B(content)));
}

static err *contents(struct tx *tx, struct rows *rs, struct store_contents *out)
{
	VEC(struct store_content) list = { 0 };

	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct store_content){ rows_i64(rs, 0), rows_str(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = (struct store_contents){ list.p, list.n };
	return NULL;
}

err *store_contents_find(struct tx *tx, const int64_t *numbers, size_t n, struct store_contents *out)
{
	const struct i64s wanted = { numbers, n };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT content, hash, size FROM media_content WHERE content IN $1", BIND(B(wanted)), &rs));
	return contents(tx, rs, out);
}

err *store_contents_unused(struct tx *tx, int64_t after, size_t limit, struct store_contents *out)
{
	static const char sql[] = "SELECT content, hash, size FROM media_content WHERE refs = 0 AND content > $1"
				  " ORDER BY content LIMIT $2";
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(after), B((int64_t)limit)), &rs));
	return contents(tx, rs, out);
}

err *store_contents_forget(struct tx *tx, const int64_t *numbers, size_t n)
{
	const struct i64s gone = { numbers, n };

	TRY(store_thumbnails_drop(tx, numbers, n));
	return tx_run(tx, "DELETE FROM media_content WHERE content IN $1 AND refs = 0", BIND(B(gone)));
}

static struct bind bind_number(int64_t i) { return i ? bind_int(i) : bind_null(); } /* 0 is NULL */

err *store_media_add(struct tx *tx, const struct media_row *row, const struct store_content *c, int64_t *out_content)
{
	static const char sql[] =
		"INSERT INTO media (media, origin, media_id, uploader, created_at, expires_at, uploaded_at, content,"
		" size, content_type, filename, authenticated, protected, quarantined_by, accessed_at) VALUES"
		" ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0,"
		" (SELECT \"by\" FROM media_blocked WHERE hash = $13), $5)";
	int64_t content = 0;

	if (c)
		TRY(store_content_ref(tx, c, &content));
	TRY(tx_run(tx, sql,
		   BIND(B(row->media), B(row->origin), B(row->media_id), B(row->uploader), B(row->created_at),
			bind_number(row->expires_at), bind_number(row->uploaded_at), bind_number(content),
			B(c ? c->size : 0), B(row->content_type), B(row->filename), B((int64_t)row->authenticated),
			B(c ? c->hash : S("")))));
	if (out_content)
		*out_content = content;
	return NULL;
}

err *store_media_fill(struct tx *tx, const struct media_row *row, const struct store_content *c, int64_t *out_content)
{
	static const char sql[] =
		"UPDATE media SET expires_at = NULL, uploaded_at = $2, content = $3, size = $4, content_type = $5,"
		" filename = $6, quarantined_by = COALESCE(quarantined_by,"
		" (SELECT \"by\" FROM media_blocked WHERE hash = $7)), authenticated = $8"
		" WHERE media = $1 AND content IS NULL AND expires_at > $2";
	int64_t content, changed;

	TRY(store_content_ref(tx, c, &content));
	TRY(tx_run_count(tx, sql,
			 BIND(B(row->media), B(row->uploaded_at), B(content), B(c->size), B(row->content_type),
			      B(row->filename), B(c->hash), B((int64_t)row->authenticated)),
			 &changed));
	if (changed != 1)
		return err_new(tx_arena(tx), ERR_CANNOT_OVERWRITE_MEDIA, "Media already uploaded");
	*out_content = content;
	return NULL;
}

err *store_media_get(struct tx *tx, int64_t origin, str media_id, const struct media_row **out)
{
	static const char sql[] =
		"SELECT m.media, m.uploader, m.created_at, m.expires_at, m.uploaded_at, m.content, m.size,"
		" m.content_type, m.filename, m.authenticated, m.protected, m.quarantined_by, c.hash"
		" FROM media m LEFT JOIN media_content c ON c.content = m.content"
		" WHERE m.origin = $1 AND m.media_id = $2";
	struct media_row *row;
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(origin), B(media_id)), &r));
	*out = NULL;
	if (!r)
		return NULL;
	row = ARENA_NEW(tx_arena(tx), struct media_row);
	*row = (struct media_row){
		.media = row_i64(r, 0),
		.origin = origin,
		.media_id = media_id,
		.uploader = row_i64(r, 1),
		.created_at = row_i64(r, 2),
		.expires_at = row_i64(r, 3),
		.uploaded_at = row_i64(r, 4),
		.content = row_i64(r, 5),
		.size = row_i64(r, 6),
		.content_type = row_str(r, 7),
		.filename = row_str(r, 8),
		.authenticated = row_i64(r, 9) != 0,
		.is_protected = row_i64(r, 10) != 0,
		.quarantined_by = row_str(r, 11),
		.hash = row_str(r, 12),
	};
	*out = row;
	return NULL;
}

err *store_media_pending(struct tx *tx, int64_t uploader, int64_t now, int64_t *out_n, int64_t *out_first)
{
	static const char sql[] = "SELECT COUNT(*), MIN(expires_at) FROM media"
				  " WHERE uploader = $1 AND content IS NULL AND expires_at > $2";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(uploader), B(now)), &r));
	*out_n = row_i64(r, 0);
	*out_first = row_i64(r, 1);
	return NULL;
}

err *store_media_uploaded_since(struct tx *tx, int64_t uploader, int64_t since, int64_t *out_bytes)
{
	static const char sql[] = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM media"
				  " WHERE uploader = $1 AND uploader <> 0 AND uploaded_at > $2";
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(uploader), B(since)), &r));
	*out_bytes = row_i64(r, 0);
	return NULL;
}

err *store_media_drop_expired(struct tx *tx, int64_t now, size_t limit, int64_t *out_n)
{
	static const char sql[] = "DELETE FROM media WHERE content IS NULL AND media IN (SELECT media FROM media"
				  " WHERE content IS NULL AND expires_at <= $1 LIMIT $2)";

	return tx_run_count(tx, sql, BIND(B(now), B((int64_t)limit)), out_n);
}

err *store_media_accessed(struct tx *tx, const int64_t *media, size_t n, int64_t at)
{
	const struct i64s which = { media, n };

	return tx_run(tx, "UPDATE media SET accessed_at = $2 WHERE media IN $1", BIND(B(which), B(at)));
}

err *store_media_delete(struct tx *tx, int64_t media, bool *out_deleted)
{
	struct row *r;

	TRY(tx_one(tx, "DELETE FROM media WHERE media = $1 RETURNING content", BIND(B(media)), &r));
	*out_deleted = r != NULL;
	return r && !row_null(r, 0) ? store_content_unref(tx, row_i64(r, 0)) : NULL;
}

err *store_media_of(struct tx *tx, int64_t uploader, int64_t after, size_t limit, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT media FROM media WHERE uploader = $1 AND uploader <> 0 AND media > $2"
				  " ORDER BY media LIMIT $3";

	return tx_ints(tx, sql, BIND(B(uploader), B(after), B((int64_t)limit)), out, out_n);
}

err *store_media_quarantine(struct tx *tx, const struct media_row *row, str by, int64_t at)
{
	if (row->is_protected)
		return NULL;
	if (!str_is_none(row->hash))
		TRY(tx_run(tx,
			   "INSERT INTO media_blocked (hash, \"by\", \"at\") VALUES ($1, $2, $3)"
			   " ON CONFLICT (hash) DO NOTHING",
			   BIND(B(row->hash), B(by), B(at))));
	return tx_run(tx,
		      "UPDATE media SET quarantined_by = $3 WHERE (media = $1 OR content = $2) AND protected = 0"
		      " AND quarantined_by IS NULL",
		      BIND(B(row->media), B(row->content), B(by)));
}

err *store_media_unquarantine(struct tx *tx, const struct media_row *row)
{
	if (!str_is_none(row->hash))
		TRY(tx_run(tx, "DELETE FROM media_blocked WHERE hash = $1", BIND(B(row->hash))));
	return tx_run(tx, "UPDATE media SET quarantined_by = NULL WHERE media = $1 OR content = $2",
		      BIND(B(row->media), B(row->content)));
}

err *store_media_protect(struct tx *tx, int64_t media, bool is_protected)
{
	return tx_run(tx, "UPDATE media SET protected = $2 WHERE media = $1", BIND(B(media), B((int64_t)is_protected)));
}
