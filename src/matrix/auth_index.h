/*
 * auth_index.h - an index of the graph of auth_events: who reaches whom, without walking there.
 *
 * Events under one key (type, state key), each naming the one before it in its auth_events, stand on one *line*, at
 * places 1, 2, ...: a member's history, the room's power levels. Whoever reaches a place reaches all below it on the
 * line. The other edges are *links* from a place of one line to a place of another; those are left out that follow from
 * others. So a member who came once costs a place and a link or two, and one who flipped his membership 50,000 times a
 * place each, and no more.
 *
 * Links are edges, not paths: an edge that becomes known late (of an outlier whose parent came after it) is one more
 * link, and nothing that hangs on it has to be indexed again. Circles, which peers can make in room versions 1 and 2,
 * are circles of links, and every search here visits a place once. The index knows state events alone; others are in
 * nobody's auth chain.
 *
 * auth_chain.h puts the questions. docs/internals/auth-index.md says why it is cut so, and what it costs.
 */
#pragma once

#include "base/err.h"

struct event;
struct auth_list { /* numbers of events */
	const int64_t *p;
	size_t n;
};

struct auth_place {
	int64_t line, place; /* a line's number is that of its first event. line 0: not in the index */
};
struct auth_link {
	struct auth_place from, to;
};

/*
 * Adding
 */
struct auth_parent { /* an event's edge to one of its auth_events */
	int64_t event;
	bool same_key; /* both have the same type and state key */
	bool implied;  /* another parent that is not implied reaches it */
};
struct auth_entry { /* an event to be added */
	int64_t event;
	const struct auth_parent *parents; /* those that are known */
	size_t n_parents;
	/* found out: */
	struct auth_place at;
	int64_t continues; /* the event before it on its line, which is its last no more; 0: it begins a line */
	const struct auth_link *links;
	size_t n_links;
};
/* Where a parent stands that is in the index already; `last` on its line. */
struct auth_stands {
	struct auth_place at;
	bool last;
};
/* The edges from an event to the auth_events that are given: those that are known, and were added before it. In arena
 * a. */
const struct auth_parent *auth_parents(struct arena *a, const struct event *ev, const struct event *const *auth,
				       size_t n);
/* The same from numbers: named[i] are the auth_events of auth[i], or none where that one was not added before. */
struct auth_key {
	int64_t type, key; /* key 0: not a state event */
};
const struct auth_parent *auth_parents_of(struct arena *a, struct auth_key key, const int64_t *auth, size_t n,
					  const struct auth_key *keys, const struct auth_list *named);
/* Those parents of the entries that are not among the entries: their places are asked for once. */
void auth_outside(struct arena *a, const struct auth_entry *entries, size_t n, struct auth_list *out);
/* Finds a place for each of n entries, in whatever order they come. outside[i] is where parent i of auth_outside
 * stands; one that is nowhere (line 0: a message that somebody names) is left out. */
void auth_add(struct arena *a, struct auth_entry *entries, size_t n, const struct auth_list *outside,
	      const struct auth_stands *stands);

/*
 * Asking
 */
struct auth_span { /* of a line: from <= place < below */
	int64_t line, from, below;
};
struct auth_cursor { /* how far a span was read: all zero before. The reader's own, but for `end` */
	struct auth_link last;
	bool begun, end;
};
struct auth_index {
	void *ctx;
	/* Where events stand. */
	err *(*places)(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_place *out);
	/* The key that the events of a line have. */
	err *(*keys)(void *ctx, struct arena *a, const int64_t *lines, size_t n, struct auth_key *out);
	/* Does any link end on a line? Asked for many: most lines are a member's whom nobody names. */
	err *(*named)(void *ctx, struct arena *a, const int64_t *lines, size_t n, bool *out);
	/* The next links that end within the span, about `limit`; sets at->end with the last of them. */
	err *(*above)(void *ctx, struct arena *a, struct auth_span to, size_t limit, struct auth_cursor *at,
		      const struct auth_link **out, size_t *out_n);
	/* All links that begin within the spans. */
	err *(*below)(void *ctx, struct arena *a, const struct auth_span *from, size_t n, const struct auth_link **out,
		      size_t *out_n);
};
