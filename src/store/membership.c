/*
 * membership.c - the rows of members.
 */
#include "store/membership.h"

#include "store/tx.h"

#define MEMBER_COLUMNS                                                                                                 \
	"m.room, m.member, m.membership, m.event, m.sender, m.stream, m.since, m.forgotten, m.displayname,"            \
	" m.avatar_url, m.stripped"

static err *read_members(struct tx *tx, const char *sql, const struct bind *b, size_t n, struct member_row **out,
			 size_t *out_n)
{
	VEC(struct member_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		const struct member_row m = {
			.room = rows_i64(rs, 0),
			.user = rows_i64(rs, 1),
			.membership = (enum membership)rows_i64(rs, 2),
			.event = rows_i64(rs, 3),
			.sender = rows_i64(rs, 4),
			.stream = rows_i64(rs, 5),
			.since = rows_i64(rs, 6),
			.forgotten = rows_i64(rs, 7) != 0,
			.displayname = rows_str(rs, 8),
			.avatar_url = rows_str(rs, 9),
			.stripped = rows_str(rs, 10),
		};

		vec_push(tx_arena(tx), &list, m);
	}
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_member_save(struct tx *tx, const struct member_row *m)
{
	static const char sql[] =
		"INSERT INTO membership (room, member, membership, event, sender, stream, since, forgotten, displayname,"
		" avatar_url, stripped) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10)"
		" ON CONFLICT (room, member) DO UPDATE SET membership = excluded.membership, event = excluded.event,"
		" sender = excluded.sender, stream = excluded.stream, forgotten = 0,"
		" since = CASE WHEN membership.membership = excluded.membership THEN membership.since"
		"  ELSE excluded.since END,"
		" began = CASE WHEN membership.membership = 1 AND excluded.membership <> 1 THEN membership.since"
		"  ELSE membership.began END,"
		" ended = CASE WHEN membership.membership = 1 AND excluded.membership <> 1 THEN excluded.since"
		"  ELSE membership.ended END,"
		" displayname = excluded.displayname, avatar_url = excluded.avatar_url, stripped = excluded.stripped";

	return tx_run(tx, sql,
		      BIND(B(m->room), B(m->user), B((int64_t)m->membership), B(m->event), B(m->sender), B(m->stream),
			   B(m->since), B(m->displayname), B(m->avatar_url), B(m->stripped)));
}

err *store_member_clear_profile(struct tx *tx, int64_t room, int64_t user, int64_t event)
{
	return tx_run(tx,
		      "UPDATE membership SET displayname = NULL, avatar_url = NULL"
		      " WHERE room = $1 AND member = $2 AND event = $3",
		      BIND(B(room), B(user), B(event)));
}

/* The members of a mask as a list for IN. */
static struct i64s mask_list(struct tx *tx, unsigned mask)
{
	int64_t *p = ARENA_ARRAY(tx_arena(tx), int64_t, MEMBER_KNOCK + 1);
	size_t n = 0;

	for (enum membership m = MEMBER_JOIN; m <= MEMBER_KNOCK; m++)
		if (mask & MEMBER_MASK(m))
			p[n++] = m;
	return (struct i64s){ p, n };
}

err *store_member_forget(struct tx *tx, int64_t room, int64_t user)
{
	static const char sql[] = "UPDATE membership SET forgotten = 1 WHERE room = $1 AND member = $2"
				  " AND membership IN $3";

	return tx_run(tx, sql,
		      BIND(B(room), B(user), B(mask_list(tx, MEMBER_MASK(MEMBER_LEAVE) | MEMBER_MASK(MEMBER_BAN)))));
}

err *store_member(struct tx *tx, int64_t room, int64_t user, struct member_row **out)
{
	struct member_row *list;
	size_t n;

	TRY(read_members(tx, "SELECT " MEMBER_COLUMNS " FROM membership m WHERE m.room = $1 AND m.member = $2",
			 BIND(B(room), B(user)), &list, &n));
	*out = n ? &list[0] : NULL;
	return NULL;
}

err *store_members(struct tx *tx, int64_t room, unsigned mask, size_t limit, struct member_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT " MEMBER_COLUMNS " FROM membership m WHERE m.room = $1 AND m.membership IN $2"
				  " ORDER BY m.member LIMIT $3";

	return read_members(tx, sql, BIND(B(room), B(mask_list(tx, mask)), B(limit ? (int64_t)limit : INT64_MAX)), out,
			    out_n);
}

err *store_members_brief(struct tx *tx, int64_t room, struct member_brief **out, size_t *out_n)
{
	VEC(struct member_brief) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, "SELECT member, event, membership FROM membership WHERE room = $1", BIND(B(room)), &rs));
	while (rows_next(rs)) {
		const struct member_brief m = { rows_i64(rs, 0), rows_i64(rs, 1), (enum membership)rows_i64(rs, 2) };

		vec_push(tx_arena(tx), &list, m);
	}
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_members_first(struct tx *tx, int64_t room, unsigned mask, int64_t but, size_t limit, struct member_row **out,
			 size_t *out_n)
{
	static const char sql[] = "SELECT " MEMBER_COLUMNS " FROM membership m WHERE m.room = $1 AND m.membership IN $2"
				  " AND m.member <> $3 ORDER BY m.stream LIMIT $4";

	return read_members(tx, sql, BIND(B(room), B(mask_list(tx, mask)), B(but), B((int64_t)limit)), out, out_n);
}

err *store_memberships_of(struct tx *tx, int64_t user, unsigned mask, bool with_forgotten, struct member_row **out,
			  size_t *out_n)
{
	static const char sql[] = "SELECT " MEMBER_COLUMNS " FROM membership m WHERE m.member = $1"
				  " AND m.membership IN $2 AND m.forgotten <= $3";

	return read_members(tx, sql, BIND(B(user), B(mask_list(tx, mask)), B((int64_t)with_forgotten)), out, out_n);
}

err *store_memberships_changed(struct tx *tx, int64_t user, int64_t above, int64_t upto, struct member_row **out,
			       size_t *out_n)
{
	static const char sql[] = "SELECT " MEMBER_COLUMNS " FROM membership m WHERE m.member = $1 AND m.stream > $2"
				  " AND m.stream <= $3 ORDER BY m.stream";

	return read_members(tx, sql, BIND(B(user), B(above), B(upto)), out, out_n);
}

err *store_joined_rooms(struct tx *tx, int64_t user, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT room FROM membership WHERE member = $1 AND membership = 1";

	return tx_ints(tx, sql, BIND(B(user)), out, out_n);
}

err *store_joined_anywhere(struct tx *tx, const int64_t *users, size_t n, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT each.value FROM EACH $1 WHERE EXISTS"
				  " (SELECT 1 FROM membership m WHERE m.member = each.value AND m.membership = 1)";
	const struct i64s list = { users, n };

	return tx_ints(tx, sql, BIND(B(list)), out, out_n);
}

err *store_share_room(struct tx *tx, int64_t user, int64_t other, bool *out)
{
	static const char sql[] = "SELECT 1 FROM membership a JOIN membership b ON b.room = a.room AND b.member = $2"
				  " AND b.membership = 1 WHERE a.member = $1 AND a.membership = 1 LIMIT 1";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(user), B(other)), &row));
	*out = row != NULL;
	return NULL;
}
