/*
 * device_lists.h - a user's devices or identity keys have changed: who has to know.
 *
 * Everybody who shares a room with the user, and the user's own devices. A change is noted in the transaction that
 * makes it, and told after the commit. Client-Server API, "Tracking the device list for a user".
 */
#pragma once

#include "e2ee/e2ee.h"

struct bus;
struct tx;

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

/*
 * What changed for one user alone: they signed other users' master keys. They are told that those users' keys changed,
 * for only they see these signatures. In a piece's `late`; n->user is the signer; told by device_list_note_tell.
 */
NODISCARD err *device_list_signed_write(struct tx *tx, struct device_list_note *n, const int64_t *users,
					size_t n_users);

/* What a client that had everything up to `above` has to know at `upto`. */
struct device_lists_ask {
	int64_t viewer, above, upto; /* stream positions; above 0: every user who shares a room is `changed` */
	/* Rooms of the viewer in which a membership may have changed since `above`. NULL: not known, all are asked. */
	const int64_t *rooms;
	size_t n_rooms;
	bool own_same; /* it is known that the viewer's own memberships did not change */
};
/* Users, ascending, in the transaction's arena. Nobody is in both. */
struct device_lists {
	const int64_t *changed; /* devices or keys changed, or they share a room now that did not; the viewer, too */
	size_t n_changed;
	const int64_t *left; /* shared a room, and no longer do */
	size_t n_left;
};
NODISCARD err *device_lists_between(struct e2ee *e, struct tx *tx, const struct device_lists_ask *ask,
				    struct device_lists *out);
