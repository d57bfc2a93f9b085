/*
 * thumbnails.c - the table of what was made of images.
 *
 * Whoever adds a row first touches the image's own, and so is before or after whoever forgets it (PostgreSQL locks the
 * row), never beside: no row is left behind whose image is gone.
 */
#include "store/thumbnails.h"

#include "store/tx.h"

err *store_thumbnails_of(struct tx *tx, int64_t content, const struct thumbnail_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT t.width, t.height, t.crop, t.animated, t.made, t.content_type, t.image_type, t.image_width,"
		" t.image_height, t.image_frames, c.hash, c.size FROM media_thumbnail t"
		" JOIN media_content c ON c.content = t.made WHERE t.content = $1"
		" ORDER BY t.made, t.width, t.height, t.crop, t.animated";
	VEC(struct thumbnail_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(content)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct thumbnail_row){
				 .content = content,
				 .width = (uint32_t)rows_i64(rs, 0),
				 .height = (uint32_t)rows_i64(rs, 1),
				 .crop = rows_i64(rs, 2) != 0,
				 .animated = rows_i64(rs, 3) != 0,
				 .made = rows_i64(rs, 4),
				 .content_type = rows_str(rs, 5),
				 .image_type = rows_str(rs, 6),
				 .image_width = (uint32_t)rows_i64(rs, 7),
				 .image_height = (uint32_t)rows_i64(rs, 8),
				 .image_frames = (uint32_t)rows_i64(rs, 9),
				 .hash = rows_str(rs, 10),
				 .size = rows_i64(rs, 11),
			 });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

/* Is the image there? Then it stays until this transaction's end. */
static err *hold_image(struct tx *tx, int64_t content, bool *out_there)
{
	int64_t changed;

	TRY(tx_run_count(tx, "UPDATE media_content SET refs = refs WHERE content = $1", BIND(B(content)), &changed));
	*out_there = changed == 1;
	return NULL;
}

static err *is_there(struct tx *tx, const struct thumbnail_row *row, bool *out)
{
	static const char sql[] = "SELECT 1 FROM media_thumbnail WHERE content = $1 AND width = $2 AND height = $3"
				  " AND crop = $4 AND animated = $5";
	struct row *r;

	TRY(tx_one(tx, sql,
		   BIND(B(row->content), B((int64_t)row->width), B((int64_t)row->height), B((int64_t)row->crop),
			B((int64_t)row->animated)),
		   &r));
	*out = r != NULL;
	return NULL;
}

err *store_thumbnail_add(struct tx *tx, const struct thumbnail_row *row, const struct store_content *c,
			 int64_t *out_made, bool *out_added)
{
	static const char sql[] =
		"INSERT INTO media_thumbnail (content, width, height, crop, animated, made, content_type, image_type,"
		" image_width, image_height, image_frames) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
	int64_t made = row->content;
	bool there;

	*out_added = false;
	TRY(hold_image(tx, row->content, &there));
	if (!there)
		return NULL;
	TRY(is_there(tx, row, &there));
	if (there)
		return NULL;
	if (c)
		TRY(store_content_ref(tx, c, &made));
	TRY(tx_run(tx, sql,
		   BIND(B(row->content), B((int64_t)row->width), B((int64_t)row->height), B((int64_t)row->crop),
			B((int64_t)row->animated), B(made), B(row->content_type), B(row->image_type),
			B((int64_t)row->image_width), B((int64_t)row->image_height), B((int64_t)row->image_frames))));
	*out_made = made;
	*out_added = true;
	return NULL;
}

err *store_thumbnails_drop(struct tx *tx, const int64_t *contents, size_t n)
{
	/* What is shown by itself was not refered to; what two images have in common is refered to twice. */
	static const char unref[] =
		"UPDATE media_content SET refs = refs - (SELECT COUNT(*) FROM media_thumbnail t"
		" JOIN media_content i ON i.content = t.content"
		" WHERE t.made = media_content.content AND t.content IN $1 AND i.refs = 0 AND t.made <> t.content)"
		" WHERE content IN (SELECT t.made FROM media_thumbnail t JOIN media_content i ON i.content = t.content"
		" WHERE t.content IN $1 AND i.refs = 0 AND t.made <> t.content)";
	static const char drop[] =
		"DELETE FROM media_thumbnail WHERE content IN $1"
		" AND (SELECT refs FROM media_content i WHERE i.content = media_thumbnail.content) = 0";
	const struct i64s gone = { contents, n };

	TRY(tx_run(tx, unref, BIND(B(gone))));
	return tx_run(tx, drop, BIND(B(gone)));
}
