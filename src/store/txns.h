/* txns.h - client transaction ids: what makes a PUT safe to repeat. */
#pragma once

#include "store/store.h"

/*
 * "The scope of a transaction ID is for a single device, and a single HTTP endpoint" (client-server API, "Transaction
 * identifiers"): the path up to the id is part of it. Rows hold a digest of the four.
 */
struct txn_key {
	int64_t user;
	str device_id, path, txn_id;
};
struct txn_digest {
	uint8_t bytes[16];
};
struct txn_digest store_txn_digest(const struct txn_key *k);

/* event: what it made, or 0 where it made no event. */
NODISCARD err *store_txn_save(struct tx *tx, const struct txn_digest *k, int64_t event, int64_t now);
/* Saves it unless it is there: then *out_known. Of two that come at once, one is the first. */
NODISCARD err *store_txn_claim(struct tx *tx, const struct txn_digest *k, int64_t now, bool *out_known);
NODISCARD err *store_txn_find(struct tx *tx, const struct txn_digest *k, bool *out_known, int64_t *out_event);
/* Those older than `before` (ms); at most limit, so that the writer is not held up. out_n: how many went. */
NODISCARD err *store_txns_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n);
