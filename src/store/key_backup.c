/* key_backup.c - versions of key backups, their rooms and keys, and the sweeping of what was given up. */
#include "store/key_backup.h"

#include <assert.h>

err *store_key_backup(struct tx *tx, int64_t user, int64_t version, const struct key_backup_row **out)
{
	static const char sql[] =
		"SELECT version, backup, etag, keys, slots, algorithm, auth_data,"
		" (SELECT SUM(keys) FROM key_backups WHERE \"user\" = $1),"
		" (SELECT COUNT(*) FROM key_backups WHERE \"user\" = $1), bytes,"
		" (SELECT SUM(bytes) FROM key_backups WHERE \"user\" = $1)"
		" FROM key_backups WHERE \"user\" = $1 AND (version = $2 OR $2 = 0) ORDER BY version DESC LIMIT 1";
	struct key_backup_row *row;
	struct row *r;

	TRY(tx_one(tx, sql, BIND(B(user), B(version)), &r));
	*out = NULL;
	if (!r)
		return NULL;
	row = ARENA_NEW(tx_arena(tx), struct key_backup_row);
	*row = (struct key_backup_row){
		.version = row_i64(r, 0),
		.backup = row_i64(r, 1),
		.etag = row_i64(r, 2),
		.keys = row_i64(r, 3),
		.slots = row_i64(r, 4),
		.algorithm = row_str(r, 5),
		.auth_data = row_str(r, 6),
		.all_keys = row_i64(r, 7),
		.all_versions = row_i64(r, 8),
		.bytes = row_i64(r, 9),
		.all_bytes = row_i64(r, 10),
	};
	*out = row;
	return NULL;
}

err *store_key_backup_last(struct tx *tx, int64_t user, int64_t *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT last_version FROM key_backup_users WHERE \"user\" = $1", BIND(B(user)), &r));
	*out = r ? row_i64(r, 0) : 0;
	return NULL;
}

err *store_key_backup_add(struct tx *tx, int64_t user, int64_t backup, str algorithm, str auth_data,
			  int64_t *out_version)
{
	static const char count[] =
		"INSERT INTO key_backup_users (\"user\", last_version) VALUES ($1, 1)"
		" ON CONFLICT (\"user\") DO UPDATE SET last_version = key_backup_users.last_version + 1";
	static const char add[] = "INSERT INTO key_backups"
				  " (\"user\", version, backup, algorithm, auth_data, etag, keys, bytes, slots)"
				  " VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0)";
	int64_t version;

	TRY(tx_run(tx, count, BIND(B(user))));
	TRY(store_key_backup_last(tx, user, &version));
	TRY(tx_run(tx, add, BIND(B(user), B(version), B(backup), B(algorithm), B(auth_data))));
	*out_version = version;
	return NULL;
}

err *store_key_backup_set_auth_data(struct tx *tx, int64_t user, int64_t version, str auth_data)
{
	return tx_run(tx, "UPDATE key_backups SET auth_data = $3 WHERE \"user\" = $1 AND version = $2",
		      BIND(B(user), B(version), B(auth_data)));
}

err *store_key_backup_set(struct tx *tx, int64_t user, const struct key_backup_row *row)
{
	static const char sql[] = "UPDATE key_backups SET backup = $3, etag = $4, keys = $5, slots = $6, bytes = $7"
				  " WHERE \"user\" = $1 AND version = $2";

	return tx_run(tx, sql,
		      BIND(B(user), B(row->version), B(row->backup), B(row->etag), B(row->keys), B(row->slots),
			   B(row->bytes)));
}

err *store_key_backup_delete(struct tx *tx, int64_t user, const struct key_backup_row *row)
{
	TRY(tx_run(tx, "DELETE FROM key_backups WHERE \"user\" = $1 AND version = $2", BIND(B(user), B(row->version))));
	return store_key_backup_give_up(tx, row->backup, 0);
}

err *store_key_backups_delete(struct tx *tx, int64_t user)
{
	static const char give_up[] = "INSERT INTO key_backup_swept (backup, slot)"
				      " SELECT backup, 0 FROM key_backups WHERE \"user\" = $1";

	TRY(tx_run(tx, give_up, BIND(B(user))));
	return tx_run(tx, "DELETE FROM key_backups WHERE \"user\" = $1", BIND(B(user)));
}

err *store_key_backup_give_up(struct tx *tx, int64_t backup, int64_t slot)
{
	return tx_run(tx, "INSERT INTO key_backup_swept (backup, slot) VALUES ($1, $2)", BIND(B(backup), B(slot)));
}

/*
 * Rooms
 */
err *store_key_backup_rooms(struct tx *tx, int64_t backup, struct strs rooms, struct key_backup_room_row **out,
			    size_t *out_n)
{
	static const char sql[] =
		"SELECT slot, keys, room, bytes FROM key_backup_rooms WHERE backup = $1 AND room IN $2";
	VEC(struct key_backup_room_row) found = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(backup), B(rooms)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct key_backup_room_row){ .slot = rows_i64(rs, 0),
						       .keys = rows_i64(rs, 1),
						       .room = rows_str(rs, 2),
						       .bytes = rows_i64(rs, 3) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_key_backup_rooms_save(struct tx *tx, int64_t backup, const struct key_backup_room_row *rows, size_t n)
{
	static const char sql[] =
		"INSERT INTO key_backup_rooms (backup, slot, room, keys, bytes)"
		" SELECT $1, zip.c1, zip.c2, zip.c3, zip.c4 FROM ZIP ($2, $3, $4, $5) WHERE true"
		" ON CONFLICT (backup, slot) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes";
	struct arena *a = tx_arena(tx);
	int64_t *slots = ARENA_ARRAY(a, int64_t, n), *keys = ARENA_ARRAY(a, int64_t, n);
	int64_t *bytes = ARENA_ARRAY(a, int64_t, n);
	str *rooms = ARENA_ARRAY(a, str, n);

	for (size_t i = 0; i < n; i++) {
		slots[i] = rows[i].slot;
		keys[i] = rows[i].keys;
		bytes[i] = rows[i].bytes;
		rooms[i] = rows[i].room;
	}
	return tx_run(tx, sql,
		      BIND(B(backup), B(((struct i64s){ slots, n })), B(((struct strs){ rooms, n })),
			   B(((struct i64s){ keys, n })), B(((struct i64s){ bytes, n }))));
}

err *store_key_backup_room_delete(struct tx *tx, int64_t backup, int64_t slot)
{
	return tx_run(tx, "DELETE FROM key_backup_rooms WHERE backup = $1 AND slot = $2", BIND(B(backup), B(slot)));
}

/*
 * Keys
 */
struct columns {
	struct i64s slots, indexes, counts, verified;
	struct strs sessions, data;
};

static struct columns columns_of(struct arena *a, const struct key_backup_key_row *keys, size_t n)
{
	int64_t *numbers = ARENA_ARRAY(a, int64_t, 4 * n);
	str *texts = ARENA_ARRAY(a, str, 2 * n);

	for (size_t i = 0; i < n; i++) {
		numbers[i] = keys[i].slot;
		numbers[n + i] = keys[i].first_message_index;
		numbers[2 * n + i] = keys[i].forwarded_count;
		numbers[3 * n + i] = keys[i].is_verified;
		texts[i] = keys[i].session;
		texts[n + i] = keys[i].session_data;
	}
	return (struct columns){
		.slots = { numbers, n },
		.indexes = { numbers + n, n },
		.counts = { numbers + 2 * n, n },
		.verified = { numbers + 3 * n, n },
		.sessions = { texts, n },
		.data = { texts + n, n },
	};
}

err *store_key_backup_keys_find(struct tx *tx, int64_t backup, const struct key_backup_key_row *keys, size_t n,
				struct key_backup_found_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT zip.c3, k.first_message_index, k.forwarded_count, k.is_verified,"
				  " LENGTH(k.session_data) FROM ZIP ($2, $3, $4) CROSS JOIN key_backup_keys k"
				  " WHERE k.backup = $1 AND k.slot = zip.c1 AND k.session = zip.c2";
	const struct columns c = columns_of(tx_arena(tx), keys, n);
	int64_t *places = ARENA_ARRAY(tx_arena(tx), int64_t, n);
	VEC(struct key_backup_found_row) found = { 0 };
	struct rows *rs;

	for (size_t i = 0; i < n; i++)
		places[i] = (int64_t)i;
	TRY(tx_query(tx, sql, BIND(B(backup), B(c.slots), B(c.sessions), B(((struct i64s){ places, n }))), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &found,
			 (struct key_backup_found_row){ .place = rows_i64(rs, 0),
							.first_message_index = rows_i64(rs, 1),
							.forwarded_count = rows_i64(rs, 2),
							.is_verified = rows_i64(rs, 3) != 0,
							.bytes = rows_i64(rs, 4) });
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_key_backup_keys_save(struct tx *tx, int64_t backup, const struct key_backup_key_row *keys, size_t n)
{
	static const char sql[] =
		"INSERT INTO key_backup_keys"
		" (backup, slot, session, first_message_index, forwarded_count, is_verified, session_data)"
		" SELECT $1, zip.c1, zip.c2, zip.c3, zip.c4, zip.c5, zip.c6 FROM ZIP ($2, $3, $4, $5, $6, $7) WHERE true"
		" ON CONFLICT (backup, slot, session) DO UPDATE SET first_message_index = excluded.first_message_index,"
		" forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified,"
		" session_data = excluded.session_data";
	const struct columns c = columns_of(tx_arena(tx), keys, n);

	return tx_run(tx, sql,
		      BIND(B(backup), B(c.slots), B(c.sessions), B(c.indexes), B(c.counts), B(c.verified), B(c.data)));
}

err *store_key_backup_key_delete(struct tx *tx, int64_t backup, int64_t slot, str session, int64_t *out_bytes)
{
	static const char size[] = "SELECT LENGTH(session_data) FROM key_backup_keys"
				   " WHERE backup = $1 AND slot = $2 AND session = $3";
	static const char sql[] = "DELETE FROM key_backup_keys WHERE backup = $1 AND slot = $2 AND session = $3";
	struct row *r;

	TRY(tx_one(tx, size, BIND(B(backup), B(slot), B(session)), &r));
	*out_bytes = r ? row_i64(r, 0) : -1;
	return r ? tx_run(tx, sql, BIND(B(backup), B(slot), B(session))) : NULL;
}

#define KEY_COLUMNS "k.slot, k.session, k.first_message_index, k.forwarded_count, k.is_verified, k.session_data"

/* Until there are max_bytes of session_data. */
static err *read_keys(struct tx *tx, const char *sql, const struct bind *b, size_t n_binds, size_t max_bytes,
		      struct key_backup_key_row **out, size_t *out_n)
{
	VEC(struct key_backup_key_row) found = { 0 };
	struct rows *rs;
	size_t bytes = 0;

	TRY(tx_query(tx, sql, b, n_binds, &rs));
	while (bytes < max_bytes && rows_next(rs)) {
		vec_push(tx_arena(tx), &found,
			 (struct key_backup_key_row){
				 .slot = rows_i64(rs, 0),
				 .session = rows_str(rs, 1),
				 .first_message_index = rows_i64(rs, 2),
				 .forwarded_count = rows_i64(rs, 3),
				 .is_verified = rows_i64(rs, 4) != 0,
				 .session_data = rows_str(rs, 5),
				 .room = rows_str(rs, 6),
			 });
		bytes += found.p[found.n - 1].session_data.n;
	}
	TRY(rows_end(&rs));
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

err *store_key_backup_key(struct tx *tx, int64_t backup, int64_t slot, str session,
			  const struct key_backup_key_row **out)
{
	static const char sql[] = "SELECT " KEY_COLUMNS ", NULL FROM key_backup_keys k"
				  " WHERE backup = $1 AND slot = $2 AND session = $3";
	struct key_backup_key_row *row;
	size_t n;

	TRY(read_keys(tx, sql, BIND(B(backup), B(slot), B(session)), 1, &row, &n));
	*out = n ? row : NULL;
	return NULL;
}

err *store_key_backup_page(struct tx *tx, int64_t backup, int64_t only, int64_t slot, str session, size_t max,
			   size_t max_bytes, struct key_backup_key_row **out, size_t *out_n)
{
	/* Keys of a room that was given up have no room, and are not seen. CROSS: from the keys to their rooms, never
	 * the other way, which would begin at the first room for every page. */
	static const char all[] =
		"SELECT " KEY_COLUMNS ", r.room FROM key_backup_keys k"
		" CROSS JOIN key_backup_rooms r"
		" WHERE r.backup = k.backup AND r.slot = k.slot AND k.backup = $1 AND (k.slot, k.session) > ($2, $3) ORDER BY k.slot, k.session LIMIT $4";
	static const char one[] = "SELECT " KEY_COLUMNS ", NULL FROM key_backup_keys k"
				  " WHERE backup = $1 AND slot = $2 AND session > $3 ORDER BY session LIMIT $4";

	assert(only == 0 || slot <= only);
	if (only && slot < only) {
		slot = only;
		session = S("");
	}
	return read_keys(tx, only ? one : all, BIND(B(backup), B(slot), B(session), B((int64_t)max)), max_bytes, out,
			 out_n);
}

/*
 * Sweeping
 */
static err *sweep_one(struct tx *tx, int64_t backup, int64_t slot, int64_t max)
{
	static const char keys[] = "DELETE FROM key_backup_keys WHERE backup = $1 AND (slot, session) IN"
				   " (SELECT slot, session FROM key_backup_keys"
				   " WHERE backup = $1 AND slot >= $2 AND slot <= $3 ORDER BY slot, session LIMIT $4)";
	static const char rooms[] =
		"DELETE FROM key_backup_rooms WHERE backup = $1 AND slot IN"
		" (SELECT slot FROM key_backup_rooms WHERE backup = $1 AND slot >= $2 AND slot <= $3"
		" ORDER BY slot LIMIT $4)";
	const int64_t last = slot ? slot : INT64_MAX;
	int64_t changed;

	TRY(tx_run_count(tx, keys, BIND(B(backup), B(slot), B(last), B(max)), &changed));
	if (changed == max)
		return NULL;
	max -= changed;
	TRY(tx_run_count(tx, rooms, BIND(B(backup), B(slot), B(last), B(max)), &changed));
	if (changed == max)
		return NULL;
	return tx_run(tx, "DELETE FROM key_backup_swept WHERE backup = $1 AND slot = $2", BIND(B(backup), B(slot)));
}

err *store_key_backup_sweep(struct tx *tx, int64_t max, bool *out_more)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT backup, slot FROM key_backup_swept LIMIT 1", NO_BIND, &r));
	*out_more = r != NULL;
	return r ? sweep_one(tx, row_i64(r, 0), row_i64(r, 1), max) : NULL;
}
