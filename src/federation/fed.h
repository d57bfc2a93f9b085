/*
 * fed.h - a signed request to another server.
 *
 * Server-Server API, "Request Authentication". A call finds the server (discovery.h), waits for nobody who is known not
 * to answer (backoff.h), signs, asks through http/client, and reads the answer. What the other side says is translated
 * into an error of ours with its code; it is hostile, and whoever uses an answer checks it.
 */
#pragma once

#include "federation/discovery.h"
#include "json/json.h"
#include "matrix/sign.h"

struct fed;
struct store;
struct backoff_options {
	int64_t first_ms, most_ms; /* 0: chosen (backoff.h) */
	double multiplier;
	size_t max_known; /* servers remembered */
};
struct fed_options { /* borrowed for the life of the service */
	struct client *client;
	struct discovery *discovery;
	struct store *store;
	const struct log *log;
	const struct signer *signer;
	const struct client_nets *nets;
	const str *whitelist; /* federation_domain_whitelist: the only servers that are spoken to; n is 0 and p not
			       * NULL: none. NULL: all */
	size_t n_whitelist;
	int64_t silence_ms; /* a server that says nothing for so long is given up; 0: chosen */
	struct backoff_options backoff;
	/* For tests: */
	int64_t (*now)(void); /* ms since 1970; NULL: the clock */
	bool plain;           /* servers are asked without TLS */
};
NODISCARD err *fed_new(struct arena *a, const struct fed_options *opt, struct fed **out);
void fed_free(struct fed **f);
/* This server's name is never asked: ERR_INVALID_PARAM. */
bool fed_is_own(const struct fed *f, str server_name);
/* May we speak with this server at all, in either direction? (federation_domain_whitelist; its name's form.) */
bool fed_allowed(const struct fed *f, str server_name);

enum {
	FED_ANSWER_MAX = 8 << 20, /* bytes of a collected answer, where the caller does not say */
};
/* In err.detail of a call that never went out; of others an enum client_failure, or 0: the other side said no. */
enum fed_failure {
	FED_BACKED_OFF = 100, /* ERR_CONNECTION_FAILED: the server did not answer lately, and is left alone for now */
	FED_NOT_ALLOWED,      /* ERR_FORBIDDEN: not on the whitelist */
};
enum fed_patience {
	FED_ASK,      /* ERR_CONNECTION_FAILED at once while the server is backed off from */
	FED_ANYWAY,   /* goes out in any case: it is a person's wish (a join), or the attempt that ends a back-off */
	FED_UNHARMED, /* as FED_ASK; its failure is no sign that the server is down */
};
struct fed_call {
	/* set by the caller, borrowed until it has ended */
	str destination;
	str method;                 /* STR_NONE: GET */
	str path;                   /* path and query as they are sent and signed: fed_path makes it */
	const struct json *content; /* the body; NULL: none */
	enum fed_patience patience;
	bool is_unsigned;    /* /key/v2, which is asked without proof */
	bool any_type;       /* the answer is no JSON: collected, not parsed */
	size_t max_bytes;    /* 0: FED_ANSWER_MAX */
	bool patient;        /* the answer takes long to make: waited for until the deadline, in silence, too */
	unsigned silence_ms; /* else the server is given up after so much of it; 0: as all are */
	err *(*take)(void *ctx, str bytes); /* as client_call.take: the body piece by piece */
	void *take_ctx;
	const struct client_call *http; /* from the first byte on, for client_answer_header in `take` */

	/* the outcome, in the arena it was started with */
	/* NULL: an answer of 2xx. What the other side said no with: its errcode's code where it is one that a server
	 * may pass on, with room_version or retry_after_ms in `extra`; ERR_UNRECOGNIZED where it has no such
	 * endpoint; ERR_CONNECTION_FAILED where it is in trouble (5xx), does not believe us (401), or answers
	 * otherwise than Matrix. */
	err *error;
	int status;                /* 0: none came */
	int64_t retry_after_ms;    /* of 429: when it is to be asked again, from then on; else, or not said: -1 */
	struct json *answer;       /* parsed, also of an error (then maybe NULL); NULL with `take`, any_type */
	str body;                  /* any_type: as it came */
	str content_type;          /* of the answer */
	struct fed_flight *flight; /* federation/'s own */
};
/* "/_matrix/federation/v1/event/" and its arguments up to STR_NONE, each percent-encoded, with "/" between. */
str fed_path(struct arena *a, str begin, ...);
/* Adds "?name=value" or "&name=value". */
str fed_query(struct arena *a, str path, const char *name, str value);

/* All at once; returns when the last has ended. Holds up the calling thread: no lock may be held. */
void fed_all(struct fed *f, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us);
NODISCARD err *fed_one(struct fed *f, struct arena *a, struct fed_call *call, int64_t deadline_us);

/* The same for one thread that starts calls as it goes: as client_batch. */
struct fed_batch;
struct fed_batch *fed_batch_new(struct fed *f);
void fed_batch_start(struct fed_batch *b, struct arena *a, struct fed_call *call, int64_t deadline_us);
struct fed_call *fed_batch_next(struct fed_batch *b, int64_t until_us);
void fed_batch_wake(struct fed_batch *b);
void fed_batch_free(struct fed_batch **b);
