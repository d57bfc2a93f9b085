/* internal_user_cache.h - texts of users kept in memory: filters and push rules that are asked for all the time. */
#pragma once

#include "base/str.h"

struct user_cache; /* (user, number) > text, the least recently used go first; safe from any thread */
struct arena;

struct user_cache *user_cache_new(size_t max_bytes);
void user_cache_free(struct user_cache **c);
/* True when known, and for less than max_age_ms (0: for however long); *out is STR_NONE where "there is none" is what
 * is known. Copied into the arena. False: read the store and fill, with the epoch given here. */
bool user_cache_get(struct user_cache *c, struct arena *a, int64_t user, int64_t number, int64_t max_age_ms, str *out,
		    uint64_t *out_epoch);
/* Believed only when nothing was dropped since the epoch: what was read may be older than the drop. */
void user_cache_fill(struct user_cache *c, int64_t user, int64_t number, str text, uint64_t epoch);
/* After the commit of a change. */
void user_cache_drop(struct user_cache *c, int64_t user, int64_t number);
