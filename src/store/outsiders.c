/* outsiders.c - the rows of outsiders. */
#include "store/outsiders.h"

#include "store/tx.h"

#define OUTSIDER_COLUMNS "o.room, o.member, o.membership, o.server, o.version, o.created, o.event_id, o.json"

static struct outsider_row *read_one(struct tx *tx, const struct row *row)
{
	struct outsider_row *o;

	if (!row)
		return NULL;
	o = ARENA_NEW(tx_arena(tx), struct outsider_row);
	*o = (struct outsider_row){
		.room = row_i64(row, 0),
		.user = row_i64(row, 1),
		.membership = (enum membership)row_i64(row, 2),
		.server = row_i64(row, 3),
		.version = row_str(row, 4),
		.created = row_i64(row, 5),
		.event_id = row_str(row, 6),
		.json = row_str(row, 7),
	};
	return o;
}

err *store_outsider_save(struct tx *tx, const struct outsider_row *o)
{
	static const char sql[] =
		"INSERT INTO outsiders (room, member, membership, server, version, created, event_id, json)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (room, member) DO UPDATE SET membership = excluded.membership, server = excluded.server,"
		" version = excluded.version, created = excluded.created, event_id = excluded.event_id,"
		" json = excluded.json";

	return tx_run(tx, sql,
		      BIND(B(o->room), B(o->user), B((int64_t)o->membership), B(o->server), B(o->version),
			   B(o->created), B(o->event_id), B(o->json)));
}

err *store_outsider(struct tx *tx, int64_t room, int64_t user, struct outsider_row **out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT " OUTSIDER_COLUMNS " FROM outsiders o WHERE o.room = $1 AND o.member = $2",
		   BIND(B(room), B(user)), &row));
	*out = read_one(tx, row);
	return NULL;
}

err *store_outsider_of_room(struct tx *tx, int64_t room, struct outsider_row **out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT " OUTSIDER_COLUMNS " FROM outsiders o WHERE o.room = $1 ORDER BY o.created DESC LIMIT 1",
		   BIND(B(room)), &row));
	*out = read_one(tx, row);
	return NULL;
}

err *store_outsiders_in(struct tx *tx, int64_t room, int64_t **out_users, size_t *out_n)
{
	return tx_ints(tx, "SELECT member FROM outsiders WHERE room = $1", BIND(B(room)), out_users, out_n);
}

err *store_outsiders_drop(struct tx *tx, int64_t room)
{
	return tx_run(tx, "DELETE FROM outsiders WHERE room = $1", BIND(B(room)));
}

err *store_outsiders_of_user(struct tx *tx, int64_t user, int64_t *out)
{
	static const int64_t waiting[] = { MEMBER_INVITE, MEMBER_KNOCK };
	const struct i64s in = { waiting, ARRAY_LEN(waiting) };
	struct row *row;

	TRY(tx_one(tx, "SELECT COUNT(*) FROM outsiders WHERE member = $1 AND membership IN $2", BIND(B(user), B(in)),
		   &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_outsiders_from(struct tx *tx, int64_t server, int64_t *out)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT COUNT(*) FROM outsiders WHERE server = $1 AND membership = $2",
		   BIND(B(server), B((int64_t)MEMBER_INVITE)), &row));
	*out = row ? row_i64(row, 0) : 0;
	return NULL;
}
