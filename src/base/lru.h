/*
 * lru.h - a table that forgets what was used longest ago.
 *
 * Entries are found by text or by number, as in a map; each has a cost, in whatever unit the owner counts (bytes, or
 * 1), and while all together cost more than `max` the least recently used go. The newest stays even where it is too
 * costly alone. An entry is a struct of the owner's that begins with a `struct lru_node`; the table owns it once it is
 * put. Nothing here locks: a table is used under its owner's lock. What must not go while somebody holds it (a room, a
 * watch) is no entry of such a table.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"

struct lru_node {
	struct list order;
	str key; /* STR_NONE: it is found by number */
	int64_t number;
	size_t cost;
};
struct lru {
	struct map map;
	struct list order; /* the most recently used first */
	size_t cost, max;
	void (*gone)(struct lru *l, void *entry);
};

/* gone: ends an entry that has left the table, which it must not touch; NULL: its memory is all there is to free. */
void lru_init(struct lru *l, size_t max, void (*gone)(struct lru *l, void *entry));
void lru_done(struct lru *l);
/* The entry, which counts as used now; NULL: there is none. */
void *lru_get(struct lru *l, str key);
void *lru_get_i(struct lru *l, int64_t number);
void lru_use(struct lru *l, void *entry); /* of the table, found by another way: it counts as used now */
/* Puts an entry in, in place of one under the same key, and drops what is too much. key: borrowed, it lives in the
 * entry. */
void lru_put(struct lru *l, str key, void *entry, size_t cost);
void lru_put_i(struct lru *l, int64_t number, void *entry, size_t cost);
/* The entry, the one that was used last, costs as much now: others may go for it. */
void lru_set_cost(struct lru *l, void *entry, size_t cost);
void lru_drop(struct lru *l, void *entry); /* an entry of the table; NULL: nothing */
