/*
 * inbound.c - a digest for a transaction's key, so that a row is small whatever the other server calls it; many events
 * are one statement.
 */
#include "store/inbound.h"

#include "base/buf.h"
#include "crypto/crypto.h"
#include "store/tx.h"

struct inbound_digest store_inbound_digest(str origin, str txn_id)
{
	AUTO_BUF b = BUF_INIT(SIZE_MAX);
	struct inbound_digest out;
	uint8_t digest[32];

	buf_i64(&b, (int64_t)origin.n); /* keeps ("ab", "c") and ("a", "bc") apart */
	buf_byte(&b, ':');
	buf_add(&b, origin);
	buf_add(&b, txn_id);
	sha256(buf_str(&b), digest);
	memcpy(out.bytes, digest, sizeof(out.bytes));
	return out;
}

static str bytes_of(const struct inbound_digest *d) { return (str){ (const char *)d->bytes, sizeof(d->bytes) }; }

err *store_inbound_answer(struct tx *tx, const struct inbound_digest *d, str *out_answer)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT answer FROM inbound_txns WHERE digest = $1", BIND(B(bytes_of(d))), &row));
	*out_answer = row ? row_str(row, 0) : STR_NONE;
	return NULL;
}

err *store_inbound_claim(struct tx *tx, const struct inbound_digest *d, str answer, int64_t now, bool *out_known)
{
	static const char sql[] = "INSERT INTO inbound_txns (digest, answer, created) VALUES ($1, $2, $3)"
				  " ON CONFLICT (digest) DO NOTHING";
	int64_t made;

	TRY(tx_run_count(tx, sql, BIND(B(bytes_of(d)), B(answer), B(now)), &made));
	*out_known = made == 0;
	return NULL;
}

err *store_inbound_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n)
{
	static const char sql[] = "DELETE FROM inbound_txns WHERE digest IN"
				  " (SELECT digest FROM inbound_txns WHERE created < $1 LIMIT $2)";

	return tx_run_count(tx, sql, BIND(B(before), B((int64_t)limit)), out_n);
}

err *store_inbound_stage(struct tx *tx, const struct inbound_row *rows, size_t n)
{
	static const char sql[] = "INSERT INTO inbound_events (id, room, origin, received, event_id, json)"
				  " SELECT zip.c1, zip.c2, zip.c3, zip.c4, zip.c5, zip.c6"
				  " FROM ZIP ($1, $2, $3, $4, $5, $6)";
	struct arena *a = tx_arena(tx);
	int64_t *ids = ARENA_ARRAY(a, int64_t, n), *rooms = ARENA_ARRAY(a, int64_t, n),
		*origins = ARENA_ARRAY(a, int64_t, n), *received = ARENA_ARRAY(a, int64_t, n);
	str *event_ids = ARENA_ARRAY(a, str, n), *json = ARENA_ARRAY(a, str, n);

	if (n == 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		ids[i] = rows[i].id;
		rooms[i] = rows[i].room;
		origins[i] = rows[i].origin;
		received[i] = rows[i].received;
		event_ids[i] = rows[i].event_id;
		json[i] = rows[i].json;
	}
	return tx_run(tx, sql,
		      BIND(B(((struct i64s){ ids, n })), B(((struct i64s){ rooms, n })),
			   B(((struct i64s){ origins, n })), B(((struct i64s){ received, n })),
			   B(((struct strs){ event_ids, n })), B(((struct strs){ json, n }))));
}

err *store_inbound_unstage(struct tx *tx, const int64_t *ids, size_t n)
{
	const struct i64s list = { ids, n };

	return n ? tx_run(tx, "DELETE FROM inbound_events WHERE id IN $1", BIND(B(list))) : NULL;
}

/* The first five columns are what both readers have. */
static err *read_rows(struct rows **rs, struct arena *a, bool with_json, struct inbound_row **out, size_t *out_n)
{
	VEC(struct inbound_row) list = { 0 };

	while (rows_next(*rs)) {
		struct inbound_row row = {
			.id = rows_i64(*rs, 0),
			.room = rows_i64(*rs, 1),
			.origin = rows_i64(*rs, 2),
			.received = rows_i64(*rs, 3),
			.event_id = rows_str(*rs, 4),
		};

		if (with_json)
			row.json = rows_str(*rs, 5);
		else
			row.size = rows_i64(*rs, 5);
		vec_push(a, &list, row);
	}
	TRY(rows_end(rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_inbound_list(struct tx *tx, int64_t above, size_t limit, struct inbound_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT id, room, origin, received, event_id, length(json) FROM inbound_events"
				  " WHERE id > $1 ORDER BY id LIMIT $2";
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(above), B((int64_t)limit)), &rs));
	return read_rows(&rs, tx_arena(tx), false, out, out_n);
}

err *store_inbound_read(struct tx *tx, const int64_t *ids, size_t n, struct inbound_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT id, room, origin, received, event_id, json FROM inbound_events"
				  " WHERE id IN $1 ORDER BY id";
	const struct i64s wanted = { ids, n };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(wanted)), &rs));
	return read_rows(&rs, tx_arena(tx), true, out, out_n);
}
