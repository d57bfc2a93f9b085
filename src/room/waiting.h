/*
 * waiting.h - threads that wait for somebody outside: so many at most in all, and so many because of one name.
 *
 * Whoever can make us wait can try to make all threads of a lane wait. The table is small, and its places can be shared
 * out: who has places of his own is not kept out by others.
 */
#pragma once

#include "base/str.h"
#include "base/thread.h"

enum { WAITING_PLACES = 24 };

struct waiting {
	struct lock lock;
	str names[WAITING_PLACES]; /* borrowed from who waits; STR_NONE: free */
};
struct waiting_bounds {
	size_t from, to; /* places [from, to) are for such as these */
	size_t of_one;   /* of them, for one name */
};
void waiting_init(struct waiting *w);
void waiting_done(struct waiting *w);
/* False: none is left for that name. `name` lives until waiting_end. */
bool waiting_begin(struct waiting *w, const struct waiting_bounds *b, str name, size_t *out_place);
void waiting_end(struct waiting *w, size_t place);
