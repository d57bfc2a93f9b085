/* internal_http.h - what the files of http/ share. README.md has the order of reading. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "http/limits.h"
#include "http/server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>

/* router.c ------------------------------------------------------------------------------------------------------- */
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

/* lanes.c -------------------------------------------------------------------------------------------------------- */
struct req_internal;
struct worker;
struct lane_pool {
	struct lock lock;
	struct http *h;
	struct list queue;
	struct req_internal *_Atomic inbox; /* returned, newest first, by next_returned: not yet in the queue */
	struct worker *idle, *all;          /* idle: the one that worked last first */
	unsigned started, max;
	unsigned enough;       /* so many running keep the cores busy */
	bool waking, stopping; /* waking: a worker was called and has not come yet */
	const char *name;
	_Atomic size_t waiting;   /* in the queue, or with a place in it */
	_Atomic unsigned running; /* workers in a handler that does not wait */
	size_t limit;
};
void lane_init(struct lane_pool *l, struct http *h, const char *name, unsigned workers, size_t limit);
/* A place in the queue; false when it is full. Then lane_push, which has no limit of its own. */
bool lane_reserve(struct lane_pool *l);
void lane_push(struct lane_pool *l, struct req_internal *r);
/* A request that was parked comes back: needs no place. Cheap for who calls, also a thousand times in a row. */
void lane_return(struct lane_pool *l, struct req_internal *r);
/* Calls a worker if the queue's head is stale; false when the queue is empty. */
bool lane_check(struct lane_pool *l);
/* Requests that nobody has begun are given to `refuse`; waits for the others; afterwards lane_reserve is false. */
void lane_stop(struct lane_pool *l, void (*refuse)(struct req_internal *r));
void lane_done(struct lane_pool *l);

/* watch.c: connections, their deadlines, parked requests ---------------------------------------------------------- */
struct listener {
	struct http *h;
	int fd, index;
	uint16_t port;
	bool paused; /* out of descriptors: not accepting for a while */
	struct http_listener opt;
	struct tls_cert *_Atomic cert;
};
struct loop {
	struct MHD_Daemon *daemon;
	_Atomic unsigned conns;
};
struct conn {
	struct list node;
	struct http *h;
	struct loop *loop;
	const struct listener *listener;
	int fd;
	int64_t id;
	_Atomic int64_t deadline_us; /* clock_mono_us; 0: none (a request is being worked on) */
	_Atomic bool busy;           /* between a request line and its answer's end */
	/* under watch.lock */
	bool watched, hup;
	struct req_internal *parked;
	char address[INET6_ADDRSTRLEN];
};
struct watch {
	struct lock lock;
	struct list conns;
	struct map by_id, by_fd; /* by_fd: accepted, not yet known to the library */
	size_t n_conns;
	int64_t next_id;
	struct req_internal **heap; /* parked requests by deadline */
	size_t n_parked, cap_parked;
	int64_t sleeps_until; /* what the thread's wait was planned for */
	int epoll_fd, event_fd;
	_Atomic bool stopping;
	bool expired; /* parked requests are run a last time, no more are parked */
	_Atomic bool lanes_wait;
	int64_t lanes_at;
	int64_t sweep_at, accept_at; /* when deadlines of connections, and paused listeners, are looked at; 0: never */
	struct thread *thread;
};
err *watch_start(struct http *h, struct arena *a);
void watch_add_listener(struct http *h, struct listener *l);
/* No new connections; idle ones are closed once what they sent was read; parked requests run a last time. */
void watch_expire(struct http *h);
void watch_call(struct watch *w); /* its thread looks at the deadlines anew */
void watch_lanes(struct http *h); /* it looks after the lanes as long as they have queues */
void watch_stop(struct http *h);
void watch_done(struct http *h);
void watch_conn_started(struct http *h, struct MHD_Connection *mhd, struct conn **out);
void watch_conn_closed(struct http *h, struct conn *c);

/* park.c --------------------------------------------------------------------------------------------------------- */
enum park_cause { PARK_WOKEN, PARK_DEADLINE, PARK_HUNG_UP };
/* Parks the request, which then belongs to whoever resumes it; or gives the reason why it must be run (or dropped) now. */
bool park_begin(struct req_internal *r, enum park_cause *out_why_not);
/* Under watch.lock: is the caller the one to resume it? Then it was taken out, and park_finish follows without the lock. */
bool park_take(struct req_internal *r, enum park_cause cause);
void park_finish(struct req_internal *r);
/* At the begin of its next run, or instead of it: whoever woke it may have left it in the heap. */
void park_left(struct req_internal *r);

/* request.c ------------------------------------------------------------------------------------------------------ */
enum stage { STAGE_HEAD, STAGE_BODY, STAGE_WORKING, STAGE_DONE, STAGE_SENT };
struct arg {
	str name, value;
};
struct req_internal {
	struct req rq;
	struct http *h;
	struct conn *conn;
	struct MHD_Connection *mhd;
	struct list node; /* in a lane */
	struct req_internal *next_returned;
	enum stage stage;
	bool head, must_close, counted;
	/* what came */
	str uri, query;
	struct route_hit hit;
	struct buf body;
	size_t max_body, dropped; /* dropped: bytes of a body beyond its limit */
	int64_t body_charged;     /* of http.body_bytes */
	enum err_code refused;    /* ERR_NONE, or what is answered once the body has come */
	const char *refused_why;
	unsigned runs;
	int64_t queued_us; /* when it came into its lane */
	/* of this run, in the arena */
	str params[HTTP_MAX_PARAMS];
	struct arg *args;
	size_t n_args;
	const struct json *json;
	struct log log;
	/* the answer */
	bool replied, json_open;
	int status;
	const char *content_type;
	struct buf out;
	struct jw jw;
	struct {
		const char *name;
		str value;
	} headers[HTTP_MAX_REPLY_HEADERS];
	size_t n_headers;
	struct MHD_Response *response; /* finished */
	size_t answer_bytes;
	/* parking */
	bool park_wanted, expired, returning; /* returning: on its way from the park to its next run */
	int64_t park_user, park_deadline, parked_at, parked_us;
	uint64_t park_seq;
	size_t heap_at;
	_Atomic unsigned park_state;
	enum park_cause park_cause;
	struct bus_waiter waiter;
	/* cost of all runs */
	int64_t cpu_us, sql_us;
	uint64_t statements, commits;
	char uri_text[];
};
void *request_begin(void *listener, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_step(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
			     const char *version, const char *upload, size_t *upload_size, void **req);
void request_end(void *cls, struct MHD_Connection *mhd, void **req, enum MHD_RequestTerminationCode why);

/* guard.c: what is refused by its head alone. ERR_NONE: nothing. `out_close`: the connection cannot be trusted further. */
struct refusal {
	enum err_code code;
	int status; /* 0: the code's own */
	bool close;
	const char *why;
};
struct refusal guard_head(struct req_internal *r, const char *version);

/* run.c ---------------------------------------------------------------------------------------------------------- */
/* Runs the handler in the arena. True: answered, run_resume must follow. False: parked or dropped, and maybe gone. */
bool run_on_worker(struct req_internal *r, struct arena *a);
void run_resume(struct req_internal *r); /* then it belongs to its loop */
/* Runs it and leaves the answer in r->response. */
void run_here(struct req_internal *r);
/* The answer to what never reaches a handler. */
void run_refusal(struct req_internal *r, struct refusal why);
void run_options(struct req_internal *r);
/* After lanes were stopped: 503 for a request that nobody began. */
void run_never(struct req_internal *r);

/* args.c --------------------------------------------------------------------------------------------------------- */
/* Decodes path parameters and query: at the begin of each run. */
NODISCARD err *args_prepare(struct req_internal *r);
/* Percent-decoding, with '+' as a space in queries. STR_NONE: not valid (a stray '%', no UTF-8). */
str args_decode(struct arena *a, str s, bool query);
/* The client's address: the connection's, or the last of X-Forwarded-For where the listener trusts it. */
str args_address(struct req_internal *r);

/* reply.c, gzip.c ------------------------------------------------------------------------------------------------ */
void reply_error(struct req_internal *r, const err *e, int status);
/* Takes the bytes over. */
void reply_take(struct req_internal *r, int status, const char *content_type, struct buf *bytes);
/* Makes r->response of what was written. */
void reply_finish(struct req_internal *r);
struct gzip {
	struct lock lock;
	struct gzip_stream *spare;
	unsigned n_spare;
};
void gzip_init(struct gzip *g);
void gzip_done(struct gzip *g);
/* False when it does not get smaller. */
bool gzip_compress(struct gzip *g, str plain, struct buf *out);
/* "Accept-Encoding: br, gzip;q=0.5" */
bool gzip_accepted(str accept_encoding);

/* errors.c ------------------------------------------------------------------------------------------------------- */
/* The Matrix error object; *out_retry_s: for Retry-After, 0: none. */
void errors_write(struct buf *out, struct arena *a, const err *e, int64_t *out_retry_s);

/* ratelimit.c ---------------------------------------------------------------------------------------------------- */
struct rates {
	struct lock lock;
	struct rate_limit limits[RATE_CLASSES];
	struct rate_slot *slots;
};
void rates_init(struct rates *t, const struct rate_limit limits[RATE_CLASSES]);
void rates_done(struct rates *t);
/* 0: taken; else after so many milliseconds there will be one. */
int64_t rates_take(struct rates *t, enum rate_class class, str key, int64_t now_us);

/* metrics.c ------------------------------------------------------------------------------------------------------ */
void metrics_request(struct req_internal *r); /* when its answer is ready */
struct http_metrics {
	struct metric *connections, *parked, *refused_connections, *unrouted, *hung_up, *timed_out, *refused_requests;
};
const struct http_metrics *metrics_http(void);

/* tls.c ---------------------------------------------------------------------------------------------------------- */
struct tls_cert;
NODISCARD err *tls_cert_load(struct arena *a, str cert_pem, str key_pem, struct tls_cert **out);
void tls_cert_free(struct tls_cert **c);
struct tls_cert **tls_cert_next(struct tls_cert *c); /* they are kept in a list: a handshake may still use an old one */
void *tls_chooser(void);                             /* the library's certificate callback: the listener's newest */

/* server.c ------------------------------------------------------------------------------------------------------- */
struct http {
	struct http_options opt;
	struct router *router;
	struct lane_pool lanes[LANES];
	struct watch watch;
	struct rates rates;
	struct gzip gzip;
	struct listener *listeners[32];
	_Atomic size_t n_listeners;
	struct loop loops[2][HTTP_MAX_LOOPS]; /* plain, TLS: the first made with the first listener of their kind */
	unsigned n_loops[2];
	struct tls_cert *certs; /* all that ever were */
	_Atomic bool stopping;
	_Atomic size_t active; /* requests that came whole and whose answers are not yet taken */
	_Atomic int64_t body_bytes;
	struct lock lock;  /* of `ended` */
	struct cond ended; /* active became 0 while stopping */
};
/* The loop for one more connection; for the watch thread alone. */
struct loop *server_loop(struct http *h, bool tls);
