/* internal_request.h - a request (request.c), what it says (args.c), what is refused (guard.c), its runs (run.c). */
#pragma once

#include "bus/bus.h"
#include "http/internal_router.h"
#include "http/internal_stream.h"
#include "http/internal_watch.h"

enum stage { STAGE_HEAD, STAGE_BEGUN, STAGE_BODY, STAGE_WORKING, STAGE_DONE, STAGE_SENT };
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
	enum stage stage, after; /* after: the stage that follows STAGE_WORKING */
	enum job job;            /* of STAGE_WORKING */
	bool head, must_close, counted;
	/* what came */
	str uri, query;
	struct route_hit hit;
	struct buf body; /* with a sink: the piece that is being collected */
	struct upload upload;
	size_t max_body, dropped; /* dropped: bytes of a body beyond its limit */
	int64_t body_charged;     /* of http.body_bytes */
	enum err_code refused;    /* ERR_NONE, or what is answered once the body has come */
	const char *refused_why;
	unsigned runs;
	enum lane lane;    /* the route's own, but for who moved */
	bool move_wanted;  /* to `lane` */
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
	struct stream stream;
	/* parking */
	bool park_wanted, expired, returning; /* returning: on its way from the park to its next run */
	int64_t park_user, park_deadline, parked_at, parked_us;
	uint64_t park_seq;
	size_t heap_at;
	_Atomic unsigned park_state;
	enum park_cause park_cause;
	struct bus_waiter waiter;
	/* req_keep */
	char *origin_name;          /* AUTH_SERVER: once it is known whose it is */
	struct share *share;        /* the place it has among its server's, or its user's */
	struct share *wanted_share; /* there is none now: it will wait */
	void *kept;
	void (*drop_kept)(void *thing);
	/* cost of all runs */
	int64_t cpu_us, sql_us;
	uint64_t statements, commits;
	char uri_text[];
};
void *request_begin(void *listener, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_step(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
			     const char *version, const char *upload, size_t *upload_size, void **req);
void request_end(void *cls, struct MHD_Connection *mhd, void **req, enum MHD_RequestTerminationCode why);

/* On the loop, for upload.c and stream.c as well. */
/* Raises what the request has of the bytes that all bodies may have together: false when they are gone. */
bool request_charge(struct req_internal *r, int64_t total);
/* Gives all of them back, and the body: who was refused may still be sending it, slowly. */
void request_release(struct req_internal *r);
void request_extend(struct req_internal *r, uint64_t bytes); /* a new deadline, for so many bytes */
struct lane_pool *request_lane(const struct req_internal *r);
/* Suspends; a place in the lane is there. Nothing of the request may be touched afterwards. */
void request_hand_over(struct req_internal *r, enum job job, enum stage after);
enum MHD_Result request_answer(struct req_internal *r);
void request_refuse(struct req_internal *r, enum err_code code, const char *why);
/* Reads and drops; closes the connection where it gets too much. */
enum MHD_Result request_discard(struct req_internal *r, size_t *n);

/* guard.c: what is refused by its head alone. ERR_NONE: nothing. close: nobody knows what follows. */
struct refusal {
	enum err_code code;
	int status; /* 0: the code's own */
	bool close;
	const char *why;
};
struct refusal guard_head(struct req_internal *r, const char *version);

/* Does its job, in the arena. True: run_resume must follow. False: parked or dropped, and maybe gone. */
bool run_on_worker(struct req_internal *r, struct arena *a);
void run_resume(struct req_internal *r); /* then it belongs to its loop */
/* Runs it and leaves the answer in r->response. */
void run_here(struct req_internal *r);
/* The answer to what never reaches a handler. */
void run_refusal(struct req_internal *r, struct refusal why);
void run_options(struct req_internal *r);
/* After lanes were stopped: 503 for a request that nobody began; an answer under way is cut off. */
void run_never(struct req_internal *r);

/* Decodes path parameters and query: at the begin of each run. */
NODISCARD err *args_prepare(struct req_internal *r);
/* Percent-decoding, with '+' as a space in queries. STR_NONE: not valid (a stray '%', no UTF-8). */
str args_decode(struct arena *a, str s, bool query);
/* The client's address: the connection's, or the last of X-Forwarded-For where the listener trusts it. */
str args_address(struct req_internal *r);
