/*
 * request.c - a request on the loop's thread, from its first line to its end.
 *
 * The library calls request_begin with the request line; request_step once with the head, then with each piece of the
 * body, then when the whole request is there; and again after it was resumed, with the answer ready; request_end at
 * the end, however it comes. Nothing here waits: a handler runs on its lane's threads while the connection is
 * suspended.
 *
 *   HEAD --guards, route--> BODY --whole--> WORKING --(lane, parked ...)--> DONE --> SENT
 *                                  \--refused, OPTIONS, LANE_LOOP: answered at once--/
 *
 * Bodies that go to a sink and answers that come from a source visit WORKING more often: upload.c, stream.c.
 *
 * While WORKING the request belongs to the lane or to the park, and only its owner touches it. It is suspended before
 * anybody else can see it, and resumed exactly once, as the last thing its owner does with it.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>
#include <sys/socket.h>

static int64_t deadline(const struct http *h, uint64_t bytes)
{
	return clock_mono_us() +
	       ((int64_t)h->opt.request_timeout_s + (int64_t)(bytes / h->opt.min_bytes_s)) * INT64_C(1000000);
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* "GET http://host/path": what a proxy is sent, and every server must take. */
static str without_authority(str uri)
{
	str rest;

	if (str_starts(uri, S("/")))
		return uri;
	if (str_starts_nocase(uri, S("http://")))
		rest = str_from(uri, 7);
	else if (str_starts_nocase(uri, S("https://")))
		rest = str_from(uri, 8);
	else
		return uri;
	return str_from(rest, str_find(rest, '/'));
}

/* The library keeps every argument of a query in the connection's memory, and where that is too small it says nothing,
 * and waits: the connection is closed instead. */
static bool has_too_many_arguments(str query)
{
	size_t n = 0;

	for (size_t i = 0; i < query.n; i++)
		n += query.p[i] == '&';
	return n >= (size_t)2 * HTTP_MAX_QUERY;
}

void *request_begin(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	const str text = uri ? str_c(uri) : S("");
	struct req_internal *r = mem_zalloc(sizeof(*r) + text.n + 1);
	str path, query;

	(void)cls;
	memcpy(r->uri_text, text.p, text.n);
	r->mhd = mhd;
	r->conn = conn_of(mhd);
	r->h = r->conn->h;
	r->rq.in = r;
	r->rq.services = r->h->opt.services;
	r->uri = (str){ r->uri_text, text.n };
	query = without_authority(r->uri);
	str_split_next(&query, '?', &path);
	r->rq.path = path;
	r->query = query;
	list_init(&r->node);
	if (has_too_many_arguments(r->query))
		shutdown(r->conn->fd, SHUT_RDWR);
	atomic_store(&r->conn->busy, true);
	atomic_store(&r->conn->deadline_us, deadline(r->h, 0));
	return r;
}

void request_extend(struct req_internal *r, uint64_t bytes)
{
	const int64_t until = deadline(r->h, bytes);

	if (r->stage == STAGE_BODY)
		watch_receiving(r->conn, until);
	else
		atomic_store(&r->conn->deadline_us, until);
}

struct lane_pool *request_lane(const struct req_internal *r) { return &r->h->lanes[r->lane]; }

void request_hand_over(struct req_internal *r, enum job job, enum stage after)
{
	r->stage = STAGE_WORKING;
	r->job = job;
	r->after = after;
	atomic_store(&r->conn->deadline_us, 0);
	MHD_suspend_connection(r->mhd);
	lane_push(request_lane(r), r);
}

enum MHD_Result request_answer(struct req_internal *r)
{
	const bool early = r->stage == STAGE_HEAD || r->stage == STAGE_BEGUN;
	enum MHD_Result rc = MHD_NO;

	r->stage = STAGE_SENT;
	if (early && r->upload.length != 0)
		linger_begin(r->conn);
	if (r->response) {
		request_extend(r, r->answer_bytes);
		rc = MHD_queue_response(r->mhd, (unsigned)r->status, r->response);
		MHD_destroy_response(r->response);
		r->response = NULL;
	}
	return rc;
}

static bool serves(const struct http_listener *l, enum group g)
{
	switch (g) {
	case GROUP_CLIENT:
		return l->client;
	case GROUP_FEDERATION:
		return l->federation;
	case GROUP_SHARED:
		return l->client || l->federation;
	case GROUP_METRICS:
		return l->metrics;
	case GROUP_HEALTH:
		return l->health;
	}
	return false;
}

static bool is_options(const struct req_internal *r) { return str_eq(r->rq.method, S("OPTIONS")); }

static void find_route(struct req_internal *r)
{
	const enum group g = router_group(r->rq.path);

	r->head = str_eq(r->rq.method, S("HEAD"));
	r->max_body = HTTP_BODY_DEFAULT;
	if (!serves(&r->conn->listener->opt, g)) {
		r->refused = ERR_UNRECOGNIZED;
		r->refused_why = "Unrecognized request";
		return;
	}
	router_find(r->h->router, r->rq.path, r->head ? M_GET : router_method(r->rq.method), &r->hit);
	if (r->hit.found) {
		r->rq.route = r->hit.found->route;
		r->lane = r->rq.route->lane;
		if (r->rq.route->max_body)
			r->max_body = r->rq.route->max_body;
		return;
	}
	r->refused = r->hit.allowed ? ERR_METHOD : ERR_UNRECOGNIZED;
	r->refused_why = "Unrecognized request";
}

static enum MHD_Result take_head(struct req_internal *r, const char *method, const char *version)
{
	struct refusal why;

	r->rq.method = str_c(method);
	find_route(r);
	r->body.max = r->max_body;
	why = guard_head(r, version);
	if (why.code != ERR_NONE) {
		r->must_close |= why.close;
		run_refusal(r, why);
		return request_answer(r);
	}
	if (is_options(r))
		r->refused = ERR_NONE; /* "the server MUST NOT perform any logic defined for the endpoints" */
	if (r->rq.route && r->rq.route->sink)
		return upload_head(r);
	r->stage = STAGE_BODY;
	return MHD_YES;
}

/* Bodies of all requests together are bounded, too: what one connection may have is not there for ten thousand. */
bool request_charge(struct req_internal *r, int64_t total)
{
	const int64_t more = total - r->body_charged;

	if (more <= 0)
		return true;
	if (atomic_fetch_add(&r->h->body_bytes, more) + more > HTTP_BODIES_TOTAL) {
		atomic_fetch_sub(&r->h->body_bytes, more);
		return false;
	}
	r->body_charged += more;
	return true;
}

void request_release(struct req_internal *r)
{
	if (r->body_charged)
		atomic_fetch_sub(&r->h->body_bytes, r->body_charged);
	r->body_charged = 0;
	buf_done(&r->body);
}

void request_refuse(struct req_internal *r, enum err_code code, const char *why)
{
	if (r->refused == ERR_NONE) {
		r->refused = code;
		r->refused_why = why;
	}
	request_release(r);
}

enum MHD_Result request_discard(struct req_internal *r, size_t *n)
{
	const bool fresh = atomic_load(&r->conn->deadline_us) == 0; /* a worker has just failed with it */

	/* Time for a piece at a time, as for what is wanted: not all at once for who sends nothing. */
	if (fresh || r->dropped / HTTP_STREAM_BYTES != (r->dropped + *n) / HTTP_STREAM_BYTES)
		request_extend(r, HTTP_STREAM_BYTES);
	request_release(r);
	r->dropped += *n;
	*n = 0;
	return r->dropped > HTTP_BODY_DISCARD ? MHD_NO : MHD_YES;
}

static enum MHD_Result take_body(struct req_internal *r, const char *p, size_t *n)
{
	const size_t need = r->body.n + *n;

	if (*n > r->max_body - r->body.n)
		request_refuse(r, ERR_TOO_LARGE, "The body is too large");
	else if (!request_charge(r, (int64_t)(need > r->body.cap ? 2 * need : r->body.cap)))
		request_refuse(r, ERR_BUSY, "Too many large requests at once");
	if (r->refused != ERR_NONE)
		return request_discard(r, n);
	/* Large bodies get more time as they come, not by what they promise. */
	if (r->body.n / r->h->opt.min_bytes_s != need / r->h->opt.min_bytes_s)
		atomic_fetch_add(&r->conn->deadline_us, INT64_C(1000000));
	buf_add(&r->body, (str){ p, *n });
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result whole(struct req_internal *r)
{
	r->rq.arrived_us = clock_mono_us();
	atomic_store(&r->conn->receiving, false);
	atomic_store(&r->conn->deadline_us, 0);
	atomic_fetch_add(&r->h->active, 1);
	r->counted = true;
	if (r->response)
		return request_answer(r);
	if (r->refused != ERR_NONE) {
		run_refusal(r, (struct refusal){ r->refused, 0, false, r->refused_why });
		return request_answer(r);
	}
	if (is_options(r)) {
		run_options(r);
		return request_answer(r);
	}
	if (r->rq.route->lane == LANE_LOOP) {
		run_here(r);
		return request_answer(r);
	}
	if (r->upload.begun) {
		lane_reserve_more(request_lane(r));
	} else if (!lane_reserve(request_lane(r))) {
		metric_add(metrics_http()->refused_requests, 1);
		run_refusal(r, (struct refusal){ ERR_BUSY, 0, false, "The server is too busy" });
		return request_answer(r);
	}
	request_hand_over(r, JOB_RUN, STAGE_DONE);
	return MHD_YES;
}

enum MHD_Result request_step(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
			     const char *version, const char *upload, size_t *upload_size, void **req)
{
	struct req_internal *r = *req;
	(void)cls;
	(void)url;
	assert(r && r->mhd == mhd);
	switch (r->stage) {
	case STAGE_HEAD:
		return take_head(r, method, version);
	case STAGE_BEGUN:
		return upload_begun(r);
	case STAGE_BODY:
		if (*upload_size == 0)
			return whole(r);
		if (r->refused != ERR_NONE || r->response)
			return request_discard(r, upload_size);
		if (r->rq.route && r->rq.route->sink)
			return upload_bytes(r, upload, upload_size);
		return take_body(r, upload, upload_size);
	case STAGE_DONE:
		return request_answer(r);
	case STAGE_WORKING: /* the library does not call while it is suspended */
	case STAGE_SENT:
		break;
	}
	*upload_size = 0;
	return MHD_YES;
}

void request_end(void *cls, struct MHD_Connection *mhd, void **req, enum MHD_RequestTerminationCode why)
{
	struct req_internal *r = *req;
	struct http *h;

	(void)cls;
	(void)mhd;
	(void)why;
	if (!r)
		return;
	*req = NULL;
	h = r->h;
	assert(r->stage != STAGE_WORKING);
	if (r->response)
		MHD_destroy_response(r->response);
	atomic_store(&r->conn->busy, false);
	atomic_store(&r->conn->receiving, false);
	if (atomic_load(&h->stopping)) /* watch_expire may have found it busy */
		shutdown(r->conn->fd, SHUT_RD);
	atomic_store(&r->conn->deadline_us, clock_mono_us() + HTTP_IDLE_S * INT64_C(1000000));
	request_release(r);
	stream_done(r);
	buf_done(&r->out);
	if (r->kept)
		r->drop_kept(r->kept);
	mem_free(r->origin_name);
	if (r->counted && atomic_fetch_sub(&h->active, 1) == 1 && atomic_load(&h->stopping)) {
		LOCKED(&h->lock);
		cond_broadcast(&h->ended);
	}
	if (r->upload.begun || r->stream.ops) {
		r->mhd = NULL;
		r->conn = NULL;
		r->job = JOB_DROP;
		lane_reserve_more(request_lane(r));
		lane_push(request_lane(r), r);
		return;
	}
	mem_free(r);
}
