/*
 * key_upload.h - POST /keys/upload: a device publishes its identity keys, one-time keys and fallback keys.
 *
 * The body is read and checked first, then written in one piece: all of it or nothing. e2ee_keys_upload does both; the
 * parts are for who writes more in the same piece.
 */
#pragma once

#include "e2ee/device_lists.h"
#include "e2ee/one_time_keys.h"
#include "json/json.h"

enum {
	ONE_TIME_KEYS_MAX = 500,  /* of one algorithm, unclaimed, of one device */
	ONE_TIME_KEYS_ALL = 1000, /* of all algorithms */
	KEY_ALGORITHMS_MAX = 16,  /* of one device's one-time and fallback keys */
	KEY_ID_MAX = 255,         /* bytes of "<algorithm>:<key_id>" */
	ONE_TIME_KEY_MAX = 8192,  /* bytes of one key's JSON */
};

struct key_object;
struct one_time_key_row;
struct key_upload {
	/* set by the caller */
	int64_t user;
	str user_id, device_id; /* whose token it is: "Must match the user ID used when logging in." */
	/* set by key_upload_read, in arena a */
	struct arena *a;
	const struct key_object *device_keys; /* NULL: none */
	struct one_time_key_row *one_time, *fallback;
	size_t n_one_time, n_fallback;
	int64_t place; /* of the one-time keys, among uploads */
	/* set by each run */
	struct device_list_note note;
	int64_t position; /* where the counts changed */
	bool keys_changed, counts_changed;
	size_t added; /* keys that were not there before */
	struct key_counts counts;
};

/* One key by its name in the body: ERR_BAD_JSON, ERR_TOO_LARGE. */
NODISCARD err *one_time_key_read(struct arena *a, str id, const struct json *value, struct one_time_key_row *out);
/* ERR_BAD_JSON, ERR_TOO_LARGE. Reads only `device_keys`, `one_time_keys` and `fallback_keys` of the body. */
NODISCARD err *key_upload_read(struct e2ee *e, struct arena *a, const struct json *body, struct key_upload *u);
/* store_fn, in shard 0. ERR_UNKNOWN: a one-time key's id was uploaded with another key. ERR_TOO_MANY_KEYS.
 * ERR_UNKNOWN_TOKEN: the device is gone. */
NODISCARD err *key_upload_run(struct tx *tx, void *key_upload);
NODISCARD err *key_upload_late(struct tx *tx, void *key_upload);
/* After the commit. */
void key_upload_tell(struct e2ee *e, const struct key_upload *u);

/* All of it; u->counts is the answer. */
NODISCARD err *e2ee_keys_upload(struct e2ee *e, struct arena *a, const struct json *body, struct key_upload *u);
