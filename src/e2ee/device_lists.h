/*
 * device_lists.h - a user's devices or identity keys have changed: who has to know.
 *
 * Everybody who shares a room with the user, and the user's own devices. A change is noted in the transaction that
 * makes it, and told after the commit. Client-Server API, "Tracking the device list for a user".
 */
#pragma once

#include "store/store.h"

struct bus;

struct device_list_note {
	int64_t user;    /* set by the caller */
	struct arena *a; /* set by the caller; holds the rooms until `tell` */
	int64_t position;
	int64_t *rooms; /* that the user is joined to */
	size_t n_rooms;
};
/* In a piece's `late`, at each of its runs. */
NODISCARD err *device_list_note_write(struct tx *tx, struct device_list_note *n);
/* In its `after`, when the commit was good. */
void device_list_note_tell(struct bus *bus, const struct device_list_note *n);
