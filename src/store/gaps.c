/*
 * gaps.c - the rows of gaps, of which a room has few.
 */
#include "store/gaps.h"

#include "store/events.h"
#include "store/tx.h"

err *store_gap_insert(struct tx *tx, const struct gap_row *g)
{
	static const char sql[] = "INSERT INTO gaps (room, event, stream) VALUES ($1, $2, $3)"
				  " ON CONFLICT (room, event) DO NOTHING";

	return tx_run(tx, sql, BIND(B(g->room), B(g->event), B(g->stream)));
}

err *store_gap_lacks(struct tx *tx, int64_t room, int64_t event, const str *prevs, size_t n)
{
	static const char sql[] = "INSERT INTO gap_edges (room, prev, event) SELECT $1, each.value, $2 FROM EACH $3"
				  " WHERE 1 = 1 ON CONFLICT (room, prev, event) DO NOTHING";
	const struct strs list = { prevs, n };

	return n ? tx_run(tx, sql, BIND(B(room), B(event), B(list))) : NULL;
}

err *store_gap_edges(struct tx *tx, int64_t room, const str *ids, size_t n, struct gap_edge **out, size_t *out_n)
{
	static const char sql[] = "SELECT " EVENT_COLUMNS ", x.prev FROM (SELECT prev, event, ROW_NUMBER() OVER"
				  " (PARTITION BY prev ORDER BY event) AS nth FROM gap_edges WHERE room = $1 AND"
				  " prev IN $2) x JOIN events e ON e.nid = x.event WHERE x.nth <= $3";
	const struct strs list = { ids, n };
	VEC(struct gap_edge) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(room), B(list), B((int64_t)GAP_EDGES_MOST)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct gap_edge){ .event = store_event_of_row(tx_arena(tx), rs),
					    .prev = rows_str(rs, EVENT_COLUMNS_N) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_gap_close(struct tx *tx, int64_t room, int64_t event)
{
	TRY(tx_run(tx, "DELETE FROM gaps WHERE room = $1 AND event = $2", BIND(B(room), B(event))));
	TRY(tx_run(tx, "DELETE FROM gap_edges WHERE event = $1", BIND(B(event))));
	return tx_run(tx, "UPDATE events SET flags = flags & ~$2 WHERE nid = $1",
		      BIND(B(event), B((int64_t)EVENT_GAP)));
}

err *store_gap_open(struct tx *tx, int64_t room, int64_t event)
{
	static const char sql[] = "INSERT INTO gaps (room, event, stream)"
				  " SELECT room, nid, COALESCE(stream, 0) FROM events WHERE nid = $2 AND room = $1"
				  " ON CONFLICT (room, event) DO NOTHING";

	TRY(tx_run(tx, sql, BIND(B(room), B(event))));
	return tx_run(tx, "UPDATE events SET flags = flags | $3 WHERE nid = $2 AND room = $1",
		      BIND(B(room), B(event), B((int64_t)EVENT_GAP)));
}

err *store_gaps(struct tx *tx, int64_t room, size_t limit, struct gap_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT g.event, g.stream FROM gaps g JOIN events e ON e.nid = g.event"
				  " WHERE g.room = $1 ORDER BY e.timeline DESC LIMIT $2";
	VEC(struct gap_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(room), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, (struct gap_row){ room, rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static err *one(struct tx *tx, const char *sql, int64_t room, int64_t timeline, int64_t *out_event)
{
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room), B(timeline)), &row));
	*out_event = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_gap_below(struct tx *tx, int64_t room, int64_t timeline, int64_t *out_event)
{
	return one(tx,
		   "SELECT g.event FROM gaps g JOIN events e ON e.nid = g.event"
		   " WHERE g.room = $1 AND e.timeline <= $2 ORDER BY e.timeline DESC LIMIT 1",
		   room, timeline, out_event);
}

err *store_gap_above(struct tx *tx, int64_t room, int64_t timeline, int64_t *out_event)
{
	return one(tx,
		   "SELECT g.event FROM gaps g JOIN events e ON e.nid = g.event"
		   " WHERE g.room = $1 AND e.timeline > $2 ORDER BY e.timeline LIMIT 1",
		   room, timeline, out_event);
}
