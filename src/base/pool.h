/*
 * pool.h - work on an array, spread over cores.
 *
 * For pure work that is the same for each item and that the caller waits for: signatures of many events. Whoever calls
 * works along with the pool's threads, so that a pool without threads is a loop.
 */
#pragma once

#include <stddef.h>

struct pool;
/* `threads` beside the callers' own; 0 is fine. */
struct pool *pool_new(size_t threads);
/* When nobody is in pool_each. NULL and a NULL pool are fine; *p is NULL afterwards. */
void pool_free(struct pool **p);

/* Items from..to-1 of the array that ctx knows. */
typedef void pool_fn(void *ctx, size_t from, size_t to);
/*
 * Calls fn for slices of at most `slice` items until all n were given out, each once, on any of the threads, and
 * returns when all are done: what fn wrote is then seen here. Several callers at a time share the threads. Not with a
 * lock held: this waits (asserted). fn may not call pool_each.
 */
void pool_each(struct pool *p, size_t n, size_t slice, pool_fn *fn, void *ctx);
