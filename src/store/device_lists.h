/*
 * device_lists.h - when users' devices and identity keys last changed.
 *
 * One row a user, with the position of the newest change: a reader that is bounded below it is told later.
 */
#pragma once

#include "store/store.h"

/* In a piece's `late`. now: ms since 1970. */
NODISCARD err *store_device_list_changed(struct tx *tx, int64_t user, int64_t position, int64_t now);
/* The newest change of each of the users; no row of who never changed. */
struct device_list_row {
	int64_t user, stream;
};
NODISCARD err *store_device_list_streams(struct tx *tx, const int64_t *users, size_t n, struct device_list_row **out,
					 size_t *out_n);
/* Of one viewer: these users' signatures by the viewer are others now. */
NODISCARD err *store_device_lists_signed(struct tx *tx, int64_t viewer, const int64_t *users, size_t n,
					 int64_t position);

/* Numbers of users, in the transaction's arena, in no order; the same one may stand twice. */
struct user_list {
	int64_t *p;
	size_t n;
};
/*
 * Sharing a room is both being joined. Rows are the newest, also where they are newer than `upto`: a membership that
 * began above a position did not exist at it, as far as these functions know.
 */
/* Users who share a room with the viewer at `upto`, and the viewer, whose list changed in (above, upto]; and users whom
 * the viewer signed in it. */
NODISCARD err *store_device_lists_changed(struct tx *tx, int64_t viewer, int64_t above, int64_t upto,
					  struct user_list *out);
/* The viewer's memberships that changed above a position. */
struct own_move {
	int64_t room;
	bool joined;
	int64_t since;
	int64_t began, ended; /* of the last join that ended; 0: none did */
};
NODISCARD err *store_own_moves(struct tx *tx, int64_t viewer, int64_t above, struct own_move **out, size_t *out_n);
/* Others who came into the viewer's rooms (joined, invited, knocking), or left after a join, in (above, upto]. rooms:
 * only these (NULL: all). */
NODISCARD err *store_moves(struct tx *tx, int64_t viewer, const int64_t *rooms, size_t n_rooms, int64_t above,
			   int64_t upto, struct user_list *came, struct user_list *went);
/* Everybody who is joined to one of the rooms. */
NODISCARD err *store_joined_to(struct tx *tx, const int64_t *rooms, size_t n, struct user_list *out);
/* Who was joined to the room at `until`, or left it in (above, until]. Of somebody's joins that ended only the last is
 * known. */
NODISCARD err *store_joined_until(struct tx *tx, int64_t room, int64_t above, int64_t until, struct user_list *out);
/* Of `users`, those who share a room with the viewer, both since `by` or before; ascending. */
NODISCARD err *store_sharing(struct tx *tx, int64_t viewer, struct user_list users, int64_t by, struct user_list *out);

/*
 * Who cannot have heard of whose change yet, of those who are joined to an encrypted room with the user. A client has
 * heard of nothing above its position; where that is not known, of nothing that changed after it was last there.
 */
struct unheard_row {
	int64_t user, changed; /* changed: ms since 1970 */
};
/* Others, whose list changed above a position, or after a time: the newest first. */
NODISCARD err *store_lists_unheard(struct tx *tx, int64_t user, int64_t above, int64_t after, size_t limit,
				   struct unheard_row **out, size_t *out_n);
struct unaware_row {
	int64_t user, devices; /* devices: with keys, that cannot have heard of the user's newest change */
	int64_t active;        /* of these: were there since */
	int64_t changed;       /* the user's list: ms since 1970 */
};
/* Others, by their devices; those with the most first. slack: ms that the time when a device was last seen may be late.
 */
NODISCARD err *store_devices_unaware(struct tx *tx, int64_t user, int64_t slack, size_t limit, struct unaware_row **out,
				     size_t *out_n);
