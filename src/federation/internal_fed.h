/* internal_fed.h - inside of signed requests: the service, a request's way, the table of pauses. federation/ alone. */
#pragma once

#include "base/map.h"
#include "base/thread.h"
#include "federation/backoff.h"

/* What is known of servers. */
struct backoff {
	struct backoff_options opt;
	struct lock lock;
	struct map known;
	struct list by_use; /* the newest last */
	struct {
		void (*fn)(void *ctx, str server_name);
		void *ctx;
	} hooks[BACKOFF_HOOKS];
	size_t n_hooks;
	void (*heard)(void *ctx, str server_name); /* or NULL */
	void *heard_ctx;
};
struct fed {
	struct fed_options opt;
	struct map whitelist; /* to anything */
	struct backoff backoff;
};

/* A call on its way: looking for the server, then asking it. */
struct fed_flight {
	struct fed *fed;
	struct fed_batch *batch;
	struct fed_call *call;
	struct arena *arena;
	int64_t deadline_us;
	int64_t began_ms; /* when the server was asked */
	struct list node; /* in fed_batch.flights */
	struct list turn; /* in fed_batch.ended or waiting */
	struct list ready;
	bool is_searching;
	err *not_taken; /* what `take` said no with */
	struct discovery_search search;
	struct client_call http;
};

/* backoff.c */
NODISCARD err *backoff_open(struct fed *f, struct arena *a);
void backoff_close(struct fed *f);
/* Of something that began then, ms. */
void backoff_failed_since(struct fed *f, str server_name, int64_t began_ms, const err *why);

/* fed_request.c: fills fl->http, once the place is known */
NODISCARD err *fed_request(struct fed_flight *fl);

/* fed_answer.c: the outcome of fl->http into the call, and what it says of the server */
void fed_answer(struct fed_flight *fl);
void fed_count_outcomes(void); /* at start */
/* Of a call that was never made. */
void fed_refuse(struct fed_call *call, err *e);
