/*
 * purge.c - forgetting rows, a bounded number at a time.
 *
 * Nothing here decides what goes: that is room/purge.c. What hangs on an event is found by the event, its stream
 * position, or the events it names, so that no statement looks through a table.
 */
#include "store/purge.h"

#include "store/auth_index.h"
#include "store/events.h"
#include "store/state_nodes.h"
#include "store/tx.h"

/*
 * The purges themselves
 */
#define PURGE_COLUMNS "purge, room, kind, before, with_local, status, began, ended, error"

err *store_purge_insert(struct tx *tx, const struct purge_row *p)
{
	static const char sql[] = "INSERT INTO room_purges (" PURGE_COLUMNS ")"
				  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

	return tx_run(tx, sql,
		      BIND(B(p->purge), B(p->room), B((int64_t)p->kind), B(p->before), B((int64_t)p->with_local),
			   B((int64_t)p->status), B(p->began), B(p->ended),
			   B(str_is_none(p->error) ? S("") : p->error)));
}

err *store_purge_end(struct tx *tx, int64_t purge, enum purge_status status, int64_t now, str error)
{
	return tx_run(tx, "UPDATE room_purges SET status = $2, ended = $3, error = $4 WHERE purge = $1",
		      BIND(B(purge), B((int64_t)status), B(now), B(error)));
}

static err *read_purges(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct purge_row **out,
			size_t *out_n)
{
	VEC(struct purge_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct purge_row){
				 .purge = rows_i64(rs, 0),
				 .room = rows_i64(rs, 1),
				 .kind = (enum purge_kind)rows_i64(rs, 2),
				 .before = rows_i64(rs, 3),
				 .with_local = rows_i64(rs, 4) != 0,
				 .status = (enum purge_status)rows_i64(rs, 5),
				 .began = rows_i64(rs, 6),
				 .ended = rows_i64(rs, 7),
				 .error = rows_str(rs, 8),
			 });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_purge_find(struct tx *tx, int64_t purge, struct purge_row **out)
{
	size_t n;

	TRY(read_purges(tx, "SELECT " PURGE_COLUMNS " FROM room_purges WHERE purge = $1", BIND(B(purge)), out, &n));
	*out = n ? *out : NULL;
	return NULL;
}

err *store_purges_active(struct tx *tx, struct purge_row **out, size_t *out_n)
{
	return read_purges(tx, "SELECT " PURGE_COLUMNS " FROM room_purges WHERE status = 0 ORDER BY purge", NO_BIND,
			   out, out_n);
}

err *store_purges_prune(struct tx *tx, int64_t before)
{
	return tx_run(tx, "DELETE FROM room_purges WHERE status <> 0 AND ended < $1", BIND(B(before)));
}

/*
 * Events
 */
#define PURGE_EVENT                                                                                                       \
	"nid, stream, timeline, type, sender, root_after, replaces, redacted_by, origin_server_ts, flags, txn_id, prevs," \
	" auths"

static err *read_purge_events(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct purge_event **out,
			      size_t *out_n)
{
	struct arena *a = tx_arena(tx);
	VEC(struct purge_event) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		struct purge_event ev = {
			.nid = rows_i64(rs, 0),
			.stream = rows_i64(rs, 1),
			.timeline = rows_i64(rs, 2),
			.type = rows_i64(rs, 3),
			.sender = rows_i64(rs, 4),
			.root_after = rows_i64(rs, 5),
			.replaces = rows_i64(rs, 6),
			.redacted_by = rows_i64(rs, 7),
			.ts = rows_i64(rs, 8),
			.flags = (unsigned)rows_i64(rs, 9),
			.has_txn = !rows_null(rs, 10),
		};
		int64_t *nids;

		ev.n_prevs = store_nids_unpack(a, rows_str(rs, 11), &nids);
		ev.prevs = nids;
		ev.n_auths = store_nids_unpack(a, rows_str(rs, 12), &nids);
		ev.auths = nids;
		vec_push(a, &list, ev);
	}
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_purge_placed(struct tx *tx, int64_t room, int64_t above, int64_t below, size_t limit,
			struct purge_event **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT " PURGE_EVENT " FROM events WHERE room = $1 AND timeline > $2 AND timeline < $3"
		" ORDER BY timeline LIMIT $4";

	return read_purge_events(tx, sql, BIND(B(room), B(above), B(below), B((int64_t)limit)), out, out_n);
}

err *store_purge_unplaced(struct tx *tx, int64_t room, int64_t above, size_t limit, struct purge_event **out,
			  size_t *out_n)
{
	static const char sql[] = "SELECT " PURGE_EVENT " FROM events WHERE room = $1 AND nid > $2 AND timeline IS NULL"
				  " ORDER BY nid LIMIT $3";

	return read_purge_events(tx, sql, BIND(B(room), B(above), B((int64_t)limit)), out, out_n);
}

err *store_purge_events_of(struct tx *tx, const int64_t *nids, size_t n, struct purge_event **out, size_t *out_n)
{
	const struct i64s list = { nids, n };

	return read_purge_events(tx, "SELECT " PURGE_EVENT " FROM events WHERE nid IN $1", BIND(B(list)), out, out_n);
}

err *store_purge_first_since(struct tx *tx, int64_t room, int64_t ts, int64_t *out_event)
{
	static const char sql[] = "SELECT nid FROM events WHERE room = $1 AND timeline IS NOT NULL"
				  " AND origin_server_ts >= $2 ORDER BY timeline LIMIT 1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room), B(ts)), &row));
	*out_event = row ? row_i64(row, 0) : 0;
	return NULL;
}

struct lists { /* of some events */
	VEC(int64_t) nids;
	VEC(int64_t) streams;
	VEC(int64_t) prevs;
};

static struct lists lists_of(struct arena *a, const struct purge_event *ev, size_t n)
{
	struct lists l = { 0 };

	for (size_t i = 0; i < n; i++) {
		vec_push(a, &l.nids, ev[i].nid);
		if (ev[i].stream)
			vec_push(a, &l.streams, ev[i].stream);
		for (size_t k = 0; k < ev[i].n_prevs; k++)
			vec_push(a, &l.prevs, ev[i].prevs[k]);
	}
	return l;
}

#define LIST(v) ((const struct i64s){ (v).p, (v).n })

/* What is about them as part of the timeline. */
static err *delete_beside(struct tx *tx, int64_t room, const struct lists *l)
{
	TRY(tx_run(tx, "DELETE FROM event_edges WHERE prev IN $1", BIND(B(LIST(l->nids)))));
	if (l->prevs.n)
		TRY(tx_run(tx, "DELETE FROM event_edges WHERE prev IN $1 AND event IN $2",
			   BIND(B(LIST(l->prevs)), B(LIST(l->nids)))));
	TRY(tx_run(tx, "DELETE FROM gaps WHERE room = $1 AND event IN $2", BIND(B(room), B(LIST(l->nids)))));
	TRY(tx_run(tx, "DELETE FROM gap_edges WHERE event IN $1", BIND(B(LIST(l->nids)))));
	TRY(tx_run(tx, "DELETE FROM annotations WHERE target IN $1", BIND(B(LIST(l->nids)))));
	TRY(tx_run(tx, "DELETE FROM redactions_waiting WHERE redaction IN $1", BIND(B(LIST(l->nids)))));
	if (l->streams.n)
		TRY(tx_run(tx, "DELETE FROM notify WHERE room = $1 AND stream IN $2",
			   BIND(B(room), B(LIST(l->streams)))));
	return NULL;
}

err *store_purge_delete(struct tx *tx, int64_t room, const struct purge_event *ev, size_t n)
{
	const struct lists l = lists_of(tx_arena(tx), ev, n);

	if (n == 0)
		return NULL;
	TRY(delete_beside(tx, room, &l));
	TRY(store_auth_forget(tx, l.nids.p, l.nids.n));
	TRY(tx_run(tx, "DELETE FROM redacted_originals WHERE event IN $1", BIND(B(LIST(l.nids)))));
	return tx_run(tx, "DELETE FROM events WHERE nid IN $1", BIND(B(LIST(l.nids))));
}

err *store_purge_demote(struct tx *tx, int64_t room, const struct purge_event *ev, size_t n)
{
	static const char sql[] = "UPDATE events SET stream = NULL, timeline = NULL, root_after = 0,"
				  " flags = (flags | $2) & ~$3 WHERE nid IN $1";
	const struct lists l = lists_of(tx_arena(tx), ev, n);

	if (n == 0)
		return NULL;
	TRY(delete_beside(tx, room, &l));
	return tx_run(tx, sql,
		      BIND(B(LIST(l.nids)), B((int64_t)(EVENT_OUTLIER | EVENT_PURGED)), B((int64_t)EVENT_GAP)));
}

/*
 * The journal and the nodes
 */
err *store_journal_before(struct tx *tx, int64_t room, int64_t stream, int64_t *out_stream)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT MAX(stream) FROM room_roots WHERE room = $1 AND stream <= $2", BIND(B(room), B(stream)),
		   &row));
	*out_stream = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_journal_nodes(struct tx *tx, int64_t room, int64_t above, size_t limit, int64_t **out_streams,
			 int64_t **out_nodes, size_t *out_n)
{
	static const char sql[] = "SELECT stream, node FROM room_roots WHERE room = $1 AND stream > $2"
				  " ORDER BY stream LIMIT $3";
	VEC(int64_t) streams = { 0 }, nodes = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(room), B(above), B((int64_t)limit)), &rs));
	while (rows_next(rs)) {
		vec_push(tx_arena(tx), &streams, rows_i64(rs, 0));
		vec_push(tx_arena(tx), &nodes, rows_i64(rs, 1));
	}
	TRY(rows_end(&rs));
	*out_streams = streams.p;
	*out_nodes = nodes.p;
	*out_n = nodes.n;
	return NULL;
}

err *store_journal_purge(struct tx *tx, int64_t room, int64_t below, size_t limit, bool *out_more)
{
	static const char sql[] =
		"DELETE FROM room_roots WHERE room = $1 AND stream IN"
		" (SELECT stream FROM room_roots WHERE room = $1 AND stream < $2 ORDER BY stream LIMIT $3)";
	int64_t gone;

	TRY(tx_run_count(tx, sql, BIND(B(room), B(below), B((int64_t)limit)), &gone));
	*out_more = gone == (int64_t)limit;
	return NULL;
}

static err *read_node_rows(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct node_row **out,
			   size_t *out_n)
{
	VEC(struct node_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		struct node_row row = { .first = rows_i64(rs, 0), .bytes = rows_str(rs, 1) };

		row.n = node_row_count(row.bytes);
		vec_push(tx_arena(tx), &list, row);
	}
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_nodes_down(struct tx *tx, int64_t room, int64_t below, size_t limit, struct node_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT first, nodes FROM state_nodes WHERE room = $1 AND first < $2"
				  " ORDER BY first DESC LIMIT $3";

	return read_node_rows(tx, sql, BIND(B(room), B(below), B((int64_t)limit)), out, out_n);
}

err *store_nodes_up(struct tx *tx, int64_t room, int64_t from, int64_t below, size_t limit, struct node_row **out,
		    size_t *out_n)
{
	static const char sql[] = "SELECT first, nodes FROM state_nodes WHERE room = $1 AND first >= $2 AND first < $3"
				  " ORDER BY first LIMIT $4";

	return read_node_rows(tx, sql, BIND(B(room), B(from), B(below), B((int64_t)limit)), out, out_n);
}

err *store_nodes_replace(struct tx *tx, int64_t room, const struct state_packed *p)
{
	const struct i64s gone = { p->gone, p->n_gone };

	if (gone.n)
		TRY(tx_run(tx, "DELETE FROM state_nodes WHERE room = $1 AND first IN $2", BIND(B(room), B(gone))));
	return store_nodes_save(tx, room, p->rows, p->n_rows);
}

/*
 * A whole room
 */
err *store_purge_room_begin(struct tx *tx, int64_t room)
{
	static const char *const sql[] = {
		"DELETE FROM rooms WHERE room = $1",
		"DELETE FROM room_heads WHERE room = $1",
		"DELETE FROM room_summary WHERE room = $1",
		"DELETE FROM aliases WHERE room = $1",
	};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++)
		TRY(tx_run(tx, sql[i], BIND(B(room))));
	return NULL;
}

/* Members, and what those of this server kept for themselves about the room. */
static err *purge_members(struct tx *tx, int64_t room, size_t limit, int64_t *out_gone)
{
	struct i64s members;
	int64_t *list;

	TRY(tx_ints(tx, "SELECT member FROM membership WHERE room = $1 ORDER BY member LIMIT $2",
		    BIND(B(room), B((int64_t)limit)), &list, &members.n));
	members.p = list;
	*out_gone = (int64_t)members.n;
	if (members.n == 0)
		return NULL;
	TRY(tx_run(tx, "DELETE FROM account_data WHERE \"user\" IN $1 AND room = $2", BIND(B(members), B(room))));
	TRY(tx_run(tx, "DELETE FROM outsiders WHERE room = $1 AND member IN $2", BIND(B(room), B(members))));
	return tx_run(tx, "DELETE FROM membership WHERE room = $1 AND member IN $2", BIND(B(room), B(members)));
}

static err *purge_events(struct tx *tx, int64_t room, size_t limit, int64_t *out_gone)
{
	struct purge_event *ev;
	size_t n;

	TRY(store_purge_placed(tx, room, INT64_MIN, INT64_MAX, limit, &ev, &n));
	if (n == 0)
		TRY(store_purge_unplaced(tx, room, 0, limit, &ev, &n));
	*out_gone = (int64_t)n;
	return store_purge_delete(tx, room, ev, n);
}

static err *purge_flat(struct tx *tx, int64_t room, size_t limit, int64_t *out_gone)
{
	static const char *const sql[] = {
		"DELETE FROM current_state WHERE room = $1 AND (type, state_key) IN"
		" (SELECT type, state_key FROM current_state WHERE room = $1 LIMIT $2)",
		"DELETE FROM room_servers WHERE room = $1 AND server IN"
		" (SELECT server FROM room_servers WHERE room = $1 LIMIT $2)",
		"DELETE FROM outbox_left WHERE room = $1 AND (server, until) IN"
		" (SELECT server, until FROM outbox_left WHERE room = $1 LIMIT $2)",
		"DELETE FROM receipts WHERE room = $1 AND (\"user\", kind, thread) IN"
		" (SELECT \"user\", kind, thread FROM receipts WHERE room = $1 LIMIT $2)",
		"DELETE FROM notify WHERE room = $1 AND stream IN"
		" (SELECT stream FROM notify WHERE room = $1 LIMIT $2)",
	};

	*out_gone = 0;
	for (size_t i = 0; i < ARRAY_LEN(sql) && *out_gone == 0; i++)
		TRY(tx_run_count(tx, sql[i], BIND(B(room), B((int64_t)limit)), out_gone));
	return NULL;
}

err *store_purge_room_piece(struct tx *tx, int64_t room, size_t limit, bool *out_more)
{
	err *(*const parts[])(struct tx *, int64_t, size_t, int64_t *) = { purge_members, purge_flat, purge_events };
	int64_t gone = 0;

	*out_more = true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		TRY(parts[i](tx, room, limit, &gone));
		if (gone > 0)
			return NULL;
	}
	return store_nodes_purge_room(tx, room, limit, out_more);
}
