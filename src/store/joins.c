/* joins.c - the rows of rooms on their way in. */
#include "store/joins.h"

#include "store/purge.h"
#include "store/state_nodes.h"
#include "store/tx.h"

err *store_join_begin(struct tx *tx, int64_t room, int64_t now)
{
	return tx_run(tx,
		      "INSERT INTO joins (room, began) VALUES ($1, $2)"
		      " ON CONFLICT (room) DO UPDATE SET began = excluded.began",
		      BIND(B(room), B(now)));
}

err *store_join_end(struct tx *tx, int64_t room)
{
	return tx_run(tx, "DELETE FROM joins WHERE room = $1", BIND(B(room)));
}

err *store_joins(struct tx *tx, int64_t **out_rooms, size_t *out_n)
{
	return tx_ints(tx, "SELECT room FROM joins ORDER BY room", NO_BIND, out_rooms, out_n);
}

static err *exists(struct tx *tx, const char *sql, int64_t room, bool *out)
{
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(room)), &row));
	*out = row != NULL;
	return NULL;
}

err *store_room_has_events(struct tx *tx, int64_t room, bool *out)
{
	TRY(exists(tx, "SELECT 1 FROM events WHERE room = $1 AND timeline IS NULL LIMIT 1", room, out));
	return *out ? NULL
		    : exists(tx, "SELECT 1 FROM events WHERE room = $1 AND timeline IS NOT NULL LIMIT 1", room, out);
}

err *store_room_is_purged(struct tx *tx, int64_t room, bool *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT 1 FROM room_purges WHERE room = $1 AND status = $2 LIMIT 1",
		   BIND(B(room), B((int64_t)PURGE_ACTIVE)), &row));
	*out = row != NULL;
	return NULL;
}

static err *drop_flat(struct tx *tx, int64_t room, size_t limit, int64_t *out_gone)
{
	static const char *const sql[] = {
		"DELETE FROM current_state WHERE room = $1 AND (type, state_key) IN"
		" (SELECT type, state_key FROM current_state WHERE room = $1 LIMIT $2)",
		"DELETE FROM room_servers WHERE room = $1 AND server IN"
		" (SELECT server FROM room_servers WHERE room = $1 LIMIT $2)",
		/* Invitations and knocks of our users have a position. */
		"DELETE FROM membership WHERE room = $1 AND member IN"
		" (SELECT member FROM membership WHERE room = $1 AND stream = 0 LIMIT $2)",
	};

	*out_gone = 0;
	for (size_t i = 0; i < ARRAY_LEN(sql) && *out_gone == 0; i++)
		TRY(tx_run_count(tx, sql[i], BIND(B(room), B((int64_t)limit)), out_gone));
	return NULL;
}

static err *drop_events(struct tx *tx, int64_t room, size_t limit, int64_t *out_gone)
{
	struct purge_event *ev;
	size_t n;

	TRY(store_purge_unplaced(tx, room, 0, limit, &ev, &n));
	*out_gone = (int64_t)n;
	return store_purge_delete(tx, room, ev, n);
}

err *store_join_drop_piece(struct tx *tx, int64_t room, size_t limit, bool *out_more)
{
	int64_t gone;
	bool there;

	TRY(exists(tx, "SELECT 1 FROM rooms WHERE room = $1", room, &there));
	*out_more = false;
	if (there)
		return NULL;
	*out_more = true;
	TRY(drop_flat(tx, room, limit, &gone));
	if (gone)
		return NULL;
	TRY(drop_events(tx, room, limit, &gone));
	if (gone)
		return NULL;
	TRY(tx_run(tx, "DELETE FROM room_summary WHERE room = $1", BIND(B(room))));
	return store_nodes_purge_room(tx, room, limit, out_more);
}

err *store_room_server_set(struct tx *tx, int64_t room, int64_t server, int64_t members, int64_t since)
{
	static const char sql[] =
		"INSERT INTO room_servers (room, server, members, since) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (room, server) DO UPDATE SET members = excluded.members,"
		" since = CASE WHEN room_servers.members > 0 THEN room_servers.since ELSE excluded.since END";

	if (members == 0)
		return tx_run(tx, "DELETE FROM room_servers WHERE room = $1 AND server = $2", BIND(B(room), B(server)));
	return tx_run(tx, sql, BIND(B(room), B(server), B(members), B(since)));
}
