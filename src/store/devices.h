/*
 * devices.h - rows of devices: one per login of a user. Deleting a device deletes its tokens, its keys, and
 * its signatures.
 *
 * Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/store.h"

struct device_row {
	int64_t user;
	str device_id, display_name;
	int64_t created_at, seen_at; /* seen: a few minutes late at most */
	str seen_ip, seen_agent;
};

/* A device that is there already keeps its name and is seen now: *out_added is false. */
NODISCARD err *store_device_add(struct tx *tx, const struct device_row *row, bool *out_added);
NODISCARD err *store_device_get(struct tx *tx, int64_t user, str device_id, const struct device_row **out);
/* In order of creation. */
NODISCARD err *store_devices_list(struct tx *tx, int64_t user, size_t max, struct device_row *out, size_t *out_n);
NODISCARD err *store_device_rename(struct tx *tx, int64_t user, str device_id, str display_name, bool *out_found);
NODISCARD err *store_device_seen(struct tx *tx, int64_t user, str device_id, int64_t at, str ip, str agent);
/* With all that hangs on them. out_n (or NULL): how many there were. */
NODISCARD err *store_devices_delete(struct tx *tx, int64_t user, const str *device_ids, size_t n, int64_t *out_n);
/* All but `keep` (STR_NONE: all). */
NODISCARD err *store_devices_delete_others(struct tx *tx, int64_t user, str keep, int64_t *out_n);
/* Beyond max devices, those seen longest ago go; never `keep`. */
NODISCARD err *store_devices_trim(struct tx *tx, int64_t user, int64_t max, str keep);
