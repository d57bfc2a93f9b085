/*
 * outbox.c - the rows of what other servers are to get.
 *
 * A server's rooms are the spans of time in which it was in them: those that still last stand in room_servers, those
 * that have ended in outbox_left, until the server has got the last of them. An event of ours belongs to a span when
 * its position does, both ends included: what brought the first user of a server in (it came from there, and is not
 * sent back), and what took the last one out.
 */
#include "store/outbox.h"

#include "store/tx.h"

#define SPANS                                                                                                          \
	"(SELECT room, since, 9223372036854775807 AS until FROM room_servers"                                          \
	" WHERE server = $1 AND since > 0 AND members > 0"                                                             \
	" UNION ALL SELECT room, since, until FROM outbox_left WHERE server = $1 AND until > $2) s"
/* Bounds of a span and of the question. */
#define OF_SPAN                                                                                                        \
	"e.room = s.room AND e.stream >= s.since AND e.stream <= s.until AND e.stream > $2 AND e.stream <= $3"         \
	" AND (e.flags & 64) <> 0"

static err *read_list(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct outbox_event_row **out,
		      size_t *out_n)
{
	VEC(struct outbox_event_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct outbox_event_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_outbox_events(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t limit,
			 struct outbox_event_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT e.nid, e.room, e.stream FROM " SPANS " JOIN events e ON " OF_SPAN " ORDER BY e.stream LIMIT $4";

	return read_list(tx, sql, BIND(B(server), B(above), B(upto), B((int64_t)limit)), out, out_n);
}

err *store_outbox_newest(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t limit,
			 struct outbox_event_row **out, size_t *out_n)
{
	/* A room may have several spans: of each its newest. */
	static const char sql[] =
		"SELECT e.nid, e.room, e.stream FROM (SELECT s.room AS room,"
		" (SELECT MAX(e.stream) FROM events e WHERE " OF_SPAN ") AS newest FROM " SPANS ") n"
		" JOIN events e ON e.room = n.room AND e.stream = n.newest ORDER BY e.stream LIMIT $4";

	return read_list(tx, sql, BIND(B(server), B(above), B(upto), B((int64_t)limit)), out, out_n);
}

err *store_outbox_count(struct tx *tx, int64_t server, int64_t above, int64_t upto, size_t most, int64_t *out)
{
	static const char sql[] =
		"SELECT COUNT(*) FROM (SELECT e.nid FROM " SPANS " JOIN events e ON " OF_SPAN " LIMIT $4) c";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(server), B(above), B(upto), B((int64_t)most)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

enum { CONCERNED_MOST = 5000 }; /* events whose rooms' servers are looked up */

err *store_outbox_concerned(struct tx *tx, int64_t above, int64_t **out, size_t *out_n)
{
	static const char rooms_sql[] =
		"SELECT e.room FROM events e WHERE (e.flags & 64) <> 0 AND e.stream > $1 ORDER BY e.stream LIMIT $2";
	static const char some[] = "SELECT server FROM room_servers WHERE room IN $1 AND since > 0 AND members > 0"
				   " UNION SELECT server FROM outbox_left WHERE room IN $1 AND until > $2";
	static const char all[] = "SELECT DISTINCT server FROM room_servers WHERE since > 0 AND members > 0"
				  " UNION SELECT server FROM outbox_left WHERE until > $1";
	struct i64s rooms;
	int64_t *list;

	TRY(tx_ints(tx, rooms_sql, BIND(B(above), B((int64_t)CONCERNED_MOST)), &list, &rooms.n));
	*out = NULL;
	*out_n = 0;
	if (rooms.n == 0)
		return NULL;
	if (rooms.n == CONCERNED_MOST)
		return tx_ints(tx, all, BIND(B(above)), out, out_n);
	rooms.p = list;
	return tx_ints(tx, some, BIND(B(rooms), B(above)), out, out_n);
}

err *store_server_is_anywhere(struct tx *tx, int64_t server, bool *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT 1 FROM room_servers WHERE server = $1 AND since > 0 AND members > 0 LIMIT 1",
		   BIND(B(server)), &row));
	*out = row != NULL;
	return NULL;
}

err *store_servers_of_rooms(struct tx *tx, const int64_t *rooms, size_t n, size_t limit, int64_t **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT DISTINCT server FROM room_servers WHERE room IN $1 AND since > 0 AND members > 0 LIMIT $2";
	const struct i64s list = { rooms, n };

	*out = NULL;
	*out_n = 0;
	if (n == 0)
		return NULL;
	return tx_ints(tx, sql, BIND(B(list), B((int64_t)limit)), out, out_n);
}

/*
 * Positions
 */
err *store_outbox_load(struct tx *tx, int64_t *out_floor, struct outbox_behind_row **out, size_t *out_n)
{
	VEC(struct outbox_behind_row) list = { 0 };
	struct row *row;
	struct rows *rs;

	TRY(tx_one(tx, "SELECT position FROM outbox_floor", NO_BIND, &row));
	TRY(tx_query(tx, "SELECT server, position, since FROM outbox_behind", NO_BIND, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct outbox_behind_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out_floor = row ? row_i64(row, 0) : 0;
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static err *save_behind(struct tx *tx, const struct outbox_behind_row *rows, size_t n)
{
	static const char sql[] = "INSERT INTO outbox_behind (server, position, since) SELECT zip.c1, zip.c2, zip.c3"
				  " FROM ZIP ($1, $2, $3) WHERE true"
				  " ON CONFLICT (server) DO UPDATE SET position = excluded.position";
	struct arena *a = tx_arena(tx);
	int64_t *servers = ARENA_ARRAY(a, int64_t, n), *positions = ARENA_ARRAY(a, int64_t, n),
		*since = ARENA_ARRAY(a, int64_t, n);
	const struct i64s c1 = { servers, n }, c2 = { positions, n }, c3 = { since, n };

	for (size_t i = 0; i < n; i++) {
		servers[i] = rows[i].server;
		positions[i] = rows[i].position;
		since[i] = rows[i].since;
	}
	return tx_run(tx, sql, BIND(B(c1), B(c2), B(c3)));
}

err *store_outbox_save(struct tx *tx, const struct outbox_save *s)
{
	const struct i64s level = { s->level, s->n_level }, edus = { s->edus, s->n_edus };

	TRY(tx_run(tx,
		   "INSERT INTO outbox_floor (one, position) VALUES (1, $1)"
		   " ON CONFLICT (one) DO UPDATE SET position = excluded.position",
		   BIND(B(s->floor))));
	if (s->n_behind)
		TRY(save_behind(tx, s->behind, s->n_behind));
	if (s->n_level)
		TRY(tx_run(tx, "DELETE FROM outbox_behind WHERE server IN $1", BIND(B(level))));
	if (s->n_edus)
		TRY(tx_run(tx, "DELETE FROM outbox_edus WHERE id IN $1", BIND(B(edus))));
	for (size_t i = 0; i < s->n_left; i++)
		TRY(tx_run(tx, "DELETE FROM outbox_left WHERE server = $1 AND room = $2 AND until = $3",
			   BIND(B(s->left[i].server), B(s->left[i].room), B(s->left[i].until))));
	for (size_t i = 0; i < s->n_bad; i++) {
		const struct outbox_bad_row *b = &s->bad[i];

		TRY(tx_run(tx,
			   "INSERT INTO outbox_bad (server, event, at, status, error) VALUES ($1, $2, $3, $4, $5)"
			   " ON CONFLICT (server, event) DO UPDATE SET at = excluded.at, status = excluded.status,"
			   " error = excluded.error",
			   BIND(B(b->server), B(b->event), B(b->at), B(b->status), B(b->error))));
	}
	return NULL;
}

err *store_outbox_left_done(struct tx *tx, size_t limit, struct outbox_left_row **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT l.server, l.room, l.until FROM outbox_left l LEFT JOIN outbox_behind b ON b.server = l.server"
		" WHERE l.until <= COALESCE(b.position, (SELECT position FROM outbox_floor)) LIMIT $1";
	VEC(struct outbox_left_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct outbox_left_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_outbox_forget(struct tx *tx, int64_t server)
{
	static const char *const sql[] = {
		"DELETE FROM outbox_left WHERE server = $1",
		"DELETE FROM outbox_behind WHERE server = $1",
		"DELETE FROM outbox_edus WHERE server = $1",
		"DELETE FROM outbox_bad WHERE server = $1",
	};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++)
		TRY(tx_run(tx, sql[i], BIND(B(server))));
	return NULL;
}

err *store_outbox_bad(struct tx *tx, int64_t server, size_t limit, struct outbox_bad_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT b.event, b.at, b.status, b.error, e.event_id FROM outbox_bad b"
				  " LEFT JOIN events e ON e.nid = b.event WHERE b.server = $1"
				  " ORDER BY b.at DESC, b.event DESC LIMIT $2";
	VEC(struct outbox_bad_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(server), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct outbox_bad_row){ .server = server,
						  .event = rows_i64(rs, 0),
						  .at = rows_i64(rs, 1),
						  .status = rows_i64(rs, 2),
						  .error = rows_str(rs, 3),
						  .event_id = rows_str(rs, 4) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static err *count(struct tx *tx, const char *sql, int64_t server, int64_t *out)
{
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(server)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_outbox_bad_count(struct tx *tx, int64_t server, int64_t *out)
{
	return count(tx, "SELECT COUNT(*) FROM outbox_bad WHERE server = $1", server, out);
}

/*
 * EDUs
 */
err *store_outbox_edu_add_all(struct tx *tx, const int64_t *servers, size_t n, str type, str key, str content,
			      int64_t now)
{
	static const char replaced[] = "DELETE FROM outbox_edus WHERE server IN $1 AND edu_key = $2 AND type = $3";
	static const char sql[] = "INSERT INTO outbox_edus (id, server, type, edu_key, created, content)"
				  " SELECT zip.c1, zip.c2, $3, $4, $5, $6 FROM ZIP ($1, $2)";
	int64_t *ids = ARENA_ARRAY(tx_arena(tx), int64_t, n);
	const struct i64s c1 = { ids, n }, c2 = { servers, n };

	for (size_t i = 0; i < n; i++)
		TRY(tx_position(tx, &ids[i]));
	if (!str_is_none(key))
		TRY(tx_run(tx, replaced, BIND(B(c2), B(key), B(type))));
	return tx_run(tx, sql, BIND(B(c1), B(c2), B(type), B(key), B(now), B(content)));
}

err *store_outbox_edu_add(struct tx *tx, int64_t server, str type, str key, str content, int64_t now)
{
	return store_outbox_edu_add_all(tx, &server, 1, type, key, content, now);
}

err *store_outbox_edus(struct tx *tx, int64_t server, int64_t above, size_t limit, struct outbox_edu_row **out,
		       size_t *out_n)
{
	static const char sql[] = "SELECT id, type, content FROM outbox_edus WHERE server = $1 AND id > $2"
				  " ORDER BY id LIMIT $3";
	VEC(struct outbox_edu_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(server), B(above), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct outbox_edu_row){ rows_i64(rs, 0), rows_str(rs, 1), rows_str(rs, 2) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_outbox_edu_servers(struct tx *tx, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT DISTINCT server FROM outbox_edus", NO_BIND, out, out_n);
}

err *store_outbox_edu_count(struct tx *tx, int64_t server, int64_t *out)
{
	return count(tx, "SELECT COUNT(*) FROM outbox_edus WHERE server = $1", server, out);
}

err *store_outbox_edus_drop(struct tx *tx, int64_t server, size_t limit, int64_t *out_gone)
{
	static const char sql[] = "DELETE FROM outbox_edus WHERE id IN"
				  " (SELECT id FROM outbox_edus WHERE server = $1 ORDER BY id LIMIT $2)";

	return tx_run_count(tx, sql, BIND(B(server), B((int64_t)limit)), out_gone);
}

err *store_outbox_edus_trim(struct tx *tx, int64_t server, str type, size_t keep, int64_t before, size_t limit,
			    int64_t *out_gone)
{
	static const char sql[] =
		"DELETE FROM outbox_edus WHERE id IN (SELECT id FROM outbox_edus WHERE server = $1 AND type = $2"
		" AND (created < $4 OR id <= COALESCE((SELECT id FROM outbox_edus WHERE server = $1 AND type = $2"
		" ORDER BY id DESC LIMIT 1 OFFSET $3), 0)) ORDER BY id LIMIT $5)";

	return tx_run_count(tx, sql, BIND(B(server), B(type), B((int64_t)keep), B(before), B((int64_t)limit)),
			    out_gone);
}
