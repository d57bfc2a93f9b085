/*
 * remote_lists.h - lists of devices between servers: which of other servers' users we are kept told about, and what we
 * told them of ours.
 *
 * The keys themselves are rows of store/device_keys.h and store/cross_signing.h, whosever they are. Written in shard 0,
 * as those. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/cross_signing.h"
#include "store/device_keys.h"

/* Users of other servers, as they stand to us. `own` is this server's interned name. */
struct remote_list_row {
	int64_t user;
	int64_t told; /* below 0: their list is not here */
	bool kept;    /* it is, and nothing was missed: a room has been shared since before it was fetched */
	bool shares;  /* a room, now */
};
/* One for each of `users`, which rise. */
NODISCARD err *store_remote_lists(struct tx *tx, int64_t own, const int64_t *users, size_t n,
				  struct remote_list_row *out);
/* Do two rows of one device say the same of it? */
bool device_keys_same(const struct device_keys_row *x, const struct device_keys_row *y);
/* A whole list, in place of what there was. keys.user_signing is not used. *out_changed: it says something else
 * than what there was, or there was none, of which nobody knows what it last said; not of one that
 * store_remote_list_want asked for: then it was told already. */
struct remote_list {
	int64_t user, told, at;
	bool stale; /* it changed while it was fetched */
	const struct device_keys_row *devices;
	size_t n;
	str master, self_signing; /* STR_NONE: none */
};
NODISCARD err *store_remote_list_replace(struct tx *tx, const struct remote_list *l, bool *out_changed);
/* One device of a list that is here; keys STR_NONE: it is gone, or has none. Beyond `most` devices none is added. */
NODISCARD err *store_remote_list_device(struct tx *tx, int64_t user, int64_t told, const struct device_keys_row *d,
					size_t most);
NODISCARD err *store_remote_list_identity(struct tx *tx, int64_t user, str master, str self_signing);
NODISCARD err *store_remote_list_stale(struct tx *tx, int64_t user);
/* A list that is not here, or no longer good, is to be fetched; it is not, if it was never here. */
NODISCARD err *store_remote_list_want(struct tx *tx, int64_t user);
NODISCARD err *store_remote_list_unwant(struct tx *tx, int64_t user);
/* Users above a number whose list must be fetched again and who share a room with us, at most limit, by number. */
NODISCARD err *store_remote_lists_to_fetch(struct tx *tx, int64_t own, int64_t above, size_t limit, int64_t **out,
					   size_t *out_n);
/* Users above a number, at most limit, by number; all that is here of them, who are other servers', goes. */
NODISCARD err *store_remote_lists_above(struct tx *tx, int64_t above, size_t limit, int64_t **out, size_t *out_n);
NODISCARD err *store_remote_lists_forget(struct tx *tx, const int64_t *users, size_t n);

/*
 * Ours
 */
/* Other servers that share a room with the user. */
NODISCARD err *store_servers_of_user(struct tx *tx, int64_t own, int64_t user, int64_t **out, size_t *out_n);
/* Of these, whose lists changed above a position, at most limit, by position. */
struct changed_list {
	int64_t user, stream;
};
NODISCARD err *store_lists_changed_above(struct tx *tx, int64_t above, size_t limit, struct changed_list **out,
					 size_t *out_n);
struct told_device {
	str device_id, digest;
};
NODISCARD err *store_told(struct tx *tx, int64_t user, int64_t *out_stream_id, struct told_device **out, size_t *out_n);
NODISCARD err *store_told_stream_id(struct tx *tx, int64_t user, int64_t stream_id);
NODISCARD err *store_told_device(struct tx *tx, int64_t user, const struct told_device *d); /* digest STR_NONE: gone */
/* Nobody is told any more: the next one is told everything. */
NODISCARD err *store_told_forget(struct tx *tx, int64_t user);
