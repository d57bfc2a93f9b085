/*
 * dehydrated.h - a device without a client, which receives keys of rooms while the user is logged in nowhere (MSC3814).
 *
 * It has its keys from the start, is claimed from and sent to like any device, is shown among the user's devices, and
 * has no access token. What it holds is encrypted by a client; another one wakes it up, and reads its messages.
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

enum {
	DEHYDRATED_DATA_MAX = 256 << 10, /* bytes */
	DEHYDRATED_EVENTS_MAX = 100,     /* at once */
};

struct dehydrated_cmd {
	int64_t user;
	str user_id, device_id;
	str display_name;        /* STR_NONE: none */
	str data;                /* JSON */
	const struct json *keys; /* what /keys/upload takes; device_keys must be in it */
};
/*
 * In place of the one before, which goes with its keys and messages in the same commit. ERR_INVALID_PARAM: a device of
 * the user that is none has this id. ERR_FORBIDDEN: a cross-signing key is called so.
 */
NODISCARD err *dehydrated_put(struct e2ee *e, struct arena *a, const struct dehydrated_cmd *cmd);
/* *out_device_id is STR_NONE when there is none; data is JSON. */
NODISCARD err *dehydrated_get(struct e2ee *e, struct arena *a, int64_t user, str *out_device_id, str *out_data);
/* The same: STR_NONE when there was none. */
NODISCARD err *dehydrated_delete(struct e2ee *e, struct arena *a, int64_t user, str *out_device_id);

struct dehydrated_event {
	str sender, type, content; /* content: JSON */
};
struct dehydrated_events {
	const struct dehydrated_event *p;
	size_t n;
	str next_batch;
	bool limited; /* more wait */
};
/*
 * Up to limit messages from the token on (STR_NONE: from the first). Nothing is deleted: a client that wakes the
 * device up and fails can begin again. ERR_FORBIDDEN: it is not the dehydrated device. ERR_INVALID_PARAM: no token.
 */
NODISCARD err *dehydrated_events(struct e2ee *e, struct arena *a, int64_t user, str device_id, str from, size_t limit,
				 struct dehydrated_events *out);
