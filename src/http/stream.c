/*
 * stream.c - an answer's body on its way from a source.
 *
 * The library asks for the next block on the loop; then the connection is suspended, and a worker has the source fill
 * the library's own block, which nobody looks at meanwhile: nothing is copied, and the socket's buffer keeps the
 * network busy while the next block is read. No thread waits for a client, and a connection costs one block.
 *
 * An answer whose length is not known goes in chunks, of what the connection's own buffer holds.
 *
 * An answer that fits one block is read by the handler's worker, and goes out like any other: an error is still one.
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

static err *fill(struct req_internal *r, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct stream *s = &r->stream;
	size_t n = 0;

	max = (size_t)MIN(max, s->left);
	TRY(s->ops->fill(s->source, a, p, max, &n));
	assert(n <= max && (n > 0 || s->length == HTTP_LENGTH_UNKNOWN));
	if (s->length != HTTP_LENGTH_UNKNOWN)
		s->left -= n;
	else if (n == 0)
		s->left = 0;
	if (s->left == 0)
		stream_drop(r);
	*out_n = n;
	return NULL;
}

void stream_fill(struct req_internal *r, struct arena *a)
{
	struct stream *s = &r->stream;
	const err *e = fill(r, a, s->p, s->max, &s->n);

	if (!e)
		return;
	s->failed = true;
	log_warn(r->rq.log, "answer cut off", F("error", e->msg), F("where", e->where), F("left", (int64_t)s->left));
}

/* On the loop. */
static ssize_t next_block(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct req_internal *r = arg;
	struct stream *s = &r->stream;
	const size_t n = s->n;

	(void)pos;
	if (s->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		assert(buf == s->p && n <= max);
		s->n = 0;
		request_extend(r, n);
		return (ssize_t)n;
	}
	if (s->left == 0) /* asked again only where the length is not known */
		return MHD_CONTENT_READER_END_OF_STREAM;
	s->p = buf;
	s->max = max;
	lane_reserve_more(request_lane(r));
	request_hand_over(r, JOB_FILL, STAGE_SENT);
	return 0;
}

static err *finish_small(struct req_internal *r, struct arena *a)
{
	const size_t length = (size_t)r->stream.length;
	char *p = mem_alloc(MAX(length, 1));
	err *e = NULL;
	size_t n = 0;

	for (size_t at = 0; at < length && !e; at += n)
		e = fill(r, a, p + at, length - at, &n);
	if (e) {
		mem_free(p);
		return e;
	}
	r->response = MHD_create_response_from_buffer_with_free_callback(length, p, mem_free);
	r->answer_bytes = length;
	return NULL;
}

err *stream_finish(struct req_internal *r, struct arena *a)
{
	struct stream *s = &r->stream;

	if (r->head || s->length > HTTP_STREAM_BYTES) {
		if (!r->head && !request_charge(r, r->body_charged + HTTP_STREAM_BYTES))
			return err_new(a, ERR_BUSY, "Too many large requests at once");
		r->response = MHD_create_response_from_callback(s->length, r->head ? 1 : HTTP_STREAM_BYTES, next_block,
								r, NULL);
	} else {
		TRY(finish_small(r, a));
	}
	if (r->head || s->left == 0)
		stream_drop(r);
	return NULL;
}
