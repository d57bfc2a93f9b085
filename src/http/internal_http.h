/* internal_http.h - the server as its own files see it; README.md has the order of reading. */
#pragma once

#include "base/map.h"
#include "base/metrics.h"
#include "http/internal_request.h"

/* reply.c, gzip.c ------------------------------------------------------------------------------------------------ */
void reply_error(struct req_internal *r, const err *e, int status);
void reply_log(struct req_internal *r, const err *e); /* what is our own fault */
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
void rates_give_back(struct rates *t, enum rate_class class, str key);

/* shares.c ------------------------------------------------------------------------------------------------------- */
struct shares {
	struct lock lock;
	struct map by_name;
	unsigned most_running, most_waiting;
};
void shares_init(struct shares *s, unsigned running, unsigned waiting);
void shares_done(struct shares *s);
/* On the worker, authenticated: a place among the requests of that name; or r->wanted_share; or ERR_LIMIT_EXCEEDED. */
NODISCARD err *shares_enter(struct shares *s, struct req_internal *r, str name);
/* wanted_share, after its run: true: it waits, and may be running again already. False: there is a place now. */
bool shares_wait(struct req_internal *r);
/* Gives its place to the next. Fine for one that has none. */
void shares_leave(struct req_internal *r);

/* metrics.c ------------------------------------------------------------------------------------------------------ */
void metrics_request(struct req_internal *r); /* when its answer is ready */
void metrics_costs(struct req_internal *r);   /* what jobs cost after that */
struct http_metrics {
	struct metric *connections, *parked, *refused_connections, *unrouted, *hung_up, *timed_out, *refused_requests,
		*behind_share;
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
	struct shares servers, askers; /* of the lane for servers; of the lane where others are waited for */
	struct gzip gzip;
	struct listener *listeners[32];
	_Atomic size_t n_listeners;
	struct loop loops[2][HTTP_MAX_LOOPS]; /* plain, TLS: the first made with the first listener of their kind */
	unsigned n_loops[2];
	struct tls_cert *certs; /* all that ever were */
	_Atomic bool stopping;
	_Atomic size_t active; /* requests that came whole and whose answers are not yet taken */
	_Atomic int64_t body_bytes, stream_bytes;
	struct lock lock;  /* of `ended` */
	struct cond ended; /* active became 0 while stopping */
};
/* The loop for one more connection; for the watch thread alone. */
struct loop *server_loop(struct http *h, bool tls);
