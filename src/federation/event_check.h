/*
 * event_check.h - events as another server gave them: parsed, of this room, well signed.
 *
 * "Checks performed on receipt of a PDU", 1 to 3, for many at a time: their keys are fetched together, their signatures
 * verified on all cores. Whether the room allows them is asked elsewhere.
 */
#pragma once

#include "federation/key_ring.h"
#include "matrix/event.h"

struct pool;
struct checked_event {
	const struct json *json; /* set by the caller */
	struct event *event;     /* NULL: dropped, `error` says why. hash_failed: it is the redacted copy */
	str event_id;            /* also of one that was dropped, where it has the form of an event; else STR_NONE */
	err *error;
};
/* room_id STR_NONE: any room; pool NULL: this thread alone. Each has its own outcome; ERR_BAD_JSON, ERR_TOO_LARGE,
 * ERR_FORBIDDEN (signature), ERR_INVALID_PARAM (another room), ERR_CONNECTION_FAILED (a key could not be had). */
void events_check(struct key_ring *k, struct pool *pool, struct arena *a, const struct room_version *rv, str room_id,
		  struct checked_event *evs, size_t n, int64_t deadline_us);
/* Is there one among them, just checked, whose key could not be had (CHECK_NO_KEY)? With more time it may be. */
bool events_lack_keys(const struct checked_event *evs, size_t n);
