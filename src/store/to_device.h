/*
 * to_device.h - rows of messages that wait for devices.
 *
 * User, device and position name a row. A content that several devices get stands once; it goes with the last row that
 * refers to it. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/tx.h"

/* What the messages of one request have in common. */
struct to_device_head {
	int64_t stream, created, sender; /* created: ms since 1970 */
	str type;
};
/* For each place of the lists one device; those that do not exist are passed over. contents, or shared: ids of contents
 * that were stored before. *out_n: rows made. */
NODISCARD err *store_to_device_add(struct tx *tx, const struct to_device_head *head, struct i64s users,
				   struct strs device_ids, struct i64s sizes, struct strs contents, int64_t *out_n);
NODISCARD err *store_to_device_add_shared(struct tx *tx, const struct to_device_head *head, struct i64s users,
					  struct strs device_ids, struct i64s sizes, struct i64s shared,
					  int64_t *out_n);
NODISCARD err *store_to_device_share(struct tx *tx, struct i64s ids, struct strs contents);
/* Those of the contents to which no row refers go. */
NODISCARD err *store_to_device_unshare(struct tx *tx, struct i64s ids);

/* The devices that these users have now. */
struct to_device_target {
	int64_t user;
	str device_id;
};
NODISCARD err *store_to_device_targets(struct tx *tx, struct i64s users, struct to_device_target **out, size_t *out_n);

struct to_device_row {
	int64_t stream, created, sender, size;
	str type, content; /* STR_NONE where only sizes were asked for */
};
/* Of one device, above < stream <= upto, oldest first, at most limit. */
NODISCARD err *store_to_device_read(struct tx *tx, int64_t user, str device_id, int64_t above, int64_t upto,
				    size_t limit, struct to_device_row **out, size_t *out_n);
/* The oldest of a device, without what they say; of one sender (0: of all). */
NODISCARD err *store_to_device_oldest(struct tx *tx, int64_t user, str device_id, int64_t sender, size_t limit,
				      struct to_device_row **out, size_t *out_n);

struct to_device_sum {
	int64_t n, bytes;
	int64_t first_stream, first_created; /* 0: none */
};
NODISCARD err *store_to_device_sum(struct tx *tx, int64_t user, str device_id, struct to_device_sum *out);
/* Whose messages wait there, in no order. */
struct to_device_from {
	int64_t sender, n, bytes;
};
NODISCARD err *store_to_device_senders(struct tx *tx, int64_t user, str device_id, struct to_device_from **out,
				       size_t *out_n);
/* The first queue behind that of (user, device); *out is NULL when there is none. */
NODISCARD err *store_to_device_next_queue(struct tx *tx, int64_t user, str device_id,
					  const struct to_device_target **out);

/* Those with stream <= upto; of one sender (0: of all). *out_n: how many. */
NODISCARD err *store_to_device_delete(struct tx *tx, int64_t user, str device_id, int64_t sender, int64_t upto,
				      int64_t *out_n);
/* That so many were dropped before the device had them; how many were so far, and when the last (0: none). */
NODISCARD err *store_to_device_lose(struct tx *tx, int64_t user, str device_id, int64_t n, int64_t now);
NODISCARD err *store_to_device_lost(struct tx *tx, int64_t user, str device_id, int64_t *out_n, int64_t *out_last);
/* For store/devices.c: runs a DELETE of to_device that ends in TO_DEVICE_RETURNING. */
#define TO_DEVICE_RETURNING " RETURNING shared"
NODISCARD err *store_to_device_delete_by(struct tx *tx, const char *sql, const struct bind *b, size_t n,
					 int64_t *out_n);
