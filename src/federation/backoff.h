/*
 * backoff.h - servers that do not answer, and when they are asked again.
 *
 * One table for all that asks other servers, in memory over the store: a restart goes on where it was. A failure to
 * connect, a timeout, or a 5xx makes the pause longer; any other answer ends it; so does the server when it talks to
 * us. What was begun before a pause's end does not lengthen it: many requests that fail together are one failure.
 */
#pragma once

#include "federation/fed.h"

#define BACKOFF_FIRST_MS   INT64_C(5000)
#define BACKOFF_MOST_MS    INT64_C(86400000)
#define BACKOFF_MULTIPLIER 2.0
enum { BACKOFF_HOOKS = 4 };

struct destination_status {
	str server_name;
	int64_t failing_since; /* ms; 0: it answers */
	int64_t retry_at;      /* ms: not asked before */
	int64_t pause_ms;
	int64_t last_success; /* ms; 0: never in this process's memory */
	str last_error;       /* in words; STR_NONE */
};
/* Is it to be left alone now? out_until (or NULL): until when, ms. */
bool backoff_pauses(struct fed *f, str server_name, int64_t *out_until);
void backoff_failed(struct fed *f, str server_name, const err *why);
void backoff_good(struct fed *f, str server_name);
/* A request came from there, authenticated: it lives. Cheap. Ends the pause, though not the memory of failures: a
 * server that we cannot reach may well reach us, and is asked again every few minutes at most. */
void backoff_heard(struct fed *f, str server_name);
/* The operator's wish: as if it had never failed. */
NODISCARD err *backoff_reset(struct fed *f, struct arena *a, str server_name);
NODISCARD err *backoff_status(struct fed *f, struct arena *a, str server_name, struct destination_status *out);
/* All that fail, in arena a. */
NODISCARD err *backoff_all(struct fed *f, struct arena *a, struct destination_status **out, size_t *out_n);
/* Called when a pause ends before its time (an answer came all the same, the server talked to us, the operator's
 * reset): no lock is held, any thread, quick. To be set at start, at most BACKOFF_HOOKS. */
void backoff_on_return(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx);
/* Called with each backoff_heard, under the same conditions. One at most. */
void backoff_on_heard(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx);
