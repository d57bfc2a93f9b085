/*
 * stream.c - an answer's body on its way from a source.
 *
 * The library asks for the next block on the loop; then the connection is suspended, and a worker has the source fill
 * the library's own block, which nobody looks at meanwhile: nothing is copied, and the socket's buffer keeps the
 * network busy while the next block is read. No thread waits for a client, and a connection costs one block.
 *
 * An answer that fits one block is read by the handler's worker, and goes out like any other: an error is still one.
 *
 * A longer one whose length is not known goes in chunks. The library makes them in the connection's own few KiB, so the
 * block is one of ours, and each chunk is copied.
 *
 * A client is given the request timeout, and a second more for each HTTP_MIN_BYTES_S, for each block.
 */
#include "http/internal_http.h"

#include <assert.h>

void reply_stream(struct req *rq, int status, str content_type, uint64_t length, const struct source_ops *ops,
		  void *source)
{
	struct req_internal *r = rq->in;

	assert(rq->route->lane != LANE_LOOP && ops->fill && ops->drop);
	reply_bytes(rq, status, arena_cstr(rq->arena, content_type), S(""));
	r->stream = (struct stream){ .ops = ops, .source = source, .length = length, .left = length, .wanted = true };
}

void stream_drop(struct req_internal *r)
{
	struct stream *s = &r->stream;

	if (s->ops)
		s->ops->drop(s->source);
	s->ops = NULL;
	s->source = NULL;
}

/* As much as there is, at most `max`; *out_n also where it fails. */
static err *fill(struct req_internal *r, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct stream *s = &r->stream;
	const bool ends = s->length == HTTP_LENGTH_UNKNOWN;

	for (*out_n = 0; *out_n < max && s->left > 0;) {
		const size_t most = (size_t)MIN(max - *out_n, s->left);
		size_t n = 0;

		TRY(s->ops->fill(s->source, a, p + *out_n, most, &n));
		assert(n <= most && (n > 0 || ends));
		if (n == 0)
			s->left = 0;
		else if (!ends)
			s->left -= n;
		*out_n += n;
	}
	if (s->left == 0)
		stream_drop(r);
	return NULL;
}

void stream_fill(struct req_internal *r, struct arena *a)
{
	struct stream *s = &r->stream;
	const err *e = fill(r, a, s->p, s->max, &s->n);

	s->at = 0;
	if (!e)
		return;
	s->failed = true;
	log_warn(r->rq.log, "answer cut off", F("error", e->msg), F("where", e->where));
}

/* On the loop. */
static ssize_t next_block(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct req_internal *r = arg;
	struct stream *s = &r->stream;
	const size_t n = MIN(s->n - s->at, max);

	(void)pos;
	if (s->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		if (s->at == 0)
			request_extend(r, s->n);
		if (s->own)
			memcpy(buf, s->own + s->at, n);
		else
			assert(buf == s->p && n == s->n); /* the library's one block */
		s->at += n;
		return (ssize_t)n;
	}
	if (s->left == 0) /* asked again only where the length is not known */
		return MHD_CONTENT_READER_END_OF_STREAM;
	s->p = s->own ? s->own : buf;
	s->max = s->own ? HTTP_STREAM_BYTES : max;
	lane_reserve_more(request_lane(r));
	request_hand_over(r, JOB_FILL, STAGE_SENT);
	return 0;
}

/* Answers that wait for their readers are bounded together, and apart from bodies: who reads slowly stops no upload. */
static bool charge(struct req_internal *r, int64_t n)
{
	if (atomic_fetch_add(&r->h->stream_bytes, n) + n > HTTP_STREAMS_TOTAL) {
		atomic_fetch_sub(&r->h->stream_bytes, n);
		return false;
	}
	r->stream.charged += n;
	return true;
}

/* Reads the first block; the answer is made of it if it is all. */
static err *read_first(struct req_internal *r, struct arena *a)
{
	struct stream *s = &r->stream;
	const size_t max = (size_t)MIN(s->length, HTTP_STREAM_BYTES);

	s->own = mem_alloc(MAX(max, 1));
	TRY(fill(r, a, s->own, max, &s->n));
	if (s->left > 0)
		return NULL;
	r->response = MHD_create_response_from_buffer_with_free_callback(s->n, s->own, mem_free);
	r->answer_bytes = s->n;
	s->own = NULL;
	return NULL;
}

err *stream_finish(struct req_internal *r, struct arena *a)
{
	enum { HTTP_1_0_BLOCK = 16 * 1024 }; /* which knows no chunks */
	struct stream *s = &r->stream;
	const bool unknown = s->length == HTTP_LENGTH_UNKNOWN, small = s->length <= HTTP_STREAM_BYTES;
	const size_t block = r->head ? 1 : unknown ? HTTP_1_0_BLOCK : HTTP_STREAM_BYTES;

	if (!r->head && !charge(r, (int64_t)MIN(s->length, HTTP_STREAM_BYTES)))
		return err_new(a, ERR_BUSY, "Too many large answers at once");
	if (!r->head && (small || unknown))
		TRY(read_first(r, a));
	if (!r->response)
		r->response = MHD_create_response_from_callback(s->length, block, next_block, r, NULL);
	if (r->head)
		stream_drop(r);
	return NULL;
}

void stream_done(struct req_internal *r)
{
	atomic_fetch_sub(&r->h->stream_bytes, r->stream.charged);
	mem_free(r->stream.own);
	r->stream.own = NULL;
}
