/* device_lists.c - the newest change of each user's devices and keys. */
#include "store/device_lists.h"

#include "store/tx.h"

err *store_device_list_changed(struct tx *tx, int64_t user, int64_t position)
{
	static const char sql[] = "INSERT INTO device_lists (\"user\", stream) VALUES ($1, $2)"
				  " ON CONFLICT (\"user\") DO UPDATE SET stream = excluded.stream";

	return tx_run(tx, sql, BIND(B(user), B(position)));
}
