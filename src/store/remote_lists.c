/* remote_lists.c - lists of devices between servers. */
#include "store/remote_lists.h"

#include "store/tx.h"

#include <stdlib.h>

/* Of a user `who`: is joined to a room that this server ($1) is in; both since a position or before. Of this server
 * itself room_servers has minus the position. */
#define ROOMS_SHARED(who)                                                                                              \
	"SELECT 1 FROM membership m JOIN room_servers s ON s.room = m.room AND s.server = $1 AND s.members > 0"        \
	" WHERE m.member = " who " AND m.membership = 1"
#define SHARED_SINCE(who, at) "EXISTS (" ROOMS_SHARED(who) " AND m.since <= " at " AND s.since >= 0 - " at ")"
#define SHARED_NOW(who)       "EXISTS (" ROOMS_SHARED(who) ")"

enum { WANTED = -1 }; /* as `told`: the list was never here */

static int by_user(const void *x, const void *y)
{
	const struct remote_list_row *p = x, *q = y;

	return (p->user > q->user) - (p->user < q->user);
}

err *store_remote_lists(struct tx *tx, int64_t own, const int64_t *users, size_t n, struct remote_list_row *out)
{
	static const char sql[] =
		"SELECT each.value, COALESCE(l.told, -1),"
		" CASE WHEN l.stale = 0 AND " SHARED_SINCE(
			"each.value",
			"l.at") " THEN 1 ELSE 0 END,"
				" CASE WHEN " SHARED_NOW(
					"each.value") " THEN 1 ELSE 0 END"
						      " FROM EACH $2 LEFT JOIN remote_lists l ON l.user_nid = each.value";
	const struct i64s list = { users, n };
	struct rows *rs;

	for (size_t i = 0; i < n; i++)
		out[i] = (struct remote_list_row){ .user = users[i], .told = WANTED };
	if (n == 0)
		return NULL;
	TRY(tx_query(tx, sql, BIND(B(own), B(list)), &rs));
	while (rows_next(rs)) {
		const struct remote_list_row found = { rows_i64(rs, 0), rows_i64(rs, 1), rows_i64(rs, 2) == 1,
						       rows_i64(rs, 3) == 1 };
		struct remote_list_row *at = bsearch(&found, out, n, sizeof(*out), by_user);

		if (at)
			*at = found;
	}
	return rows_end(&rs);
}

static bool same(str x, str y) { return str_is_none(x) == str_is_none(y) && str_eq(x, y); }

bool device_keys_same(const struct device_keys_row *x, const struct device_keys_row *y)
{
	return same(x->keys, y->keys) && same(x->display_name, y->display_name);
}

static bool in_list(const struct remote_list *l, const struct device_keys_row *d)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->devices[i].device_id, d->device_id))
			return device_keys_same(&l->devices[i], d);
	return false;
}

static err *says_the_same(struct tx *tx, const struct remote_list *l, bool *out)
{
	struct cross_signing_row identity = { 0 };
	struct device_keys_row *rows;
	bool found;
	size_t n;

	TRY(store_device_keys(tx, &l->user, 1, NULL, 0, &rows, &n));
	TRY(store_cross_signing_get(tx, l->user, &identity, &found));
	*out = n == l->n && same(identity.master, l->master) && same(identity.self_signing, l->self_signing);
	for (size_t i = 0; i < n && *out; i++)
		*out = in_list(l, &rows[i]);
	return NULL;
}

static err *save_device(struct tx *tx, int64_t user, const struct device_keys_row *d)
{
	static const char sql[] = "INSERT INTO device_keys (user_nid, device_id, keys, display_name)"
				  " VALUES ($1, $2, $3, $4) ON CONFLICT (user_nid, device_id)"
				  " DO UPDATE SET keys = excluded.keys, display_name = excluded.display_name";

	return tx_run(tx, sql, BIND(B(user), B(d->device_id), B(d->keys), B(d->display_name)));
}

err *store_remote_list_identity(struct tx *tx, int64_t user, str master, str self_signing)
{
	if (str_is_none(master))
		return tx_run(tx, "DELETE FROM cross_signing_keys WHERE user_nid = $1", BIND(B(user)));
	return store_cross_signing_save(
		tx, &(struct cross_signing_row){ .user = user, .master = master, .self_signing = self_signing });
}

err *store_remote_list_replace(struct tx *tx, const struct remote_list *l, bool *out_changed)
{
	static const char save[] = "INSERT INTO remote_lists (user_nid, told, at, stale) VALUES ($1, $2, $3, $4)"
				   " ON CONFLICT (user_nid) DO UPDATE SET told = excluded.told, at = excluded.at,"
				   " stale = excluded.stale";
	struct row *before;
	bool equal;

	TRY(tx_one(tx, "SELECT told FROM remote_lists WHERE user_nid = $1", BIND(B(l->user)), &before));
	TRY(tx_run(tx, save, BIND(B(l->user), B(l->told), B(l->at), B((int64_t)l->stale))));
	TRY(says_the_same(tx, l, &equal));
	*out_changed = !before || (!equal && row_i64(before, 0) != WANTED);
	if (equal)
		return NULL;
	TRY(tx_run(tx, "DELETE FROM device_keys WHERE user_nid = $1", BIND(B(l->user))));
	for (size_t i = 0; i < l->n; i++)
		TRY(save_device(tx, l->user, &l->devices[i]));
	return store_remote_list_identity(tx, l->user, l->master, l->self_signing);
}

err *store_remote_list_device(struct tx *tx, int64_t user, int64_t told, const struct device_keys_row *d, size_t most)
{
	static const char count[] = "SELECT COUNT(*) FROM device_keys WHERE user_nid = $1 AND device_id <> $2";
	struct row *others;

	TRY(tx_run(tx, "UPDATE remote_lists SET told = $2 WHERE user_nid = $1", BIND(B(user), B(told))));
	if (!str_is_none(d->keys)) {
		TRY(tx_one(tx, count, BIND(B(user), B(d->device_id)), &others));
		return (size_t)row_i64(others, 0) < most ? save_device(tx, user, d) : NULL;
	}
	return tx_run(tx, "DELETE FROM device_keys WHERE user_nid = $1 AND device_id = $2",
		      BIND(B(user), B(d->device_id)));
}

err *store_remote_list_stale(struct tx *tx, int64_t user)
{
	return tx_run(tx, "UPDATE remote_lists SET stale = 1 WHERE user_nid = $1", BIND(B(user)));
}

err *store_remote_list_want(struct tx *tx, int64_t user)
{
	return tx_run(tx,
		      "INSERT INTO remote_lists (user_nid, told, at, stale) VALUES ($1, $2, 0, 1)"
		      " ON CONFLICT (user_nid) DO UPDATE SET stale = 1",
		      BIND(B(user), B((int64_t)WANTED)));
}

err *store_remote_list_unwant(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM remote_lists WHERE user_nid = $1 AND told = $2",
		      BIND(B(user), B((int64_t)WANTED)));
}

err *store_remote_lists_to_fetch(struct tx *tx, int64_t own, int64_t above, size_t limit, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT l.user_nid FROM remote_lists l WHERE l.stale = 1 AND l.user_nid > $2"
				  " AND " SHARED_NOW("l.user_nid") " ORDER BY l.user_nid LIMIT $3";

	return tx_ints(tx, sql, BIND(B(own), B(above), B((int64_t)limit)), out, out_n);
}

err *store_remote_lists_above(struct tx *tx, int64_t above, size_t limit, int64_t **out, size_t *out_n)
{
	return tx_ints(tx, "SELECT user_nid FROM remote_lists WHERE user_nid > $1 ORDER BY user_nid LIMIT $2",
		       BIND(B(above), B((int64_t)limit)), out, out_n);
}

err *store_remote_lists_forget(struct tx *tx, const int64_t *users, size_t n)
{
	const struct i64s list = { users, n };

	if (n == 0)
		return NULL;
	TRY(tx_run(tx, "DELETE FROM device_keys WHERE user_nid IN $1", BIND(B(list))));
	TRY(tx_run(tx, "DELETE FROM cross_signing_keys WHERE user_nid IN $1", BIND(B(list))));
	return tx_run(tx, "DELETE FROM remote_lists WHERE user_nid IN $1", BIND(B(list)));
}

/*
 * Ours
 */
err *store_servers_of_user(struct tx *tx, int64_t own, int64_t user, int64_t **out, size_t *out_n)
{
	static const char sql[] = "SELECT DISTINCT s.server FROM membership m JOIN room_servers s ON s.room = m.room"
				  " WHERE m.member = $2 AND m.membership = 1 AND s.members > 0 AND s.server <> $1";

	return tx_ints(tx, sql, BIND(B(own), B(user)), out, out_n);
}

err *store_lists_changed_above(struct tx *tx, int64_t above, size_t limit, struct changed_list **out, size_t *out_n)
{
	static const char sql[] =
		"SELECT \"user\", stream FROM device_lists WHERE stream > $1 ORDER BY stream LIMIT $2";
	VEC(struct changed_list) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(above), B((int64_t)limit)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct changed_list){ rows_i64(rs, 0), rows_i64(rs, 1) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_told(struct tx *tx, int64_t user, int64_t *out_stream_id, struct told_device **out, size_t *out_n)
{
	VEC(struct told_device) found = { 0 };
	struct rows *rs;
	struct row *list;

	TRY(tx_one(tx, "SELECT stream_id FROM told_lists WHERE user_nid = $1", BIND(B(user)), &list));
	TRY(tx_query(tx, "SELECT device_id, digest FROM told_devices WHERE user_nid = $1", BIND(B(user)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found, (struct told_device){ rows_str(rs, 0), rows_str(rs, 1) });
	TRY(rows_end(&rs));
	*out_stream_id = list ? row_i64(list, 0) : 0;
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_told_stream_id(struct tx *tx, int64_t user, int64_t stream_id)
{
	static const char sql[] = "INSERT INTO told_lists (user_nid, stream_id) VALUES ($1, $2)"
				  " ON CONFLICT (user_nid) DO UPDATE SET stream_id = excluded.stream_id";

	return tx_run(tx, sql, BIND(B(user), B(stream_id)));
}

err *store_told_device(struct tx *tx, int64_t user, const struct told_device *d)
{
	static const char save[] = "INSERT INTO told_devices (user_nid, device_id, digest) VALUES ($1, $2, $3)"
				   " ON CONFLICT (user_nid, device_id) DO UPDATE SET digest = excluded.digest";
	static const char forget[] = "DELETE FROM told_devices WHERE user_nid = $1 AND device_id = $2";

	if (str_is_none(d->digest))
		return tx_run(tx, forget, BIND(B(user), B(d->device_id)));
	return tx_run(tx, save, BIND(B(user), B(d->device_id), B(d->digest)));
}

err *store_told_forget(struct tx *tx, int64_t user)
{
	return tx_run(tx, "DELETE FROM told_devices WHERE user_nid = $1", BIND(B(user)));
}
