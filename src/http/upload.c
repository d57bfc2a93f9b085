/*
 * upload.c - a request's body on its way to a sink.
 *
 * The loop collects up to HTTP_STREAM_BYTES; when more comes, the connection is suspended until a worker has given them
 * to the sink's `take`. What comes meanwhile waits in the socket's buffer, so that network and disk overlap without a
 * buffer of ours, and a sender faster than the disk is slowed down by TCP. No thread waits for a client.
 *
 *   HEAD --(worker: authenticate, begin)--> BEGUN --> BODY --buffer full--(worker: take)--> BODY ... --whole--> WORKING
 *
 * The last piece is taken by the run of the handler. A body that is known to fit one piece is collected first, and
 * begin, take and handler are one run. Begin's error goes out at once to a client that waits for "100 Continue", or
 * whose body is too long to be read for nothing; otherwise the body is read and dropped, and the connection lives.
 *
 * A client is given the request timeout, and a second more for each HTTP_MIN_BYTES_S, for each buffer: credit for what
 * came fast is not saved up.
 *
 * The sink belongs to whom the request belongs to: to the loop, or to a worker while the connection is suspended. Where
 * the connection ends between two pieces, the loop leaves the drop to a worker (JOB_DROP): it may touch the disk.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>

void *req_sink(const struct req *rq)
{
	assert(rq->route->sink);
	return rq->in->upload.sink;
}

int64_t req_body_length(const struct req *rq) { return rq->in->upload.length; }

static size_t buffer_size(const struct upload *u)
{
	return u->length >= 0 && u->length < HTTP_STREAM_BYTES ? (size_t)u->length : HTTP_STREAM_BYTES;
}

/* The connection is of use afterwards if the rest of the body is read, and in doubt that the answer arrives if not. */
static bool answer_now(const struct upload *u) { return u->expects || u->length > HTTP_BODY_DISCARD; }

static enum MHD_Result refuse_by_head(struct req_internal *r, const char *why)
{
	run_refusal(r, (struct refusal){ ERR_BUSY, 0, r->must_close, why });
	return upload_begun(r);
}

enum MHD_Result upload_head(struct req_internal *r)
{
	struct upload *u = &r->upload;

	if (u->length >= 0 && u->length <= HTTP_STREAM_BYTES && !u->expects) {
		r->stage = STAGE_BODY;
		return MHD_YES;
	}
	r->must_close = answer_now(u); /* if it is refused */
	if (!request_charge(r, (int64_t)buffer_size(u)))
		return refuse_by_head(r, "Too many large requests at once");
	if (!lane_reserve(request_lane(r))) {
		metric_add(metrics_http()->refused_requests, 1);
		return refuse_by_head(r, "The server is too busy");
	}
	r->rq.arrived_us = clock_mono_us();
	request_hand_over(r, JOB_BEGIN, STAGE_BEGUN);
	return MHD_YES;
}

enum MHD_Result upload_begun(struct req_internal *r)
{
	if (r->response && answer_now(&r->upload))
		return request_answer(r);
	r->stage = STAGE_BODY;
	if (r->response)
		request_release(r);
	request_extend(r, HTTP_STREAM_BYTES);
	return MHD_YES;
}

/* Where nobody knows yet who sends, a body has memory for what came of it, and not for what was announced. */
static bool make_room(struct req_internal *r, size_t more)
{
	struct buf *b = &r->body;
	const size_t size = buffer_size(&r->upload), need = MIN(b->n + more, size);
	const size_t wanted = r->upload.begun ? size : MIN(2 * need, size);

	b->max = size;
	if (b->cap >= need)
		return true;
	if (!request_charge(r, (int64_t)wanted))
		return false;
	b->p = mem_realloc(b->p, wanted);
	b->cap = wanted;
	return true;
}

enum MHD_Result upload_bytes(struct req_internal *r, const char *p, size_t *n)
{
	size_t fits;

	if (!make_room(r, *n)) {
		request_refuse(r, ERR_BUSY, "Too many large requests at once");
		return request_discard(r, n);
	}
	fits = r->body.max - r->body.n;
	if (r->body.n == 0)
		request_extend(r, r->body.max);
	if (*n <= fits) {
		buf_add(&r->body, (str){ p, *n });
		*n = 0;
		return MHD_YES;
	}
	/* What is left makes the library come back with it at once, and with nothing else before. */
	buf_add(&r->body, (str){ p, fits });
	*n -= fits;
	lane_reserve_more(request_lane(r));
	request_hand_over(r, JOB_TAKE, STAGE_BODY);
	return MHD_YES;
}

err *upload_begin(struct req_internal *r)
{
	void *sink = NULL;

	TRY(r->rq.route->sink->begin(&r->rq, &sink));
	r->upload.sink = sink;
	r->upload.begun = true;
	r->must_close = false;
	return NULL;
}

err *upload_take(struct req_internal *r)
{
	err *e;

	if (r->body.n == 0)
		return NULL;
	e = r->rq.route->sink->take(&r->rq, r->upload.sink, buf_str(&r->body));
	buf_reset(&r->body);
	return e;
}

void upload_drop(struct req_internal *r)
{
	if (!r->upload.begun)
		return;
	r->upload.begun = false;
	r->rq.route->sink->drop(r->upload.sink);
	r->upload.sink = NULL;
}
