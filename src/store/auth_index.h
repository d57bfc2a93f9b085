/*
 * auth_index.h - the index of auth chains at rest (matrix/auth_index.h; docs/internals/auth-index.md).
 *
 * Every stored state event has a place, also outliers and rejected ones: written in the transaction of its row.
 */
#pragma once

#include "matrix/auth_index.h"
#include "store/store.h"

/* Finds places for new events and writes them. Of their parents, those that are not stored are left out:
 * store_auth_wait. */
NODISCARD err *store_auth_add(struct tx *tx, struct auth_entry *entries, size_t n);

/* An event names one that is not stored, at `slot` of its auth_events (where its row has 0). */
NODISCARD err *store_auth_wait(struct tx *tx, str event_id, int64_t event, size_t slot);
/* Parents that were waited for and are stored by now: their numbers get into the rows that name them, and the edges
 * into the index. Of these ids, or (n == 0) of all; at most `limit` edges. */
NODISCARD err *store_auth_late(struct tx *tx, const str *event_ids, size_t n, size_t limit, bool *out_more);
/* The rest of it, in pieces, without waiting for them. */
void store_auth_catch_up(struct store *st);

/* Asking: what struct auth_index wants, of what is stored. */
NODISCARD err *store_auth_places(struct tx *tx, const int64_t *events, size_t n, struct auth_place *out);
NODISCARD err *store_auth_keys(struct tx *tx, const int64_t *lines, size_t n, struct auth_key *out);
NODISCARD err *store_auth_named(struct tx *tx, const int64_t *lines, size_t n, bool *out);
NODISCARD err *store_auth_above(struct tx *tx, struct auth_span to, size_t limit, struct auth_cursor *at,
				const struct auth_link **out, size_t *out_n);
NODISCARD err *store_auth_below(struct tx *tx, const struct auth_span *from, size_t n, const struct auth_link **out,
				size_t *out_n);

/* Forgets events that are purged. None that stays reaches them: so of a line it is the upper part, or all. What is left
 * of a line keeps its places; who follows begins a new one. */
NODISCARD err *store_auth_forget(struct tx *tx, const int64_t *events, size_t n);
