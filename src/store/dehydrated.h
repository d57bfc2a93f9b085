/* dehydrated.h - which of a user's devices is the dehydrated one. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/store.h"

/* *out_device_id is STR_NONE when there is none. */
NODISCARD err *store_dehydrated(struct tx *tx, int64_t user, str *out_device_id, str *out_data);
/* The device stays, and is none any more; where it was none nothing happens. */
NODISCARD err *store_dehydrated_release(struct tx *tx, int64_t user, str device_id);
/* In place of the one before. */
NODISCARD err *store_dehydrated_save(struct tx *tx, int64_t user, str device_id, str data);
