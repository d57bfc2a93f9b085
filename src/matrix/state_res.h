/*
 * state_res.h - state resolution: one state out of several (rooms/v1, rooms/v2, rooms/v12, "State resolution").
 *
 * Works on the differences of trees: the cost follows what is in conflict, not the size of the room (but see
 * auth_chain.h for the one question that may touch whole states). The result does not depend on the order of the
 * states. Version 1, 2 or 2.1, chosen by the room version.
 */
#pragma once

#include "matrix/auth_chain.h"
#include "matrix/event.h"
#include "matrix/state_tree.h"

/* What a resolution does on its way, for those who ask why: in this order. */
enum state_res_step {
	STATE_RES_CONFLICTED, /* an event on which the states disagree */
	STATE_RES_FULL,       /* an event of the full conflicted set (version 1: of a key with several events) */
	STATE_RES_POWER,      /* version 2: taken by the first pass (reverse topological power ordering) */
	STATE_RES_MAINLINE,   /* version 2: taken by the second pass (mainline ordering) */
	STATE_RES_LEVELS,     /* version 1: taken by the pass over m.room.power_levels */
	STATE_RES_RULES,      /* version 1: by that over m.room.join_rules */
	STATE_RES_MEMBERS,    /* version 1: by that over m.room.member */
	STATE_RES_OTHERS,     /* version 1: by the last one */
};
struct state_res_note {
	enum state_res_step step;
	const struct event *event;
	const err *refusal; /* by the authorisation rules; NULL: allowed, or not a pass */
};

struct state_res_io {
	void *ctx;
	/* The event of a number, with `nid` set, and `rejected` where it was. Every event in a state, and every event
	 * of its auth chain, must be there: ERR_INTERNAL where one is not. Must stay readable for the arena's life;
	 * asked again for the same number rarely. */
	err *(*event)(void *ctx, struct arena *a, int64_t nid, const struct event **out);
	/* Or NULL. Said before `event` is asked for them one by one: so that a store reads them in one query. */
	err *(*will_need)(void *ctx, struct arena *a, const int64_t *nids, size_t n);
	/* The number of a type, state key (0: the text never had one, so nothing can be under it). */
	err *(*number)(void *ctx, str text, int64_t *out);
	/* Or NULL: nobody asks why. */
	void (*note)(void *ctx, const struct state_res_note *note);
	struct auth_graph auth; /* has its own ctx */
};

enum { STATE_RES_MAX_ROOTS = 64, STATE_RES_MAX_LOSSES = 32 };

/* A membership, the power levels or the join rules of some state, which the authorisation rules refused on the way and
 * which the result does not hold. */
struct state_res_loss {
	int64_t type, key;
	int64_t lost;  /* the event */
	int64_t held;  /* what the result has in its place; 0: nothing */
	int64_t cause; /* the event that made it impossible and that the state with the lost event had not seen (a ban,
			* other power levels); 0: there is none, the state was reset to something older */
};
/* What came out, beside the root: for the state-reset guard and for metrics. */
struct state_res_facts {
	size_t conflicted; /* keys on which the states disagree */
	size_t full;       /* events in the full conflicted set */
	size_t refused;    /* of them, refused by the authorisation rules on the way */
	size_t lost;       /* how many losses there are; the first STATE_RES_MAX_LOSSES of them, by number: */
	const struct state_res_loss *losses; /* in arena a */
	size_t n_losses;
};

/* Resolves n states (at least 1) of one room. New nodes go to the builder, through which *out can be read and in which
 * it waits to be sealed; when the result is one of the states, it is that very root. Temporary memory is taken from
 * `a`. `facts` may be NULL: then losses are not looked for. */
NODISCARD err *state_resolve(struct arena *a, const struct room_version *rv, struct state_builder *b,
			     const struct state_root *roots, size_t n, const struct state_res_io *io,
			     struct state_root *out, struct state_res_facts *facts);
