/*
 * devices.c - devices.
 *
 * Every deletion goes through delete_where below, so that what hangs on a device is deleted in one place.
 */
#include "store/devices.h"

#include "store/cross_signing.h"
#include "store/to_device.h"
#include "store/tx.h"

#define DEVICE_COLUMNS "user_nid, device_id, display_name, created_at, seen_at, seen_ip, seen_agent"

err *store_device_add(struct tx *tx, const struct device_row *row, bool *out_added)
{
	static const char sql[] = "INSERT INTO devices (" DEVICE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7)"
				  " ON CONFLICT (user_nid, device_id) DO NOTHING";
	int64_t changed;

	TRY(tx_run_count(tx, sql,
			 BIND(B(row->user), B(row->device_id), B(row->display_name), B(row->created_at),
			      B(row->seen_at), B(row->seen_ip), B(row->seen_agent)),
			 &changed));
	*out_added = changed == 1;
	if (*out_added)
		return NULL;
	return store_device_seen(tx, row->user, row->device_id, row->seen_at, row->seen_ip, row->seen_agent);
}

static err *devices_read(struct tx *tx, const char *sql, const struct bind *b, size_t n, size_t max,
			 struct device_row *out, size_t *out_n)
{
	struct rows *rs = NULL;
	size_t got = 0;

	TRY(tx_query(tx, sql, b, n, &rs));
	while (rows_next(rs)) {
		if (got == max)
			continue;
		out[got++] = (struct device_row){
			.user = rows_i64(rs, 0),
			.device_id = rows_str(rs, 1),
			.display_name = rows_str(rs, 2),
			.created_at = rows_i64(rs, 3),
			.seen_at = rows_i64(rs, 4),
			.seen_ip = rows_str(rs, 5),
			.seen_agent = rows_str(rs, 6),
		};
	}
	TRY(rows_end(&rs));
	*out_n = got;
	return NULL;
}

err *store_device_get(struct tx *tx, int64_t user, str device_id, const struct device_row **out)
{
	static const char sql[] = "SELECT " DEVICE_COLUMNS " FROM devices WHERE user_nid = $1 AND device_id = $2";
	struct device_row *row = ARENA_NEW(tx_arena(tx), struct device_row);
	size_t got;

	TRY(devices_read(tx, sql, BIND(B(user), B(device_id)), 1, row, &got));
	*out = got ? row : NULL;
	return NULL;
}

err *store_devices_list(struct tx *tx, int64_t user, size_t max, struct device_row *out, size_t *out_n)
{
	static const char sql[] =
		"SELECT " DEVICE_COLUMNS " FROM devices WHERE user_nid = $1 ORDER BY created_at, device_id LIMIT $2";

	return devices_read(tx, sql, BIND(B(user), B((int64_t)max)), max, out, out_n);
}

err *store_device_rename(struct tx *tx, int64_t user, str device_id, str display_name, bool *out_found)
{
	static const char sql[] = "UPDATE devices SET display_name = $3 WHERE user_nid = $1 AND device_id = $2";
	static const char shown[] = "UPDATE device_keys SET display_name = $3 WHERE user_nid = $1 AND device_id = $2";
	int64_t changed;

	TRY(tx_run_count(tx, sql, BIND(B(user), B(device_id), B(display_name)), &changed));
	*out_found = changed == 1;
	return tx_run(tx, shown, BIND(B(user), B(device_id), B(display_name)));
}

err *store_device_seen(struct tx *tx, int64_t user, str device_id, int64_t at, str ip, str agent)
{
	static const char sql[] = "UPDATE devices SET seen_at = $3, seen_ip = $4, seen_agent = COALESCE($5, seen_agent)"
				  " WHERE user_nid = $1 AND device_id = $2";

	return tx_run(tx, sql, BIND(B(user), B(device_id), B(at), B(ip), B(agent)));
}

/* `cond` speaks of user_nid = $1 and device_id. */
#define DELETE_WHERE(tx, out_n, cond, ...)                                                                             \
	do {                                                                                                           \
		TRY(store_to_device_delete_by((tx), "DELETE FROM to_device WHERE " cond TO_DEVICE_RETURNING,           \
					      BIND(__VA_ARGS__), NULL));                                               \
		TRY(tx_run((tx), "DELETE FROM access_tokens WHERE " cond, BIND(__VA_ARGS__)));                         \
		TRY(tx_run((tx), "DELETE FROM refresh_tokens WHERE " cond, BIND(__VA_ARGS__)));                        \
		TRY(tx_run((tx), "DELETE FROM to_device_lost WHERE " cond, BIND(__VA_ARGS__)));                        \
		TRY(tx_run((tx), "DELETE FROM dehydrated_devices WHERE " cond, BIND(__VA_ARGS__)));                    \
		TRY(tx_run((tx), "DELETE FROM device_keys WHERE " cond, BIND(__VA_ARGS__)));                           \
		TRY(tx_run((tx), "DELETE FROM one_time_keys WHERE " cond, BIND(__VA_ARGS__)));                         \
		TRY(tx_run((tx), "DELETE FROM fallback_keys WHERE " cond, BIND(__VA_ARGS__)));                         \
		TRY(tx_run_count((tx), "DELETE FROM devices WHERE " cond, BIND(__VA_ARGS__), (out_n)));                \
	} while (0)

err *store_devices_delete(struct tx *tx, int64_t user, const str *device_ids, size_t n, int64_t *out_n)
{
	const struct strs ids = { device_ids, n };

	DELETE_WHERE(tx, out_n, "user_nid = $1 AND device_id IN $2", B(user), B(ids));
	return store_cross_signing_forget_devices(tx, user);
}

err *store_devices_delete_others(struct tx *tx, int64_t user, str keep, int64_t *out_n)
{
	if (str_is_none(keep))
		DELETE_WHERE(tx, out_n, "user_nid = $1", B(user));
	else
		DELETE_WHERE(tx, out_n, "user_nid = $1 AND device_id <> $2", B(user), B(keep));
	return store_cross_signing_forget_devices(tx, user);
}

err *store_devices_trim(struct tx *tx, int64_t user, int64_t max, str keep)
{
	static const char sql[] = "SELECT " DEVICE_COLUMNS " FROM devices WHERE user_nid = $1 AND device_id <> $2"
				  " ORDER BY seen_at DESC, device_id LIMIT $4 OFFSET $3";
	enum { AT_ONCE = 16 };
	struct device_row old[AT_ONCE];
	str ids[AT_ONCE];
	size_t n;

	TRY(devices_read(tx, sql, BIND(B(user), B(keep), B(max - 1), B((int64_t)AT_ONCE)), AT_ONCE, old, &n));
	for (size_t i = 0; i < n; i++)
		ids[i] = old[i].device_id;
	return n ? store_devices_delete(tx, user, ids, n, NULL) : NULL;
}
