/*
 * rooms.c - the rows of rooms, heads, current state, summaries, servers and aliases.
 */
#include "store/rooms.h"

#include <assert.h>

#include "store/tx.h"

#define ROOM_COLUMNS "r.room, i.text, r.version, r.creator, r.created, r.published, r.local_only"

static err *read_room(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct room_row **out)
{
	struct row *row;

	*out = NULL;
	TRY(tx_one(tx, sql, b, n, &row));
	if (!row)
		return NULL;
	struct room_row *r = ARENA_NEW(tx_arena(tx), struct room_row);
	r->room = row_i64(row, 0);
	r->room_id = row_str(row, 1);
	r->version = row_str(row, 2);
	r->creator = row_i64(row, 3);
	r->created = row_i64(row, 4);
	r->published = row_i64(row, 5) != 0;
	r->local_only = row_i64(row, 6) != 0;
	*out = r;
	return NULL;
}

err *store_room_by_id(struct tx *tx, str room_id, struct room_row **out)
{
	return read_room(tx, "SELECT " ROOM_COLUMNS " FROM interned i JOIN rooms r ON r.room = i.id WHERE i.text = $1",
			 BIND(B(room_id)), out);
}

err *store_room_by_nid(struct tx *tx, int64_t room, struct room_row **out)
{
	return read_room(tx, "SELECT " ROOM_COLUMNS " FROM rooms r JOIN interned i ON i.id = r.room WHERE r.room = $1",
			 BIND(B(room)), out);
}

err *store_room_insert(struct tx *tx, const struct room_row *r)
{
	static const char sql[] = "INSERT INTO rooms (room, version, creator, created, published, local_only)"
				  " VALUES ($1, $2, $3, $4, $5, $6)";

	TRY(store_intern_new(tx, r->room_id, r->room));
	return tx_run(tx, sql,
		      BIND(B(r->room), B(r->version), B(r->creator), B(r->created), B((int64_t)r->published),
			   B((int64_t)r->local_only)));
}

err *store_room_set_published(struct tx *tx, int64_t room, bool published)
{
	return tx_run(tx, "UPDATE rooms SET published = $2 WHERE room = $1", BIND(B(room), B((int64_t)published)));
}

/*
 * Heads
 */
err *store_head_insert(struct tx *tx, const struct room_head_row *h)
{
	static const char sql[] = "INSERT INTO room_heads (room, extremities, root, timeline_top, joined, invited)"
				  " VALUES ($1, $2, $3, $4, $5, $6)";

	return tx_run(tx, sql,
		      BIND(B(h->room), B(h->extremities), B(h->root), B(h->timeline_top), B(h->joined), B(h->invited)));
}

err *store_head_update(struct tx *tx, const struct room_head_row *h)
{
	static const char sql[] = "UPDATE room_heads SET extremities = $2, root = $3, timeline_top = $4, joined = $5,"
				  " invited = $6 WHERE room = $1";

	return tx_run(tx, sql,
		      BIND(B(h->room), B(h->extremities), B(h->root), B(h->timeline_top), B(h->joined), B(h->invited)));
}

err *store_head_load(struct tx *tx, int64_t room, struct room_head_row **out)
{
	struct row *row;

	*out = NULL;
	TRY(tx_one(tx,
		   "SELECT extremities, root, timeline_top, joined, invited, EXISTS (SELECT 1 FROM room_servers"
		   " WHERE room = $1 AND since > 0 AND members > 0), EXISTS (SELECT 1 FROM gap_edges"
		   " WHERE room = $1) FROM room_heads WHERE room = $1",
		   BIND(B(room)), &row));
	if (!row)
		return NULL;
	struct room_head_row *h = ARENA_NEW(tx_arena(tx), struct room_head_row);
	h->room = room;
	h->extremities = row_str(row, 0);
	h->root = row_i64(row, 1);
	h->timeline_top = row_i64(row, 2);
	h->joined = row_i64(row, 3);
	h->invited = row_i64(row, 4);
	h->has_others = row_i64(row, 5) != 0;
	h->lacks = row_i64(row, 6) != 0;
	*out = h;
	return NULL;
}

/*
 * Current state
 */
err *store_state_set(struct tx *tx, int64_t room, const struct state_row *s)
{
	static const char sql[] =
		"INSERT INTO current_state (room, type, state_key, event, stream) VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT (room, type, state_key) DO UPDATE SET event = excluded.event, stream = excluded.stream";

	return tx_run(tx, sql, BIND(B(room), B(s->type), B(s->state_key), B(s->event), B(s->stream)));
}

err *store_state_unset(struct tx *tx, int64_t room, int64_t type, int64_t state_key)
{
	return tx_run(tx, "DELETE FROM current_state WHERE room = $1 AND type = $2 AND state_key = $3",
		      BIND(B(room), B(type), B(state_key)));
}

err *store_state_get(struct tx *tx, int64_t room, int64_t type, int64_t state_key, int64_t *out_event)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT event FROM current_state WHERE room = $1 AND type = $2 AND state_key = $3",
		   BIND(B(room), B(type), B(state_key)), &row));
	*out_event = row ? row_i64(row, 0) : 0;
	return NULL;
}

static err *read_state(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct state_row **out,
		       size_t *out_n)
{
	VEC(struct state_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct state_row){ rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2), rows_i64(rs, 3) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_state_list(struct tx *tx, int64_t room, struct state_row **out, size_t *out_n)
{
	return read_state(tx, "SELECT type, state_key, event, stream FROM current_state WHERE room = $1", BIND(B(room)),
			  out, out_n);
}

err *store_state_of_type(struct tx *tx, int64_t room, int64_t type, struct state_row **out, size_t *out_n)
{
	return read_state(tx, "SELECT type, state_key, event, stream FROM current_state WHERE room = $1 AND type = $2",
			  BIND(B(room), B(type)), out, out_n);
}

/*
 * Summaries and the public list
 */
err *store_summary_set(struct tx *tx, int64_t room, enum summary_column column, str value)
{
#define SET(name)                                                                                                      \
	"INSERT INTO room_summary (room, " name ") VALUES ($1, $2)"                                                    \
	" ON CONFLICT (room) DO UPDATE SET " name " = excluded." name
	static const char *const sql[SUMMARY_COLUMNS] = {
		[SUMMARY_NAME] = SET("name"),
		[SUMMARY_TOPIC] = SET("topic"),
		[SUMMARY_AVATAR_URL] = SET("avatar_url"),
		[SUMMARY_CANONICAL_ALIAS] = SET("canonical_alias"),
		[SUMMARY_JOIN_RULE] = SET("join_rule"),
		[SUMMARY_HISTORY_VISIBILITY] = SET("history_visibility"),
		[SUMMARY_GUEST_ACCESS] = SET("guest_access"),
		[SUMMARY_ROOM_TYPE] = SET("room_type"),
		[SUMMARY_ENCRYPTION] = SET("encryption"),
	};
#undef SET

	assert(column > SUMMARY_NONE && column < SUMMARY_COLUMNS);
	return tx_run(tx, sql[column], BIND(B(room), B(value)));
}

#define SUMMARY_SELECT                                                                                                 \
	"s.name, s.topic, s.avatar_url, s.canonical_alias, s.join_rule, s.history_visibility, s.guest_access,"         \
	" s.room_type, s.encryption"

static void read_summary(const struct rows *rs, int c, struct summary_row *s)
{
	s->name = rows_str(rs, c++);
	s->topic = rows_str(rs, c++);
	s->avatar_url = rows_str(rs, c++);
	s->canonical_alias = rows_str(rs, c++);
	s->join_rule = rows_str(rs, c++);
	s->history_visibility = rows_str(rs, c++);
	s->guest_access = rows_str(rs, c++);
	s->room_type = rows_str(rs, c++);
	s->encryption = rows_str(rs, c++);
}

err *store_summary_load(struct tx *tx, int64_t room, struct summary_row *out)
{
	struct summary_row s = { .room = room };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT " SUMMARY_SELECT " FROM room_summary s WHERE s.room = $1", BIND(B(room)), &rs));
	while (rows_next(rs))
		read_summary(rs, 0, &s);
	TRY(rows_end(&rs));
	*out = s;
	return NULL;
}

err *store_public_places(struct tx *tx, const struct public_query *q, struct public_place **out, size_t *out_n)
{
	static const char onward[] =
		"SELECT r.room, h.joined FROM rooms r JOIN room_heads h ON h.room = r.room WHERE r.published = 1"
		" AND r.local_only <= $4 AND (h.joined < $1 OR (h.joined = $1 AND r.room > $2))"
		" ORDER BY h.joined DESC, r.room LIMIT $3";
	static const char back[] =
		"SELECT r.room, h.joined FROM rooms r JOIN room_heads h ON h.room = r.room WHERE r.published = 1"
		" AND r.local_only <= $4 AND (h.joined > $1 OR (h.joined = $1 AND r.room < $2))"
		" ORDER BY h.joined, r.room DESC LIMIT $3";
	const int64_t joined = q->from_start ? INT64_MAX : q->joined;
	VEC(struct public_place) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, q->backwards ? back : onward,
		     BIND(B(joined), B(q->room), B((int64_t)q->limit), B((int64_t)!q->for_servers)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, (struct public_place){ rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static struct public_row *find_public(struct public_row *rows, size_t n, int64_t room)
{
	for (size_t low = 0, high = n; low < high;) {
		const size_t mid = low + (high - low) / 2;

		if (rows[mid].room == room)
			return &rows[mid];
		if (rows[mid].room < room)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

err *store_public_rooms(struct tx *tx, const struct public_place *places, size_t n, struct public_row **out,
			size_t *out_n)
{
	static const char sql[] =
		"SELECT r.room, i.text, " SUMMARY_SELECT " FROM rooms r JOIN interned i ON i.id = r.room"
		" LEFT JOIN room_summary s ON s.room = r.room WHERE r.room IN $1 ORDER BY r.room";
	int64_t *nids = ARENA_ARRAY(tx_arena(tx), int64_t, n);
	const struct i64s rooms = { nids, n };
	VEC(struct public_row) found = { 0 }, list = { 0 };
	struct rows *rs;

	for (size_t i = 0; i < n; i++)
		nids[i] = places[i].room;
	TRY(tx_query(tx, sql, BIND(B(rooms)), &rs));
	while (rows_next(rs)) {
		struct public_row p = { .room = rows_i64(rs, 0), .room_id = rows_str(rs, 1) };

		p.summary.room = p.room;
		read_summary(rs, 2, &p.summary);
		vec_push(tx_arena(tx), &found, p);
	}
	TRY(rows_end(&rs));
	for (size_t i = 0; i < n; i++) {
		struct public_row *p = find_public(found.p, found.n, places[i].room);

		if (!p)
			continue;
		p->joined = places[i].joined;
		vec_push(tx_arena(tx), &list, *p);
	}
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_public_count(struct tx *tx, bool for_servers, int64_t *out)
{
	static const char sql[] = "SELECT COUNT(*) FROM rooms WHERE published = 1 AND local_only <= $1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B((int64_t)!for_servers)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

/*
 * Servers
 */
err *store_room_server_add(struct tx *tx, int64_t room, int64_t server, int64_t delta, int64_t stream)
{
	static const char add[] =
		"INSERT INTO room_servers (room, server, members, since) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (room, server) DO UPDATE SET members = room_servers.members + excluded.members,"
		" since = CASE WHEN room_servers.members > 0 THEN room_servers.since ELSE excluded.since END";
	static const char left[] =
		"INSERT INTO outbox_left (server, room, since, until) SELECT server, room, since, $3 FROM room_servers"
		" WHERE room = $1 AND server = $2 AND since > 0 AND members <= 0 ON CONFLICT (server, room, until)"
		" DO NOTHING";

	TRY(tx_run(tx, add, BIND(B(room), B(server), B(delta), B(stream))));
	return delta < 0 && stream > 0 ? tx_run(tx, left, BIND(B(room), B(server), B(stream))) : NULL;
}

err *store_room_server_once(struct tx *tx, int64_t room, int64_t server, int64_t stream)
{
	return tx_run(tx,
		      "INSERT INTO outbox_left (server, room, since, until) VALUES ($1, $2, $3, $3)"
		      " ON CONFLICT (server, room, until) DO NOTHING",
		      BIND(B(server), B(room), B(stream)));
}

err *store_room_server_since(struct tx *tx, int64_t room, int64_t server, int64_t *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT since FROM room_servers WHERE room = $1 AND server = $2 AND since > 0 AND members > 0",
		   BIND(B(room), B(server)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_room_others(struct tx *tx, int64_t room, struct room_server_row **out, size_t *out_n)
{
	VEC(struct room_server_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT server, members FROM room_servers WHERE room = $1 AND since > 0 AND members > 0",
		     BIND(B(room)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, (struct room_server_row){ rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_room_has_server(struct tx *tx, int64_t room, int64_t server, bool *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT members FROM room_servers WHERE room = $1 AND server = $2", BIND(B(room), B(server)),
		   &row));
	*out = row && row_i64(row, 0) > 0;
	return NULL;
}

err *store_room_servers_top(struct tx *tx, int64_t room, size_t limit, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT server FROM room_servers WHERE room = $1 AND members > 0"
				  " ORDER BY members DESC, server LIMIT $2";

	return tx_ints(tx, sql, BIND(B(room), B((int64_t)limit)), out, out_n);
}

err *store_room_servers(struct tx *tx, int64_t room, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT server FROM room_servers WHERE room = $1 AND members > 0", BIND(B(room)), out,
		       out_n);
}

/*
 * Aliases
 */
err *store_alias_insert(struct tx *tx, str alias, int64_t room, int64_t creator, int64_t now, bool *out_taken)
{
	int64_t changed;

	TRY(tx_run_count(tx,
			 "INSERT INTO aliases (alias, room, creator, created) VALUES ($1, $2, $3, $4)"
			 " ON CONFLICT (alias) DO NOTHING",
			 BIND(B(alias), B(room), B(creator), B(now)), &changed));
	*out_taken = changed == 0;
	return NULL;
}

err *store_alias_delete(struct tx *tx, str alias)
{
	return tx_run(tx, "DELETE FROM aliases WHERE alias = $1", BIND(B(alias)));
}

err *store_aliases_move(struct tx *tx, int64_t from, int64_t to, int64_t upto)
{
	return tx_run(tx, "UPDATE aliases SET room = $2 WHERE room = $1 AND created <= $3",
		      BIND(B(from), B(to), B(upto)));
}

err *store_alias_find(struct tx *tx, str alias, struct alias_row **out)
{
	struct row *row;

	*out = NULL;
	TRY(tx_one(tx,
		   "SELECT a.alias, i.text, a.room, a.creator FROM aliases a JOIN interned i ON i.id = a.room"
		   " WHERE a.alias = $1",
		   BIND(B(alias)), &row));
	if (!row)
		return NULL;
	struct alias_row *found = ARENA_NEW(tx_arena(tx), struct alias_row);
	found->alias = row_str(row, 0);
	found->room_id = row_str(row, 1);
	found->room = row_i64(row, 2);
	found->creator = row_i64(row, 3);
	*out = found;
	return NULL;
}

err *store_aliases_of(struct tx *tx, int64_t room, str **out, size_t *out_n)
{
	VEC(str) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT alias FROM aliases WHERE room = $1 ORDER BY created, alias", BIND(B(room)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, rows_str(rs, 0));
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}
