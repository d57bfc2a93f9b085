/* internal_stream.h - bodies that are not held in memory: those that come (upload.c), those that go (stream.c). */
#pragma once

#include "http/http.h"

#include <microhttpd.h>

struct req_internal;

/* What a worker is to do with a request. */
enum job {
	JOB_RUN,   /* its handler, and what is left of its body before */
	JOB_BEGIN, /* authentication, allowance, the sink's begin */
	JOB_TAKE,  /* a piece of its body */
	JOB_FILL,  /* a piece of its answer */
	JOB_DROP,  /* its connection is gone: its sink and its source follow */
};

/* upload.c ------------------------------------------------------------------------------------------------------- */
struct upload {
	int64_t length; /* Content-Length; -1: chunked */
	bool expects;   /* "Expect: 100-continue" */
	bool begun;     /* `sink` is to be dropped */
	void *sink;
};
/* On the loop. After the head: begins, or leaves that to the handler's run. */
enum MHD_Result upload_head(struct req_internal *r);
/* After begin: goes on with the body, or answers. */
enum MHD_Result upload_begun(struct req_internal *r);
/* A piece of the body; less than *n is taken where a worker must see to what came before. */
enum MHD_Result upload_bytes(struct req_internal *r, const char *p, size_t *n);
/* On a worker: steps of run.c, which end in an answer where they fail. */
NODISCARD err *upload_begin(struct req_internal *r);
NODISCARD err *upload_take(struct req_internal *r);
void upload_drop(struct req_internal *r);

/* stream.c ------------------------------------------------------------------------------------------------------- */
struct stream {
	const struct source_ops *ops; /* NULL: nothing to drop */
	void *source;
	uint64_t length, left; /* left: not yet asked for */
	char *own;             /* the block, where it is not the library's */
	char *p;               /* it, while it is being filled */
	size_t max, n, at;     /* n bytes are there, `at` of them sent */
	int64_t charged;       /* of http.stream_bytes */
	bool wanted, failed;   /* wanted: the answer is one */
};
/* On a worker: makes r->response; ERR_BUSY, or what `fill` said to an answer that fits one piece. */
NODISCARD err *stream_finish(struct req_internal *r, struct arena *a);
void stream_fill(struct req_internal *r, struct arena *a);
void stream_drop(struct req_internal *r);
void stream_done(struct req_internal *r); /* at the request's end: what it had of memory */
