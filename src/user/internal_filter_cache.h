/* internal_filter_cache.h - parsed filters by their text: clients send or name the same one with every poll. */
#pragma once

#include "matrix/filter.h"

/* Of a filter's text: more than any client's has. */
extern const struct json_limits filter_limits;

struct filter_cache; /* the least recently used go first; safe from any thread */

struct filter_cache *filter_cache_new(size_t max_filters);
void filter_cache_free(struct filter_cache **c);
/* The filter that the text is (STR_NONE: the open one), in the arena. Errors as filter_parse and json_parse. */
NODISCARD err *filter_cache_parse(struct filter_cache *c, struct arena *a, str text, struct filter *out);
/* How many texts had to be parsed so far. */
uint64_t filter_cache_parses(struct filter_cache *c);
