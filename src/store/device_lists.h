/*
 * device_lists.h - when users' devices and identity keys last changed.
 *
 * One row a user, with the position of the newest change: a reader that is bounded below it is told later.
 */
#pragma once

#include "store/store.h"

/* In a piece's `late`. */
NODISCARD err *store_device_list_changed(struct tx *tx, int64_t user, int64_t position);
