/* internal_state.h - what the files of the state tree share: reading nodes, placing leaves, the bytes of a node. */
#pragma once

#include "base/buf.h"
#include "matrix/state_tree.h"

/* Rows of a whole state are cut here: a read of one node reads its row. */
enum { STATE_ROW_NODES = 64, STATE_ROW_BYTES = 2000 };

/* What hangs in a slot: nothing, one leaf, or a node (and then there are two leaves below it or more, but for a top).
 */
struct state_sub {
	enum { SUB_NONE, SUB_LEAF, SUB_NODE } kind;
	int64_t node;
	struct state_leaf leaf;
};

/* `types`: is it a node of the trie of types? Its leaves' values then come out as node numbers. */
NODISCARD err *state_node_read(const struct state_tree *t, struct arena *a, bool types, int64_t id,
			       struct state_node *out);
/* The top node of a type's trie; 0: the state has none of the type. */
NODISCARD err *state_type_top(const struct state_tree *t, struct arena *a, struct state_root root, int64_t type,
			      int64_t *out);
struct state_sub state_node_sub(const struct state_node *n, unsigned slot);
static inline struct state_sub state_sub_top(int64_t node)
{
	return (struct state_sub){ .kind = node ? SUB_NODE : SUB_NONE, .node = node };
}
static inline unsigned state_levels(const struct state_tree *t) { return t->levels ? t->levels : STATE_LEVELS; }

/* Where a leaf goes: STATE_FAN_BITS a level, from the top, so that sorting by place is sorting by path. */
uint64_t state_place_type(const uint8_t key[16], int64_t type);
uint64_t state_place_key(const uint8_t key[16], int64_t type, int64_t state_key);
static inline unsigned state_slot(uint64_t place, unsigned level)
{
	return (unsigned)(place >> (64 - STATE_FAN_BITS * (level + 1))) & (STATE_FAN - 1);
}

/* Writes a node whose references have their final numbers (all below `id`). */
void state_node_write(struct buf *b, bool types, int64_t id, const struct state_node *n);
void state_varint(struct buf *b, uint64_t v);
