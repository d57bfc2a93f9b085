/* internal_state_res.h - one resolution at work: shared by its files. */
#pragma once

#include "base/map.h"
#include "matrix/auth.h"
#include "matrix/power_levels.h"
#include "matrix/state_res.h"

/* An event of the full conflicted set. */
struct res_item {
	const struct event *ev;
	int64_t type, key;
	struct auth_list auth; /* its auth_events */
	bool chosen;           /* in step 1: a power event, or one that a power event depends on */
	int64_t power;         /* of the sender, by the event's own auth_events */
	size_t mainline;       /* position + 1; SIZE_MAX: none */
	size_t waits_for;      /* Kahn: its auth_events that were not given out yet */
	VEC(struct res_item *) next;
};
struct res_items {
	struct res_item **p;
	size_t n, cap;
};

struct res {
	struct arena *a;
	const struct room_version *rv;
	const struct state_res_io *io;
	const struct state_tree *tree;
	const struct state_root *roots;
	size_t n_roots;
	struct map conflicts; /* (type, key) -> struct res_conflict */
	struct map events;    /* number -> struct event: every event asked for so far */
	struct map items;     /* number -> struct res_item */
	struct map resolved;  /* (type, key) -> struct res_slot: what the checks have put into the state */
	struct res_items full;
	const struct event *create;
	struct state_res_facts facts;
};
struct res_slot {
	int64_t key[2];
	const struct event *ev;
};

/* Every event is asked for once. */
NODISCARD err *res_event(struct res *r, int64_t nid, const struct event **out);
/* Of a list of auth_events, the one under a key; NULL: there is none. */
NODISCARD err *res_among(struct res *r, const struct auth_list *auth, str type, str state_key,
			 const struct event **out);
/* The event under a key in the state as resolved so far; NULL: none. */
NODISCARD err *res_current(struct res *r, str type, str state_key, const struct event **out);

/* state_res_order.c: the two orderings; both sort in place. */
NODISCARD err *res_sort_by_power(struct res *r, struct res_items *items);
NODISCARD err *res_sort_by_mainline(struct res *r, struct res_items *items);
