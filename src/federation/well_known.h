/* well_known.h - what a host answers at /.well-known/matrix/server. Server-Server API, "Resolving server names", 3. */
#pragma once

#include "http/client.h"

enum { WELL_KNOWN_MAX_BYTES = 50 * 1024, WELL_KNOWN_REDIRECTS = 10 };
#define WELL_KNOWN_LEAST_MS INT64_C(300000)    /* 5 minutes: whoever forbids caching is not asked for each request */
#define WELL_KNOWN_USUAL_MS INT64_C(86400000)  /* "The recommended sensible default is 24 hours." */
#define WELL_KNOWN_MOST_MS  INT64_C(172800000) /* "48 hours is recommended" */

struct well_known {
	bool found;    /* delegated says to which server */
	bool passing;  /* not found, but it may be there at the next attempt: the host did not answer, or only failed */
	str delegated; /* a server's name */
	int64_t for_ms; /* found: how long it may be believed */
};
/* What a call that was made (or failed) says. now: ms since 1970. delegated lives in arena a. */
void well_known_read(struct arena *a, const struct client_call *call, int64_t now, struct well_known *out);
