/*
 * events.c - the rows of events.
 *
 * One INSERT an event: everything that is known of it stands in its row, the way back in the graph (prev_events,
 * auth_events) included, as packed numbers. Only the way forward needs rows of its own. The two positions are columns
 * with partial indexes, so that what has no position costs no index entry.
 */
#include "store/events.h"
#include "base/map.h"
#include "store/tx.h"

str store_nids_pack(struct arena *a, const int64_t *nids, size_t n)
{
	char *p = arena_alloc(a, 8 * n);

	for (size_t i = 0; i < n; i++)
		for (unsigned byte = 0; byte < 8; byte++)
			p[8 * i + byte] = (char)((uint64_t)nids[i] >> (56 - 8 * byte));
	return (str){ p, 8 * n };
}

bool store_nids_are_one(str packed, int64_t nid)
{
	uint64_t v = 0;

	for (size_t byte = 0; byte < 8 && packed.n == 8; byte++)
		v = v << 8 | (uint8_t)packed.p[byte];
	return packed.n == 8 && v == (uint64_t)nid;
}

size_t store_nids_unpack(struct arena *a, str packed, int64_t **out)
{
	const size_t n = packed.n / 8;
	int64_t *nids = ARENA_ARRAY(a, int64_t, n);

	for (size_t i = 0; i < n; i++) {
		uint64_t v = 0;

		for (unsigned byte = 0; byte < 8; byte++)
			v = v << 8 | (uint8_t)packed.p[8 * i + byte];
		nids[i] = (int64_t)v;
	}
	*out = nids;
	return n;
}

struct event_row *store_event_of_row(struct arena *a, const struct rows *rs)
{
	struct event_row *ev = ARENA_NEW(a, struct event_row);
	int c = 0;

	ev->nid = rows_i64(rs, c++);
	ev->room = rows_i64(rs, c++);
	ev->type = rows_i64(rs, c++);
	ev->state_key = rows_i64(rs, c++);
	ev->sender = rows_i64(rs, c++);
	ev->stream = rows_i64(rs, c++);
	ev->timeline = rows_i64(rs, c++);
	ev->depth = rows_i64(rs, c++);
	ev->origin_server_ts = rows_i64(rs, c++);
	ev->root_after = rows_i64(rs, c++);
	ev->replaces = rows_i64(rs, c++);
	ev->redacted_by = rows_i64(rs, c++);
	ev->flags = (unsigned)rows_i64(rs, c++);
	ev->event_id = rows_str(rs, c++);
	ev->json = rows_str(rs, c++);
	ev->txn_device = rows_str(rs, c++);
	ev->txn_id = rows_str(rs, c++);
	ev->prevs = rows_str(rs, c++);
	ev->auths = rows_str(rs, c++);
	return ev;
}

/* Runs a query that selects EVENT_COLUMNS. */
static err *read_events(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct event_row ***out,
			size_t *out_n)
{
	VEC(struct event_row *) list = { 0 };
	struct arena *a = tx_arena(tx);
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(a, &list, store_event_of_row(a, rs));
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static err *read_event(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct event_row **out)
{
	struct event_row **list;
	size_t count;

	TRY(read_events(tx, sql, b, n, &list, &count));
	*out = count ? list[0] : NULL;
	return NULL;
}

err *store_event_by_id(struct tx *tx, str event_id, struct event_row **out)
{
	return read_event(tx, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.event_id = $1", BIND(B(event_id)), out);
}

err *store_event_by_nid(struct tx *tx, int64_t nid, struct event_row **out)
{
	return read_event(tx, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.nid = $1", BIND(B(nid)), out);
}

err *store_events_by_nids(struct tx *tx, const int64_t *nids, size_t n, struct event_row ***out, size_t *out_n)
{
	const struct i64s list = { nids, n };

	return read_events(tx, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.nid IN $1", BIND(B(list)), out, out_n);
}

err *store_events_by_ids(struct tx *tx, const str *ids, size_t n, struct event_row ***out, size_t *out_n)
{
	const struct strs list = { ids, n };

	return read_events(tx, "SELECT " EVENT_COLUMNS " FROM events e WHERE e.event_id IN $1", BIND(B(list)), out,
			   out_n);
}

err *store_event_names(struct tx *tx, const int64_t *nids, size_t n, struct event_name **out, size_t *out_n)
{
	const struct i64s list = { nids, n };
	VEC(struct event_name) found = { 0 };
	struct rows *rs;

	*out = NULL;
	*out_n = 0;
	if (n == 0)
		return NULL;
	TRY(tx_query(tx, "SELECT nid, event_id FROM events WHERE nid IN $1 ORDER BY nid", BIND(B(list)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct event_name){ rows_i64(rs, 0), rows_str(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_event_marks(struct tx *tx, const str *ids, size_t n, struct event_mark **out, size_t *out_n)
{
	const struct strs list = { ids, n };
	VEC(struct event_mark) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT event_id, nid, room, flags, type, state_key FROM events WHERE event_id IN $1",
		     BIND(B(list)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct event_mark){ rows_str(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2),
					      (unsigned)rows_i64(rs, 3), rows_i64(rs, 4), rows_i64(rs, 5) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_events_auths(struct tx *tx, const int64_t *nids, size_t n, str **out)
{
	const struct i64s list = { nids, n };
	struct arena *a = tx_arena(tx);
	str *found = ARENA_ARRAY(a, str, n);
	struct rows *rs;
	struct map by_nid;

	map_init(&by_nid, a);
	TRY(tx_query(tx, "SELECT nid, auths FROM events WHERE nid IN $1", BIND(B(list)), &rs));
	while (rows_next(rs)) {
		str *auths = ARENA_NEW(a, str);

		*auths = rows_str(rs, 1);
		map_put_i(&by_nid, rows_i64(rs, 0), auths);
	}
	TRY(rows_end(&rs));
	for (size_t i = 0; i < n; i++) {
		const str *auths = map_get_i(&by_nid, nids[i]);

		if (!auths)
			return err_new(a, ERR_INTERNAL, "event %" PRId64 " is not stored", nids[i]);
		found[i] = *auths;
	}
	*out = found;
	return NULL;
}

err *store_events_by_stream(struct tx *tx, int64_t room, int64_t above, int64_t upto, bool newest_first, size_t limit,
			    struct event_row ***out, size_t *out_n)
{
	static const char newest[] =
		"SELECT " EVENT_COLUMNS " FROM events e WHERE e.room = $1 AND e.stream > $2 AND e.stream <= $3"
		" ORDER BY e.stream DESC LIMIT $4";
	static const char oldest[] =
		"SELECT " EVENT_COLUMNS " FROM events e WHERE e.room = $1 AND e.stream > $2 AND e.stream <= $3"
		" ORDER BY e.stream LIMIT $4";

	return read_events(tx, newest_first ? newest : oldest, BIND(B(room), B(above), B(upto), B((int64_t)limit)), out,
			   out_n);
}

err *store_events_by_timeline(struct tx *tx, int64_t room, int64_t from, bool backwards, size_t limit,
			      struct event_row ***out, size_t *out_n)
{
	static const char below[] =
		"SELECT " EVENT_COLUMNS
		" FROM events e WHERE e.room = $1 AND e.timeline < $2 ORDER BY e.timeline DESC LIMIT $3";
	static const char higher[] =
		"SELECT " EVENT_COLUMNS
		" FROM events e WHERE e.room = $1 AND e.timeline > $2 ORDER BY e.timeline LIMIT $3";

	return read_events(tx, backwards ? below : higher, BIND(B(room), B(from), B((int64_t)limit)), out, out_n);
}

err *store_event_times(struct tx *tx, int64_t room, int64_t from, bool backwards, size_t limit, struct event_time **out,
		       size_t *out_n)
{
	static const char below[] = "SELECT nid, timeline, origin_server_ts FROM events"
				    " WHERE room = $1 AND timeline < $2 ORDER BY timeline DESC LIMIT $3";
	static const char higher[] = "SELECT nid, timeline, origin_server_ts FROM events"
				     " WHERE room = $1 AND timeline > $2 ORDER BY timeline LIMIT $3";
	VEC(struct event_time) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, backwards ? below : higher, BIND(B(room), B(from), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, (struct event_time){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_events_by_time(struct tx *tx, int64_t room, int64_t ts, int64_t timeline, bool backwards, size_t limit,
			  struct event_row ***out, size_t *out_n)
{
	static const char before[] =
		"SELECT " EVENT_COLUMNS " FROM events e WHERE e.room = $1 AND e.timeline IS NOT NULL"
		" AND (e.origin_server_ts, e.timeline) < ($2, $3)"
		" ORDER BY e.origin_server_ts DESC, e.timeline DESC LIMIT $4";
	static const char after[] =
		"SELECT " EVENT_COLUMNS " FROM events e WHERE e.room = $1 AND e.timeline IS NOT NULL"
		" AND (e.origin_server_ts, e.timeline) > ($2, $3)"
		" ORDER BY e.origin_server_ts, e.timeline LIMIT $4";

	return read_events(tx, backwards ? before : after, BIND(B(room), B(ts), B(timeline), B((int64_t)limit)), out,
			   out_n);
}

err *store_event_at_time(struct tx *tx, int64_t room, int64_t ts, bool backwards, struct event_row **out)
{
	struct event_row **rows;
	size_t n;

	TRY(store_events_by_time(tx, room, ts, backwards ? INT64_MAX : INT64_MIN, backwards, 1, &rows, &n));
	*out = n ? rows[0] : NULL;
	return NULL;
}

err *store_timeline_at_stream(struct tx *tx, int64_t room, int64_t upto, int64_t *out)
{
	/* Shown events lie on top of the timeline in the order they were shown, but for late ones (512): so the newest
	 * of the others has the highest place. */
	static const char sql[] = "SELECT timeline FROM events WHERE room = $1 AND stream <= $2 AND (flags & 512) = 0"
				  " ORDER BY stream DESC LIMIT 1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room), B(upto)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

/* 0 stands for "no position", which the partial indexes want as NULL. */
static struct bind position(int64_t v) { return v ? bind_int(v) : bind_null(); }

err *store_event_insert(struct tx *tx, const struct event_row *ev)
{
	static const char sql[] =
		"INSERT INTO events (nid, room, event_id, type, state_key, sender, stream, timeline, depth,"
		" origin_server_ts, root_after, replaces, redacted_by, flags, txn_device, txn_id, prevs, auths, json)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

	return tx_run(tx, sql,
		      BIND(B(ev->nid), B(ev->room), B(ev->event_id), B(ev->type), B(ev->state_key), B(ev->sender),
			   position(ev->stream), position(ev->timeline), B(ev->depth), B(ev->origin_server_ts),
			   B(ev->root_after), B(ev->replaces), B(ev->redacted_by), B((int64_t)ev->flags),
			   B(ev->txn_device), B(ev->txn_id), B(ev->prevs), B(ev->auths), B(ev->json)));
}

err *store_event_place(struct tx *tx, const struct event_row *ev)
{
	static const char sql[] =
		"UPDATE events SET stream = $2, timeline = $3, root_after = $4, replaces = $5, flags = $6, prevs = $7,"
		" auths = $8, json = $9, redacted_by = $10 WHERE nid = $1";

	return tx_run(tx, sql,
		      BIND(B(ev->nid), position(ev->stream), position(ev->timeline), B(ev->root_after), B(ev->replaces),
			   B((int64_t)ev->flags), B(ev->prevs), B(ev->auths), B(ev->json), B(ev->redacted_by)));
}

err *store_event_set_prevs(struct tx *tx, int64_t nid, str prevs)
{
	return tx_run(tx, "UPDATE events SET prevs = $2 WHERE nid = $1", BIND(B(nid), B(prevs)));
}

err *store_event_edge_insert(struct tx *tx, int64_t prev, int64_t event)
{
	return tx_run(tx, "INSERT INTO event_edges (prev, event) VALUES ($1, $2) ON CONFLICT (prev, event) DO NOTHING",
		      BIND(B(prev), B(event)));
}

err *store_event_edges_insert(struct tx *tx, const int64_t *prevs, const int64_t *events, size_t n)
{
	static const char sql[] = "INSERT INTO event_edges (prev, event) SELECT zip.c1, zip.c2 FROM ZIP ($1, $2)"
				  " WHERE 1 = 1 ON CONFLICT (prev, event) DO NOTHING";
	const struct i64s from = { prevs, n }, to = { events, n };

	return tx_run(tx, sql, BIND(B(from), B(to)));
}

err *store_rooms_with_events(struct tx *tx, const int64_t *rooms, size_t n, int64_t above, int64_t upto, int64_t **out,
			     size_t *out_n)
{
	static const char sql[] =
		"SELECT each.value FROM EACH $1"
		" WHERE EXISTS (SELECT 1 FROM events e WHERE e.room = each.value AND e.stream > $2 AND e.stream <= $3)"
		" OR EXISTS (SELECT 1 FROM room_roots r WHERE r.room = each.value AND r.stream > $2 AND r.stream <= $3)";
	const struct i64s list = { rooms, n };

	*out = NULL;
	*out_n = 0;
	if (n == 0)
		return NULL;
	return tx_ints(tx, sql, BIND(B(list), B(above), B(upto)), out, out_n);
}

err *store_event_successors(struct tx *tx, int64_t nid, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT event FROM event_edges WHERE prev = $1", BIND(B(nid)), out, out_n);
}

err *store_event_redact(struct tx *tx, int64_t nid, int64_t redacted_by, str redacted_json, int64_t now)
{
	/* A second redaction finds nothing left to keep. */
	TRY(tx_run(tx,
		   "INSERT INTO redacted_originals (event, at, json)"
		   " SELECT nid, $2, json FROM events WHERE nid = $1 AND redacted_by = 0",
		   BIND(B(nid), B(now))));
	return tx_run(tx,
		      "UPDATE events SET json = $2, redacted_by = $3, flags = flags | 8"
		      " WHERE nid = $1 AND redacted_by = 0",
		      BIND(B(nid), B(redacted_json), B(redacted_by)));
}

err *store_originals_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n)
{
	static const char sql[] = "DELETE FROM redacted_originals WHERE event IN"
				  " (SELECT event FROM redacted_originals WHERE at < $1 LIMIT $2)";

	return tx_run_count(tx, sql, BIND(B(before), B((int64_t)limit)), out_n);
}

err *store_redaction_wait(struct tx *tx, str redacts, int64_t redaction)
{
	return tx_run(tx, "INSERT INTO redactions_waiting (redacts, redaction) VALUES ($1, $2)",
		      BIND(B(redacts), B(redaction)));
}

err *store_redaction_applied(struct tx *tx, int64_t redaction)
{
	return tx_run(tx, "UPDATE events SET flags = flags - 256 WHERE nid = $1 AND (flags & 256) <> 0",
		      BIND(B(redaction)));
}

err *store_redactions_waiting(struct tx *tx, int64_t room, str event_id, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT w.redaction FROM redactions_waiting w JOIN events e ON e.nid = w.redaction"
				  " WHERE w.redacts = $1 AND e.room = $2 ORDER BY w.redaction";

	return tx_ints(tx, sql, BIND(B(event_id), B(room)), out, out_n);
}

err *store_redactions_waited(struct tx *tx, const str *event_ids, size_t n, str **out, size_t *out_n)
{
	const struct strs list = { event_ids, n };
	VEC(str) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT redacts FROM redactions_waiting WHERE redacts IN $1", BIND(B(list)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, rows_str(rs, 0));
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_timeline_move(struct tx *tx, const int64_t *nids, const int64_t *places, size_t n)
{
	static const char sql[] = "UPDATE events SET timeline = zip.c2 FROM ZIP ($1, $2) WHERE events.nid = zip.c1";
	const struct i64s events = { nids, n }, to = { places, n };

	return n ? tx_run(tx, sql, BIND(B(events), B(to))) : NULL;
}
