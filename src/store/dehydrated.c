#include "store/dehydrated.h"

#include "store/tx.h"

err *store_dehydrated(struct tx *tx, int64_t user, str *out_device_id, str *out_data)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT device_id, data FROM dehydrated_devices WHERE user_nid = $1", BIND(B(user)), &r));
	*out_device_id = r ? row_str(r, 0) : STR_NONE;
	*out_data = r ? row_str(r, 1) : STR_NONE;
	return NULL;
}

err *store_dehydrated_save(struct tx *tx, int64_t user, str device_id, str data)
{
	static const char sql[] =
		"INSERT INTO dehydrated_devices (user_nid, device_id, data) VALUES ($1, $2, $3)"
		" ON CONFLICT (user_nid) DO UPDATE SET device_id = excluded.device_id, data = excluded.data";

	return tx_run(tx, sql, BIND(B(user), B(device_id), B(data)));
}

err *store_dehydrated_release(struct tx *tx, int64_t user, str device_id)
{
	return tx_run(tx, "DELETE FROM dehydrated_devices WHERE user_nid = $1 AND device_id = $2",
		      BIND(B(user), B(device_id)));
}
