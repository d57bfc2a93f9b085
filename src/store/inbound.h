/*
 * inbound.h - what other servers sent and this one answered for: transactions, and events on their way into the rooms.
 *
 * A transaction and its events are there in one commit, before it is answered. An event goes in the commit that makes
 * it part of its room, or that drops it.
 */
#pragma once

#include "store/store.h"

struct inbound_digest { /* of (origin, transaction id) */
	uint8_t bytes[16];
};
struct inbound_digest store_inbound_digest(str origin, str txn_id);

/* The answer that was given; STR_NONE: none was. */
NODISCARD err *store_inbound_answer(struct tx *tx, const struct inbound_digest *d, str *out_answer);
/* *out_known: it was there already, nothing is changed. */
NODISCARD err *store_inbound_claim(struct tx *tx, const struct inbound_digest *d, str answer, int64_t now,
				   bool *out_known);
/* Transactions answered before `before` (ms) are forgotten, at most `limit`. */
NODISCARD err *store_inbound_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n);

struct inbound_row {
	int64_t id, room, origin, received;
	str event_id, json;
	int64_t size; /* of the JSON; store_inbound_list */
};
/* Under numbers of SEQ_MISC. */
NODISCARD err *store_inbound_stage(struct tx *tx, const struct inbound_row *rows, size_t n);
NODISCARD err *store_inbound_unstage(struct tx *tx, const int64_t *ids, size_t n);
/* Those above a number, in order, at most `limit`; their JSON stays where it is. */
NODISCARD err *store_inbound_list(struct tx *tx, int64_t above, size_t limit, struct inbound_row **out, size_t *out_n);
/* Those that are there, in order, with their JSON. */
NODISCARD err *store_inbound_read(struct tx *tx, const int64_t *ids, size_t n, struct inbound_row **out, size_t *out_n);
