/*
 * auth_chain.h - walking the graph of auth_events.
 *
 * Events are the store's numbers, edges come by callback. What state resolution asks: which events are in the auth
 * chains of some, but not all, states ("auth difference"), and which lie between conflicted events ("conflicted state
 * subgraph"). rooms/v2 and rooms/v12, "State resolution", "Definitions".
 */
#pragma once

#include "matrix/auth_index.h"

struct auth_graph {
	void *ctx;
	/* The auth_events of each of n events, into out[0..n), lists in arena a. (Whether the create event stands in
	 * the lists of room version 12 makes no difference.) Asked for many at once so that a store answers in one
	 * query; never twice for the same event within one call of this file. */
	err *(*auth_events)(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out);
	/* Or NULL: then chains are walked, and whole states where that has to be. */
	const struct auth_index *index;
};

/* An event that is in some states only; bit i of `in`: in state i. At most 64 states. */
struct auth_start {
	int64_t event;
	uint64_t in;
};
struct auth_states {
	const struct auth_start *starts;
	size_t n_starts, n_states;
	/* Is the event one that all states have under its key? */
	err *(*is_common)(void *ctx, int64_t event, bool *out);
	/* All those events, into *out in arena a. Called only when an event below the starts may be in all chains. */
	err *(*common)(void *ctx, struct arena *a, struct auth_list *out);
	/* With an index this is asked, and the two above are not: what each state has under a key, 0 for nothing, into
	 * out[0..n_states). */
	err *(*at)(void *ctx, int64_t type, int64_t key, int64_t *out);
	void *ctx;
};
/* "the auth difference is the union of the C_i without their intersection", where C_i holds the events of state i and
 * everything reachable from them. Given without the starts themselves, in no particular order. */
NODISCARD err *auth_difference(struct arena *a, const struct auth_graph *g, const struct auth_states *s,
			       struct auth_list *out);

/* "The union of all such paths between any pair of events in the conflicted state set (including endpoints)": the
 * events given, and what lies between them. */
NODISCARD err *auth_subgraph(struct arena *a, const struct auth_graph *g, const int64_t *events, size_t n,
			     struct auth_list *out);

/* Everything reachable from the events, without those of them that no other reaches. */
NODISCARD err *auth_chain(struct arena *a, const struct auth_graph *g, const int64_t *events, size_t n,
			  struct auth_list *out);
