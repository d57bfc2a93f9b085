/*
 * state_tree.h - the state of a room as a persistent tree: (type, state_key) -> event, all of them the store's numbers.
 *
 * A state is a `struct state_root`; nothing is ever changed in place. A builder makes new states out of old ones and
 * turns what is new into rows for the store. Nodes are read through a callback, so that they may come from the store, a
 * cache, or the queue of what is not committed yet. Node numbers are sequential in a room, from 1; 0 is the empty
 * state. How it is laid out, and why, stands in state_tree.c and docs/internals/state-tree.md.
 */
#pragma once

#include "base/err.h"

/* Keyed hash of the contents, as a sum modulo 2^128 over the entries: equal contents, equal hash, whatever led there.
 */
struct state_hash {
	uint64_t hi, lo;
};
struct state_root {
	int64_t node; /* the room's number of the top node; 0: empty. Below 0: in a builder, not sealed yet */
	struct state_hash hash;
};
#define STATE_EMPTY ((struct state_root){ 0 })
/* Same contents? (Of one room: numbers of two rooms do not compare.) */
static inline bool state_same(struct state_root x, struct state_root y)
{
	return x.hash.hi == y.hash.hi && x.hash.lo == y.hash.lo;
}

struct state_entry {
	int64_t type, key, event;
};

/* Bits of a placement hash that a level uses. Another number is another format: only tests/bench/store/state_bench.c is
 * built with some. */
#ifndef STATE_FAN_BITS
#define STATE_FAN_BITS 3
#endif
enum { STATE_FAN = 1 << STATE_FAN_BITS, STATE_LEVELS = 63 / STATE_FAN_BITS };
#if STATE_FAN_BITS <= 3
typedef uint8_t state_slots; /* a set of slots */
#elif STATE_FAN_BITS == 4
typedef uint16_t state_slots;
#else
typedef uint32_t state_slots;
#endif
/*
 * A node as it is in memory. There are tries of two kinds, of the same form: one of types, whose leaves are (type, top
 * node of that type's trie), and one a type, whose leaves are (state key, event). A slot holds nothing, a node's
 * number, or a leaf. At the deepest level, where the placement hash has no bits left, a node is a list of leaves
 * instead.
 */
struct state_leaf {
	int64_t id, value; /* in a trie of types as fetched: by how much the type's top node is below this one */
};
struct state_node {
	state_slots kids, leaves; /* bit i: slot i is in use */
	union {
		int64_t kid;
		struct state_leaf leaf;
	} slot[STATE_FAN];
	struct state_leaf *list; /* in the arena given to the callback; else NULL */
	size_t n_list;
	bool is_root; /* the top of a state, whose hash stands in it */
	struct state_hash hash;
};

/* One row of the store: the nodes first .. first + n - 1. */
struct node_row {
	int64_t first;
	size_t n;
	str bytes;
};
/* How many nodes a row holds; 0: damaged. */
size_t node_row_count(str bytes);
/* The bytes of node `id` in a row that begins with node `first`; STR_NONE: not in it, or damaged. */
str node_row_find(str bytes, int64_t first, int64_t id);
/* All nodes of a row in order; of those that a purge took out there is an empty text. */
struct node_iter {
	str lengths, nodes;
	size_t left;
	bool bad; /* damaged: what comes is not known */
};
struct node_iter node_iter(str bytes);
bool node_iter_next(struct node_iter *it, str *out);
/* A node out of its bytes. ERR_INTERNAL: damaged (STR_NONE is). */
NODISCARD err *state_node_parse(struct arena *a, str bytes, int64_t id, struct state_node *out);

/* Where the nodes of one room come from. */
struct state_tree {
	const uint8_t *key; /* 16 bytes: store_tree_key. The same for the whole life of a database */
	err *(*node)(void *ctx, struct arena *a, int64_t id, struct state_node *out);
	void *ctx;
	const struct state_builder *builder; /* or NULL: where nodes below 0 are */
	unsigned levels; /* 0: STATE_LEVELS. Less only in tests of what happens at the deepest level */
};

/* The state whose number this is: what is kept of a root is its number, the hash stands in the node. ERR_INTERNAL: that
 * is no state's top node. 0 gives the empty state. */
NODISCARD err *state_root_of(const struct state_tree *t, struct arena *a, int64_t node, struct state_root *out);

/* The event under a key; 0 when there is none. */
NODISCARD err *state_get(const struct state_tree *t, struct arena *a, struct state_root root, int64_t type, int64_t key,
			 int64_t *out_event);

/* Which entries are meant; the nodes of others are not read. All zero: every entry. */
struct state_pick {
	int64_t only; /* this type, or 0 */
	int64_t but;  /* not this type, or 0 */
};
/* Called for each entry, in no particular (but always the same) order; an error ends the walk. */
typedef err *state_each_fn(void *arg, const struct state_entry *e);
NODISCARD err *state_each(const struct state_tree *t, struct arena *a, struct state_root root, struct state_pick pick,
			  state_each_fn *fn, void *arg);
/* Called for each key that differs: `old` in `from` and `now` in `to`, 0 where it is absent. Costs what differs. */
typedef err *state_diff_fn(void *arg, int64_t type, int64_t key, int64_t old, int64_t now);
NODISCARD err *state_diff(const struct state_tree *t, struct arena *a, struct state_root from, struct state_root to,
			  struct state_pick pick, state_diff_fn *fn, void *arg);

/*
 * Building. New nodes live in the builder (and have numbers below 0) until they are sealed; states made in one builder
 * share them, and may be read through builder->tree. The builder and all it gives out live in its arena.
 *
 *	struct state_builder b;
 *	state_builder_init(&b, arena, &tree);
 *	TRY(state_set(&b, before, type, key, event, &after));
 *	state_seal(&b, &after, 1, &room->next_node);      b.rows, b.n_rows: queue them with the event
 */
struct state_builder {
	struct state_tree tree; /* reads both old and new nodes */
	struct arena *a;
	VEC(struct state_node *) fresh; /* node -1 - i */
	const struct node_row *rows;    /* after state_seal */
	size_t n_rows;
	bool sealed;
};
void state_builder_init(struct state_builder *b, struct arena *a, const struct state_tree *t);

/* event 0 removes the key. Setting what is there already gives the same root. */
NODISCARD err *state_set(struct state_builder *b, struct state_root from, int64_t type, int64_t key, int64_t event,
			 struct state_root *out);
/* Many at once, in one pass from the leaves up (for a key given twice the last one counts):
 * for whole states, built as a difference from the nearest known one. Entries with event 0 are removed. */
NODISCARD err *state_apply(struct state_builder *b, struct state_root from, const struct state_entry *changes, size_t n,
			   struct state_root *out);
/* Numbers the new nodes that `roots` need, from *next_node on (which is raised), writes them into rows and sets
 * roots[i].node. Intermediate nodes that no root needs are dropped. The builder cannot be built with afterwards. */
void state_seal(struct state_builder *b, struct state_root *roots, size_t n, int64_t *next_node);

/* The multiset hash of a single entry; sums. state_apply keeps root.hash by them; for checks. */
struct state_hash state_entry_hash(const uint8_t key[16], const struct state_entry *e);
struct state_hash state_hash_add(struct state_hash x, struct state_hash y);
struct state_hash state_hash_sub(struct state_hash x, struct state_hash y);
/* 16 bytes, as stored. */
void state_hash_bytes(struct state_hash h, uint8_t out[16]);
struct state_hash state_hash_from(const uint8_t bytes[16]);
