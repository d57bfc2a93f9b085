/* internal_router.h - from a path and a method to a route: router.c. */
#pragma once

#include "http/limits.h"
#include "http/server.h"

enum group { GROUP_CLIENT, GROUP_FEDERATION, GROUP_SHARED /* by both */, GROUP_METRICS, GROUP_HEALTH };
enum method { M_GET, M_PUT, M_POST, M_DELETE, M_PATCH, METHODS, M_OTHER = METHODS };

struct router;
struct route_stats;
struct compiled { /* a route as the router keeps it */
	const struct route *route;
	enum group group;
	unsigned n_params;
	bool rest; /* the last parameter takes the rest of the path */
	str names[HTTP_MAX_PARAMS];
	struct route_stats *_Atomic stats; /* metrics.c's */
};
struct route_hit {
	struct compiled *found;      /* NULL: none */
	unsigned allowed;            /* bit per method that the path has, also when none was found */
	str params[HTTP_MAX_PARAMS]; /* as they came */
};

struct router *router_new(const struct route *const *tables); /* two routes alike are a bug: asserted */
void router_free(struct router **r);
enum method router_method(str name);
void router_find(const struct router *r, str path, enum method m, struct route_hit *out);
/* By the path alone: also for paths without a route. */
enum group router_group(str path);
