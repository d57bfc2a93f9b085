/*
 * device_keys.h - the keys that devices publish: identity keys, one-time keys, fallback keys.
 *
 * Keys are JSON, spliced into answers as they are. Whatever writes here runs in shard 0, one writer for all keys, so
 * that what is read and written in one piece is of one moment. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/store.h"

struct device_keys_row {
	int64_t user;
	str device_id, keys;
	str display_name; /* STR_NONE: none was set */
};
/* Those of all devices of the users, in no order; or, with device ids, only of devices that are called so. */
NODISCARD err *store_device_keys(struct tx *tx, const int64_t *users, size_t n, const str *device_ids, size_t n_ids,
				 struct device_keys_row **out, size_t *out_n);
NODISCARD err *store_device_keys_get(struct tx *tx, int64_t user, str device_id, str *out); /* STR_NONE: none */
/* False in *out_saved: there is no such device (any more). */
NODISCARD err *store_device_keys_save(struct tx *tx, int64_t user, str device_id, str keys, bool *out_saved);

struct one_time_key_row {
	str algorithm, key_id, key;
};
/* Those of the device that have one of these ids, of any algorithm. */
NODISCARD err *store_one_time_keys_find(struct tx *tx, int64_t user, str device_id, const str *key_ids, size_t n,
					struct one_time_key_row **out, size_t *out_n);
/* `place` orders uploads. Fewer in *out_added than there are: no such device (any more), or one is there already. */
NODISCARD err *store_one_time_keys_add(struct tx *tx, int64_t user, str device_id, int64_t place,
				       const struct one_time_key_row *rows, size_t n, size_t *out_added);
/* One key is asked for. */
struct key_taking {
	int64_t user;
	str device_id, algorithm;
	str key_id, key; /* set to what is given; STR_NONE before */
	bool first;      /* set: a fallback key that was not used before */
};
/* Takes keys of the oldest uploads for good. No algorithm of a device may be asked for twice. Two statements. ERR_BUSY:
 * somebody else took one of them meanwhile. */
NODISCARD err *store_one_time_keys_take(struct tx *tx, struct key_taking *list, size_t n);

/* Each replaces its algorithm's, as unused; the same key again stays as it is. One of each algorithm at most. */
NODISCARD err *store_fallback_keys_save(struct tx *tx, int64_t user, str device_id, const struct one_time_key_row *rows,
					size_t n, size_t *out_changed);
/* Gives fallback keys to those to whom none was given yet, and marks them as used. */
NODISCARD err *store_fallback_keys_use(struct tx *tx, struct key_taking *list, size_t n);

/* By algorithm: how many one-time keys are left, and whether a fallback key is there that was not used. */
struct key_count_row {
	str algorithm;
	int64_t one_time;
	bool unused_fallback, has_fallback;
};
NODISCARD err *store_key_counts(struct tx *tx, int64_t user, str device_id, struct key_count_row **out, size_t *out_n);

/* Users of this server who are joined or invited to encrypted rooms that the user is in, and have no device with keys;
 * those with the most such rooms first. */
struct keyless_member {
	int64_t user, rooms;
};
NODISCARD err *store_members_without_keys(struct tx *tx, int64_t user, size_t limit, struct keyless_member **out,
					  size_t *out_n);
