/*
 * key_changes.h - GET /keys/changes: whose keys changed since a token of /sync. Client-Server API, "Tracking the device
 * list for a user".
 */
#pragma once

#include "sync/sync.h"

struct key_changes {
	const str *changed, *left; /* user ids */
	size_t n_changed, n_left;
};
/* From the token until now: `to` is "a hint to check its caches are up to date", and what comes with it or later is
 * told at once. ERR_INVALID_PARAM: a token that is none. */
NODISCARD err *sync_key_changes(struct syncs *ss, struct arena *a, int64_t user, str from, str to,
				struct key_changes *out);
