/* internal_auth_index.h - what auth_chain.c asks of the index's searches. */
#pragma once

#include "matrix/auth_chain.h"

/* Which states' chains hold what: of one resolution, for what it finds out spares it later searches. */
struct auth_search;
NODISCARD err *auth_search_begin(struct arena *a, const struct auth_index *index, const struct auth_states *s,
				 struct auth_search **out);
/* in[i]: the states known to reach event i before; afterwards all that do. (An event that is not in the index is in
 * every chain: it can be in no difference.) */
NODISCARD err *auth_search_states(struct auth_search *se, const int64_t *events, size_t n, uint64_t *in);

/* The places from which one of the events is reached, or where one stands, as far as they can be reached from one of
 * the events. */
struct auth_between;
NODISCARD err *auth_between_find(struct arena *a, const struct auth_index *index, const int64_t *events, size_t n,
				 struct auth_between **out);
/* Of vertices below the events: do they lead to one of them? */
NODISCARD err *auth_between_has(struct auth_between *b, const int64_t *events, size_t n, bool *out);
