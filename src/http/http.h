/*
 * http.h - a request as its handler sees it, and how it is answered.
 *
 * A handler is straight-line C on a worker thread: it reads arguments, calls a service, writes the answer, returns
 * NULL or an error, which becomes the Matrix error object. To wait for news it returns req_park(...): the thread is
 * free, and the handler is run again from the top when the user's bus key moves or the deadline passes. A handler
 * parks only before its first write to the store.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "json/writer.h"

struct http;
struct services; /* what handlers may call: defined in api/services.h, passed through untouched */
struct route;

struct req {
	struct arena *arena; /* gone when the answer is sent; emptied when a parked request is run again */
	const struct services *services;
	const struct route *route;
	const struct log *log;
	str method, path;   /* path as it came, percent-encoded, without the query */
	str address;        /* the client's, as text (X-Forwarded-For from trusted proxies only) */
	int64_t arrived_us; /* clock_mono_us; unchanged when run again */
	/* set by authentication; empty with AUTH_NONE */
	str user_id, device_id;
	int64_t user;     /* user_id interned */
	int64_t token_id; /* the access token's row */
	bool is_guest, is_admin;
	str origin;              /* AUTH_SERVER: the server that signed the request; interned. Else STR_NONE */
	struct req_internal *in; /* http/'s own */
};

typedef err *handler(struct req *rq);

/*
 * A body that must not be held in memory goes to a sink as it comes. All of it runs on the route's lane, one call at a
 * time, and no thread is held while the client is slow: `begin` once the head has come and the request is authenticated
 * (an error is the answer, before the body was read), `take` for each piece of at most HTTP_STREAM_BYTES, then the
 * route's handler, which finds the sink with req_sink; `drop` at the end of the request, however it came, also after a
 * good answer. With a sink max_body bounds nothing: that is for `begin` and `take` (ERR_TOO_LARGE). Each call has an
 * arena of its own, which is emptied after it; `take` finds the request's arguments, but no user: what of it is needed,
 * `begin` keeps.
 */
struct sink_ops {
	err *(*begin)(struct req *rq, void **out_sink);
	err *(*take)(struct req *rq, void *sink, str bytes);
	void (*drop)(void *sink);
};
/*
 * An answer's body that must not be held in memory. `fill` runs on the route's lane whenever the connection can take
 * more; no thread is held while the client is slow. It gives at least one byte, or fails, which cuts the connection
 * (the head is long gone). Of a source whose length is not known, no byte is the end. `drop` once, at the end, however
 * it comes.
 */
struct source_ops {
	err *(*fill)(void *source, struct arena *a, char *p, size_t max, size_t *out_n);
	void (*drop)(void *source);
};

enum auth {
	AUTH_NONE,
	AUTH_OPTIONAL, /* a good token is honoured, its absence too; a bad one refused */
	AUTH_USER,     /* a registered user; guests get M_GUEST_ACCESS_FORBIDDEN */
	AUTH_GUEST,    /* a registered user or a guest */
	AUTH_ADMIN,    /* a server administrator */
	AUTH_SERVER,   /* another server, by X-Matrix: `origin`. The body is read first, for it is signed */
};
enum rate_class {
	RATE_NONE,
	RATE_MESSAGE,
	RATE_REGISTRATION,
	RATE_LOGIN,
	RATE_JOIN,
	RATE_INVITE,
	RATE_ROOM_CREATION,
	RATE_USER_DIRECTORY,
	RATE_REGISTRATION_TOKEN,
	RATE_REGISTRATION_STEP,
	RATE_REPORT,
	RATE_MEDIA_CREATE,
	RATE_PRESENCE,
	/* taken by handlers, beside the route's own */
	RATE_JOIN_ROOM,
	RATE_INVITE_ROOM,
	RATE_INVITE_USER,
	RATE_CLASSES
};
/*
 * Where a handler runs: on the worker threads of its lane. LANE_LOOP: on the event loop's own thread, which saves two
 * thread switches; for handlers that only compute (no store, no network, no lock that is held over either) with
 * AUTH_NONE.
 */
enum lane {
	LANE_FAST,
	LANE_SLOW,       /* much work for a processor */
	LANE_FEDERATION, /* requests of other servers */
	LANE_REMOTE,     /* clients' requests that wait for other servers: apart from these servers' own, so that two
			  * servers never wait for each other's workers */
	LANES,
	LANE_LOOP = LANES
};

/* Routes are data. A table ends with a row without a method. `path` has {parameters}; a last {name*} takes the rest. */
struct route {
	const char *method, *path;
	handler *run;
	enum auth auth;
	enum rate_class rate;
	enum lane lane;
	size_t max_body;             /* bytes; 0: the default for JSON (limits.h) */
	const struct sink_ops *sink; /* NULL: the body is collected, and read with req_body */
};

/* Arguments. Path parameters are percent-decoded and valid UTF-8. */
str req_param(const struct req *rq, const char *name);       /* asserts that the route has it */
str req_path_before(const struct req *rq, const char *name); /* the path as it came, up to that parameter */
str req_query(const struct req *rq, const char *name); /* decoded; STR_NONE: absent; the first where it stands twice */
size_t req_query_all(const struct req *rq, const char *name, str *out, size_t max);
NODISCARD err *req_query_int(const struct req *rq, const char *name, int64_t otherwise,
			     int64_t *out); /* ERR_INVALID_PARAM */
NODISCARD err *req_query_bool(const struct req *rq, const char *name, bool otherwise, bool *out);
str req_header(const struct req *rq, const char *name);
/* All headers of that name, in order: how many there are, of which at most `max` are given. */
size_t req_header_all(const struct req *rq, const char *name, str *out, size_t max);
/* Path and query byte for byte as they came: what another server has signed. */
str req_target(const struct req *rq);
str req_body(const struct req *rq); /* the bytes; empty without one */
/* A field of a body that is a web page's form; STR_NONE: absent, or no percent-encoded UTF-8. */
str req_form(const struct req *rq, const char *name);
/* The body as an object: ERR_NOT_JSON (an empty one, too; _or_empty takes it as {}), ERR_BAD_JSON (no object). */
NODISCARD err *req_body_object(struct req *rq, const struct json **out);
NODISCARD err *req_body_object_or_empty(struct req *rq, const struct json **out);
/* Of a route with a sink: what its `begin` gave, all bytes taken. */
void *req_sink(const struct req *rq);
/* Content-Length; -1: not told (chunked). */
int64_t req_body_length(const struct req *rq);
/* The client's access token as it was sent, or STR_NONE. */
str req_access_token(const struct req *rq);

/*
 * Takes one from the allowance of `key` (a room, an account, an address) in a class, beside the one that the route's
 * own class takes from the user or the address: ERR_LIMIT_EXCEEDED with retry_after_ms when there is none left.
 */
NODISCARD err *req_rate(struct req *rq, enum rate_class class, str key);
/* What it took is given back: nothing came of it, and others shall not be kept waiting by who only tries. */
void req_rate_back(struct req *rq, enum rate_class class, str key);

/* The answer: one of these, once. The writer has begun the outermost object and http/ ends it. */
struct jw *reply_json(struct req *rq, int status);
void reply_empty(struct req *rq);                           /* 200 {} */
void reply_json_text(struct req *rq, int status, str json); /* whole and already written */
void reply_bytes(struct req *rq, int status, const char *content_type, str bytes);
#define HTTP_LENGTH_UNKNOWN UINT64_MAX
/* `length` bytes of the source, never compressed; it belongs to http/ from here on. HEAD asks it for nothing. What fits
 * HTTP_STREAM_BYTES is read before anything goes out: there an error of `fill` is the answer. */
void reply_stream(struct req *rq, int status, str content_type, uint64_t length, const struct source_ops *ops,
		  void *source);
/* A further header, or another value for Cache-Control, which http/ sets. Ignored when it holds control characters. */
void reply_header(struct req *rq, const char *name, str value);

/* One thing for the whole of the request: kept from run to run, dropped when the request has ended, however it came
 * (the answer is out, or the client gone). `drop` runs once, on a loop thread: no store, no waiting. */
void req_keep(struct req *rq, void *thing, void (*drop)(void *thing));
void *req_kept(const struct req *rq); /* NULL: none */

/* Runs the handler again when the user's bus key moves past seq (bus_known), or at the deadline (clock_mono_us). */
NODISCARD err *req_park(struct req *rq, int64_t user, uint64_t seq, int64_t deadline_us);
/* Runs the handler again, from the top, on another lane: for what turns out to wait for other servers, or for long, and
 * must not hold up those who need not. Before its first write. A handler asks req_lane first whether it is there. */
NODISCARD err *req_move(struct req *rq, enum lane lane);
enum lane req_lane(const struct req *rq);
/* Was this run caused by the deadline (or by the server's stopping)? Then do not park again. */
bool req_park_expired(const struct req *rq);
