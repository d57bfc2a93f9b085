/* receipts.h - read receipts, and the events that notify. Client-Server API, "Receipts". */
#pragma once

#include "store/store.h"

enum receipt_kind { RECEIPT_READ, RECEIPT_READ_PRIVATE };
/* receipt_row.thread: these, or the number of the thread's root event. */
enum receipt_thread { THREAD_NONE = -1, THREAD_MAIN = 0 };

struct receipt_row {
	int64_t room, user;
	enum receipt_kind kind;
	int64_t thread, event;
	int64_t upto;   /* the event's stream position */
	int64_t ts;     /* ms since 1970 */
	int64_t stream; /* the receipt's own */
};

/* In a piece's `late`: gives the row its position. *out_moved is false (and nothing changes) when the receipt would not
 * move on. */
NODISCARD err *store_receipt_set(struct tx *tx, struct receipt_row *row, bool *out_moved);
/* Of a room, those with above < stream <= upto that `viewer` may see (private ones only their own), oldest first. */
NODISCARD err *store_receipts_changed(struct tx *tx, int64_t room, int64_t viewer, int64_t above, int64_t upto,
				      struct receipt_row **out, size_t *out_n);
/* Of these rooms, those with any at above < stream <= upto; in no particular order. */
NODISCARD err *store_rooms_with_receipts(struct tx *tx, const int64_t *rooms, size_t n, int64_t above, int64_t upto,
					 int64_t **out, size_t *out_n);
/* A user's own, of either kind, in one room. */
NODISCARD err *store_receipts_of(struct tx *tx, int64_t room, int64_t user, struct receipt_row **out, size_t *out_n);

enum notify_flags { NOTIFY = 1, NOTIFY_HIGHLIGHT = 2 };
struct notify_row {
	int64_t room, stream, event, sender, thread;
	unsigned plain;
	str special;
};
NODISCARD err *store_notify_insert(struct tx *tx, const struct notify_row *row);
/* Each row of a room with above < stream <= upto, oldest first; the row is the callback's for the call. */
NODISCARD err *store_notify_each(struct tx *tx, int64_t room, int64_t above, int64_t upto,
				 void (*fn)(void *arg, const struct notify_row *row), void *arg);
/* A redacted event notifies nobody any more. Its row stays: that its sender had read up to it remains true. */
NODISCARD err *store_notify_silence(struct tx *tx, int64_t event);
/* What a row means to a user: a set of notify_flags, 0 for its sender. */
unsigned notify_flags_for(const struct notify_row *row, int64_t user);
/* Adds a pair to a `special` that is being made. */
struct buf;
void notify_special_add(struct buf *special, int64_t user, unsigned flags);
