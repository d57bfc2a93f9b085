/*
 * receipt.h - how far users have read. Client-Server API, "Receipts", "Fully read markers".
 *
 * A receipt only ever moves on: one that names an older event than the last of its kind and thread is accepted and
 * changes nothing.
 */
#pragma once

#include "room/room.h"
#include "store/receipts.h"

struct receipt_cmd {
	struct actor by;
	str room_id, event_id;
	enum receipt_kind kind;
	str thread_id; /* STR_NONE: unthreaded; "main"; or a thread root's event id */
};
/* ERR_FORBIDDEN (not in the room), ERR_NOT_FOUND (no such event that the user may see), ERR_INVALID_PARAM (another
 * thread's event). */
NODISCARD err *room_receipt(struct rooms *rs, struct arena *a, const struct receipt_cmd *cmd);
/* Told of public ones of users of this server, once they are on disk and where they moved on: on the thread of who
 * called room_receipt, with no lock held. Not of one for an event of the user's own: sending it said as much. */
typedef void receipt_fn(void *ctx, const struct receipt_cmd *cmd, int64_t ts);
void rooms_on_receipt(struct rooms *rs, receipt_fn *fn, void *ctx); /* at start only */
/* m.fully_read: the room's account data of that type, moved on. The same errors. */
NODISCARD err *room_fully_read(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, str event_id);

/* Those that another server tells of its users (m.receipt). Each for itself: one of a user who is not that server's, or
 * not joined, in a room whose ACL forbids the server, or for an event that is not known here, is left out and counted.
 */
struct received_receipt {
	str room_id, user_id, event_id;
	str thread_id; /* STR_NONE: unthreaded */
	int64_t ts;    /* ms; 0: not told */
};
NODISCARD err *room_receipts_received(struct rooms *rs, struct arena *a, str origin,
				      const struct received_receipt *list, size_t n, size_t *out_left_out);
