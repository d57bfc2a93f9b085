#include "store/receipts.h"

#include "base/buf.h"
#include "store/tx.h"

#define COLUMNS "room, \"user\", kind, thread, event, upto, ts, stream"

static struct receipt_row row_of(const struct rows *rs)
{
	return (struct receipt_row){
		.room = rows_i64(rs, 0),
		.user = rows_i64(rs, 1),
		.kind = (enum receipt_kind)rows_i64(rs, 2),
		.thread = rows_i64(rs, 3),
		.event = rows_i64(rs, 4),
		.upto = rows_i64(rs, 5),
		.ts = rows_i64(rs, 6),
		.stream = rows_i64(rs, 7),
	};
}

static err *collect(struct tx *tx, struct rows **rs, struct receipt_row **out, size_t *out_n)
{
	VEC(struct receipt_row) found = { 0 };

	while (rows_next(*rs))
		vec_push(tx_arena(tx), &found, row_of(*rs));
	TRY(rows_end(rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_receipt_set(struct tx *tx, struct receipt_row *r, bool *out_moved)
{
	static const char find[] =
		"SELECT upto FROM receipts WHERE room = $1 AND \"user\" = $2 AND kind = $3 AND thread = $4";
	static const char save[] =
		"INSERT INTO receipts (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (room, \"user\", kind, thread) DO UPDATE SET event = excluded.event, upto = excluded.upto,"
		" ts = excluded.ts, stream = excluded.stream WHERE receipts.upto < excluded.upto";
	struct row *old;
	int64_t changed;

	TRY(tx_one(tx, find, BIND(B(r->room), B(r->user), B((int64_t)r->kind), B(r->thread)), &old));
	*out_moved = !old || row_i64(old, 0) < r->upto;
	if (!*out_moved)
		return NULL;
	/* Another process may have moved it on until the position was ours. */
	TRY(tx_position(tx, &r->stream));
	TRY(tx_run_count(tx, save,
			 BIND(B(r->room), B(r->user), B((int64_t)r->kind), B(r->thread), B(r->event), B(r->upto),
			      B(r->ts), B(r->stream)),
			 &changed));
	*out_moved = changed > 0;
	return NULL;
}

err *store_receipts_changed(struct tx *tx, int64_t room, int64_t viewer, int64_t above, int64_t upto,
			    struct receipt_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT " COLUMNS " FROM receipts WHERE room = $1 AND stream > $2 AND stream <= $3"
				  " AND (kind <> $4 OR \"user\" = $5) ORDER BY stream";
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(room), B(above), B(upto), B((int64_t)RECEIPT_READ_PRIVATE), B(viewer)), &rs));
	return collect(tx, &rs, out, out_n);
}

err *store_rooms_with_receipts(struct tx *tx, const int64_t *rooms, size_t n, int64_t above, int64_t upto,
			       int64_t **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT each.value FROM EACH $1"
		" WHERE EXISTS (SELECT 1 FROM receipts r WHERE r.room = each.value AND r.stream > $2 AND r.stream <= $3)";
	const struct i64s list = { rooms, n };

	*out = NULL;
	*out_n = 0;
	if (n == 0)
		return NULL;
	return tx_ints(tx, sql, BIND(B(list), B(above), B(upto)), out, out_n);
}

err *store_receipts_of(struct tx *tx, int64_t room, int64_t user, struct receipt_row **out, size_t *out_n)
{
	struct rows *rs;

	TRY(tx_query(tx, "SELECT " COLUMNS " FROM receipts WHERE room = $1 AND \"user\" = $2", BIND(B(room), B(user)),
		     &rs));
	return collect(tx, &rs, out, out_n);
}

err *store_notify_insert(struct tx *tx, const struct notify_row *r)
{
	static const char sql[] = "INSERT INTO notify (room, stream, event, sender, thread, plain, special)"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7)";

	return tx_run(tx, sql,
		      BIND(B(r->room), B(r->stream), B(r->event), B(r->sender), B(r->thread), B((int64_t)r->plain),
			   B(r->special)));
}

/* Page by page, for a driver may hold a whole result in memory. */
err *store_notify_each(struct tx *tx, int64_t room, int64_t above, int64_t upto,
		       void (*fn)(void *arg, const struct notify_row *row), void *arg)
{
	static const char sql[] = "SELECT stream, event, sender, thread, plain, length(special), special FROM notify"
				  " WHERE room = $1 AND stream > $2 AND stream <= $3 ORDER BY stream LIMIT $4";
	const int64_t page = 2000;
	struct rows *rs;

	for (int64_t n = page; n == page && above < upto;) {
		TRY(tx_query(tx, sql, BIND(B(room), B(above), B(upto), B(page)), &rs));
		for (n = 0; rows_next(rs); n++) {
			const struct notify_row row = {
				room,
				rows_i64(rs, 0),
				rows_i64(rs, 1),
				rows_i64(rs, 2),
				rows_i64(rs, 3),
				(unsigned)rows_i64(rs, 4),
				rows_i64(rs, 5) ? rows_str(rs, 6) : STR_NONE, /* a text is copied: most have none */
			};

			above = row.stream;
			fn(arg, &row);
		}
		TRY(rows_end(&rs));
	}
	return NULL;
}

err *store_notify_silence(struct tx *tx, int64_t event)
{
	static const char sql[] =
		"UPDATE notify SET plain = 0, special = $2 WHERE room = (SELECT room FROM events WHERE nid = $1)"
		" AND stream = (SELECT stream FROM events WHERE nid = $1)";

	return tx_run(tx, sql, BIND(B(event), B(S(""))));
}

/* A pair is eight bytes of user, most significant first, and one of flags. */
enum { PAIR = 9 };

void notify_special_add(struct buf *special, int64_t user, unsigned flags)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_byte(special, (char)(uint8_t)((uint64_t)user >> shift));
	buf_byte(special, (char)flags);
}

unsigned notify_flags_for(const struct notify_row *row, int64_t user)
{
	if (row->sender == user)
		return 0;
	for (size_t at = 0; at + PAIR <= row->special.n; at += PAIR) {
		uint64_t who = 0;

		for (size_t i = 0; i < 8; i++)
			who = who << 8 | (uint8_t)row->special.p[at + i];
		if (who == (uint64_t)user)
			return (unsigned)(uint8_t)row->special.p[at + 8];
	}
	return row->plain;
}
