/*
 * state_nodes.h - state trees at rest: nodes in rows, and the journal of each room's current root.
 *
 * A root's number is its top node's number (unique in its room; 0 is the empty state), and its hash stands in that
 * node. So a state is kept by a number alone, in events and in the journal. The node cache answers most reads without
 * SQL, and holds what is queued and not committed yet: built upon by the room's next event before the store has it.
 */
#pragma once

#include "matrix/state_tree.h"
#include "store/store.h"

/* Writing: in the transaction of the event whose state they make. */
NODISCARD err *store_nodes_save(struct tx *tx, int64_t room, const struct node_row *rows, size_t n);
/* In a piece's `late`, with its position: the room's current root from here on. */
NODISCARD err *store_room_root_save(struct tx *tx, int64_t room, int64_t stream, int64_t node);

/* Reading. The state of a number: state_root_of without a tree. ERR_INTERNAL when it is no state's. */
NODISCARD err *store_root_load(struct tx *tx, int64_t room, int64_t node, struct state_root *out);
/* The room's current root as of a stream position: of the newest change at or before it. STATE_EMPTY: the room was not
 * there yet. */
NODISCARD err *store_room_root_at(struct tx *tx, int64_t room, int64_t stream, struct state_root *out);
/* The number that the room's next node gets: for reading a room's head. 1 for a new room. */
NODISCARD err *store_next_node(struct tx *tx, int64_t room, int64_t *out);
/* All of a room, in pieces: deletes at most `limit` rows, and says whether there are more. */
NODISCARD err *store_nodes_purge_room(struct tx *tx, int64_t room, size_t limit, bool *out_more);

/*
 * The cache of one store's nodes. Any thread may ask it.
 */
struct node_cache;
/* At most about max_bytes (0: 32 MiB), what is queued not counted. */
struct node_cache *node_cache_new(struct store *st, size_t max_bytes);
void node_cache_free(struct node_cache **c);
/* The rows are queued for the store (copied): readable at once, never evicted, until their commit is known. */
void node_cache_queued(struct node_cache *c, int64_t room, const struct node_row *rows, size_t n);
/* What was queued of the room below node number `below` is committed: from now on it may be evicted. */
void node_cache_committed(struct node_cache *c, int64_t room, int64_t below);
/* Everything queued of the room is void. Nodes made later may have the same numbers. */
void node_cache_failed(struct node_cache *c, int64_t room);
/* The room's rows are gone: other nodes may get their numbers. Nobody may be reading the room. */
void node_cache_forget(struct node_cache *c, int64_t room);

/* A room's nodes: from the cache, else from the store, by the given transaction or (tx NULL) by a read of its own. One
 * thread at a time; borrowed by the tree. */
struct node_source {
	struct node_cache *cache;
	int64_t room;
	struct tx *tx;
};
/* The tree of a room to read with: for state_get and the rest. `src` must live as long. */
struct state_tree node_source_tree(struct node_source *src);
