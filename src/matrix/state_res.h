/*
 * state_res.h - state resolution: one state out of several (rooms/v2, rooms/v12, "State resolution").
 *
 * Works on the differences of trees: the cost follows what is in conflict, not the size of the room (but see
 * auth_chain.h for the one question that may touch whole states). The result does not depend on the order of the
 * states. Version 2 and 2.1, chosen by the room version.
 */
#pragma once

#include "matrix/auth_chain.h"
#include "matrix/event.h"
#include "matrix/state_tree.h"

struct state_res_io {
	void *ctx;
	/* The event of a number, with `nid` set, and `rejected` where it was. Every event in a state, and every event of
	 * its auth chain, must be there: ERR_INTERNAL where one is not. Must stay readable for the arena's life; asked
	 * again for the same number rarely. */
	err *(*event)(void *ctx, struct arena *a, int64_t nid, const struct event **out);
	/* Or NULL. Said before `event` is asked for them one by one: so that a store reads them in one query. */
	err *(*will_need)(void *ctx, struct arena *a, const int64_t *nids, size_t n);
	/* The number of a type, state key (0: the text never had one, so nothing can be under it). */
	err *(*number)(void *ctx, str text, int64_t *out);
	struct auth_graph auth; /* has its own ctx */
};

enum { STATE_RES_MAX_ROOTS = 64 };
/* What came out, beside the root: for the state-reset guard and for metrics. */
struct state_res_facts {
	size_t conflicted; /* keys on which the states disagree */
	size_t full;       /* events in the full conflicted set */
	size_t refused;    /* of them, refused by the authorisation rules on the way */
};

/* Resolves n states (at least 1) of one room. New nodes go to the builder, through which *out can be read and in which it
 * waits to be sealed; when the result is one of the states, it is that very root. Temporary memory is taken from `a`.
 * `facts` may be NULL. */
NODISCARD err *state_resolve(struct arena *a, const struct room_version *rv, struct state_builder *b,
			     const struct state_root *roots, size_t n, const struct state_res_io *io,
			     struct state_root *out, struct state_res_facts *facts);
