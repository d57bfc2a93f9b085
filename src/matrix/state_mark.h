/*
 * state_mark.h - which nodes of a room's trees are alive, and rows without the dead ones: what a purge asks of the
 * library.
 *
 * Marks are made in one pass over the room's rows, from the highest number to the lowest: parents are numbered after
 * their children, so that whoever refers to a node was seen before it. It costs one read a row and two bits a node,
 * however many roots share them. docs/internals/purge.md says what else belongs to a purge.
 */
#pragma once

#include "matrix/state_tree.h"

struct state_marks {
	int64_t below;          /* marks are kept for the nodes 1 .. below - 1; others are left alone */
	uint64_t *types, *keys; /* bitmaps: alive in a trie of types, or of state keys */
	int64_t marked, met;    /* nodes; of these, how many were found in a row */
};
void state_marks_init(struct state_marks *m, int64_t below);
void state_marks_done(struct state_marks *m);
/* The state of this number stays. All of them before the first row. Numbers outside of 1 .. below - 1 are left alone.
 */
void state_mark_root(struct state_marks *m, int64_t node);
/* The next row downwards. `entry` (or NULL) is told each event that a node alive refers to, some more than once.
 * ERR_INTERNAL: damaged. */
NODISCARD err *state_mark_row(struct state_marks *m, struct arena *a, const struct node_row *row,
			      void (*entry)(void *ctx, int64_t event), void *ctx);
bool state_marked(const struct state_marks *m, int64_t node);

/*
 * Rows without dead nodes: neighbours (by rising number) are put together as far as a row may go. What does not change
 * is in neither list. The numbers of the nodes stay what they are.
 */
struct state_packed {
	const int64_t *gone; /* rows to be deleted, by their first node: before `rows` are written */
	size_t n_gone;
	const struct node_row *rows;
	size_t n_rows;
};
NODISCARD err *state_pack(const struct state_marks *m, struct arena *a, const struct node_row *rows, size_t n,
			  struct state_packed *out);

/* Does the hash of the state agree with its contents, summed up anew? Reads all of it. */
NODISCARD err *state_check_hash(const struct state_tree *t, struct arena *a, struct state_root root, bool *out_good);
