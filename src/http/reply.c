/*
 * reply.c - answers.
 *
 * A handler writes into the request's buffer; reply_finish makes the library's response of it on the worker's thread
 * (compression included), so that the loop only sends. An error discards what was begun.
 *
 * Client-Server API, "Web Browser Clients": "the homeserver should [...] supply Cross-Origin Resource Sharing (CORS)
 * headers on all requests": so they stand on everything that a client listener answers, errors included.
 */
#include "http/internal_http.h"

#include <assert.h>

static void begin(struct req_internal *r, int status)
{
	assert(!r->replied && !r->park_wanted);
	r->replied = true;
	r->status = status;
	r->content_type = "application/json";
	r->out.max = HTTP_MAX_REPLY;
}

struct jw *reply_json(struct req *rq, int status)
{
	struct req_internal *r = rq->in;

	begin(r, status);
	r->jw = jw_to(&r->out);
	r->json_open = true;
	jw_object(&r->jw, NULL);
	return &r->jw;
}

void reply_empty(struct req *rq) { reply_json_text(rq, 200, S("{}")); }

void reply_json_text(struct req *rq, int status, str json)
{
	begin(rq->in, status);
	buf_add(&rq->in->out, json);
}

void reply_bytes(struct req *rq, int status, const char *content_type, str bytes)
{
	begin(rq->in, status);
	rq->in->content_type = content_type;
	buf_add(&rq->in->out, bytes);
}

void reply_take(struct req_internal *r, int status, const char *content_type, struct buf *bytes)
{
	begin(r, status);
	r->content_type = content_type;
	r->out = *bytes;
	*bytes = (struct buf)BUF_INIT(bytes->max);
}

void reply_header(struct req *rq, const char *name, str value)
{
	struct req_internal *r = rq->in;

	assert(r->n_headers < HTTP_MAX_REPLY_HEADERS);
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
			return;
	r->headers[r->n_headers].name = name;
	r->headers[r->n_headers++].value = value;
}

void reply_error(struct req_internal *r, const err *e, int status)
{
	int64_t retry_s;

	stream_drop(r);
	buf_reset(&r->out);
	r->stream.wanted = r->replied = r->json_open = r->park_wanted = false;
	r->n_headers = 0;
	begin(r, status ? status : err_status(e->code));
	errors_write(&r->out, r->rq.arena, e, &retry_s);
	if (retry_s > 0)
		reply_header(&r->rq, "Retry-After", arena_printf(r->rq.arena, "%" PRId64, retry_s));
	if (e->code == ERR_METHOD) {
		static const char *const names[METHODS] = { "GET, HEAD", "PUT", "POST", "DELETE", "PATCH" };
		str allow = S("OPTIONS");

		for (size_t i = 0; i < METHODS; i++)
			if (r->hit.allowed & 1u << i)
				allow = arena_join3(r->rq.arena, allow, S(", "), str_c(names[i]));
		reply_header(&r->rq, "Allow", allow);
	}
}

static void add(struct MHD_Response *response, const char *name, const char *value)
{
	MHD_add_response_header(response, name, value);
}

static bool compressible(const char *type)
{
	return str_starts(str_c(type), S("application/json")) || str_starts(str_c(type), S("text/"));
}

/* Gives the body's encoding, and puts the compressed one in its place. */
static bool compress(struct req_internal *r)
{
	AUTO_BUF small = BUF_INIT(HTTP_MAX_REPLY);
	struct buf plain;

	if (!gzip_accepted(req_header(&r->rq, "Accept-Encoding")) ||
	    !gzip_compress(&r->h->gzip, buf_str(&r->out), &small))
		return false;
	plain = r->out;
	r->out = small;
	small = plain;
	return true;
}

static void add_cors(struct MHD_Response *response)
{
	add(response, "Access-Control-Allow-Origin", "*");
	add(response, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS");
	add(response, "Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization");
}

static void add_headers(struct req_internal *r, bool may_compress, bool compressed)
{
	bool cached = false;

	if (r->content_type)
		add(r->response, "Content-Type", r->content_type);
	if (r->conn->listener->opt.client)
		add_cors(r->response);
	if (may_compress)
		add(r->response, "Vary", "Accept-Encoding");
	if (compressed)
		add(r->response, "Content-Encoding", "gzip");
	for (size_t i = 0; i < r->n_headers; i++) {
		add(r->response, r->headers[i].name, arena_cstr(r->rq.arena, r->headers[i].value));
		cached |= str_eq_nocase(str_c(r->headers[i].name), S("Cache-Control"));
	}
	if (!cached)
		add(r->response, "Cache-Control", "no-cache, no-store, must-revalidate");
	if (r->must_close || atomic_load(&r->h->stopping))
		add(r->response, "Connection", "close");
}

void reply_log(struct req_internal *r, const err *e)
{
	if (err_status(e->code) == 500)
		log_error(r->rq.log, "request failed", F("error", e->msg), F("where", e->where));
}

/* False: it is an error now, like any other. */
static bool finish_stream(struct req_internal *r)
{
	const err *e = stream_finish(r, r->rq.arena);

	if (e) {
		reply_log(r, e);
		reply_error(r, e, 0);
		return false;
	}
	assert(r->response);
	add_headers(r, false, false);
	return true;
}

void reply_finish(struct req_internal *r)
{
	bool may_compress, compressed;
	str bytes;

	assert(r->replied && !r->response);
	if (r->json_open) {
		jw_end(&r->jw);
		if (!jw_good(&r->jw)) {
			const err *e = err_new(r->rq.arena, ERR_INTERNAL, "The answer could not be written");

			log_error(r->rq.log, "answer not written", F("bytes", r->out.n));
			reply_error(r, e, 0);
		}
	}
	if (r->stream.wanted && finish_stream(r))
		return;
	may_compress = !r->conn->listener->opt.no_gzip && r->out.n >= HTTP_GZIP_MIN && compressible(r->content_type);
	compressed = may_compress && compress(r);
	bytes = buf_take(&r->out);
	r->answer_bytes = bytes.n;
	r->response = MHD_create_response_from_buffer_with_free_callback(bytes.n, (void *)bytes.p, mem_free);
	assert(r->response);
	add_headers(r, may_compress, compressed);
}
