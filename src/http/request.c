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
	       ((int64_t)h->opt.request_timeout_s + (int64_t)(bytes / HTTP_MIN_BYTES_S)) * INT64_C(1000000);
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

static enum MHD_Result send_answer(struct req_internal *r)
{
	enum MHD_Result rc = MHD_NO;

	r->stage = STAGE_SENT;
	if (r->response) {
		atomic_store(&r->conn->deadline_us, deadline(r->h, r->answer_bytes));
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
		return send_answer(r);
	}
	if (is_options(r))
		r->refused = ERR_NONE; /* "the server MUST NOT perform any logic defined for the endpoints" */
	r->stage = STAGE_BODY;
	return MHD_YES;
}

/* Bodies of all requests together are bounded, too: what one connection may have is not there for ten thousand. */
static bool charge(struct req_internal *r, size_t n)
{
	const size_t need = r->body.n + n;
	const int64_t more = (int64_t)(need > r->body.cap ? 2 * need : r->body.cap) - r->body_charged;

	if (more <= 0)
		return true;
	if (atomic_fetch_add(&r->h->body_bytes, more) + more > HTTP_BODIES_TOTAL) {
		atomic_fetch_sub(&r->h->body_bytes, more);
		return false;
	}
	r->body_charged += more;
	return true;
}

static void refuse(struct req_internal *r, enum err_code code, const char *why)
{
	if (r->refused == ERR_NONE) {
		r->refused = code;
		r->refused_why = why;
	}
	buf_done(&r->body);
}

static enum MHD_Result take_body(struct req_internal *r, const char *p, size_t n)
{
	if (r->refused == ERR_NONE && n > r->max_body - r->body.n)
		refuse(r, ERR_TOO_LARGE, "The body is too large");
	if (r->refused == ERR_NONE && !charge(r, n))
		refuse(r, ERR_BUSY, "Too many large requests at once");
	if (r->refused == ERR_NONE) {
		/* Large bodies get more time as they come, not by what they promise. */
		if (r->body.n / HTTP_MIN_BYTES_S != (r->body.n + n) / HTTP_MIN_BYTES_S)
			atomic_fetch_add(&r->conn->deadline_us, INT64_C(1000000));
		buf_add(&r->body, (str){ p, n });
		return MHD_YES;
	}
	r->dropped += n;
	return r->dropped > HTTP_BODY_DISCARD ? MHD_NO : MHD_YES;
}

static enum MHD_Result whole(struct req_internal *r)
{
	struct lane_pool *lane;

	r->rq.arrived_us = clock_mono_us();
	atomic_store(&r->conn->deadline_us, 0);
	atomic_fetch_add(&r->h->active, 1);
	r->counted = true;
	if (r->refused != ERR_NONE) {
		run_refusal(r, (struct refusal){ r->refused, 0, false, r->refused_why });
		return send_answer(r);
	}
	if (is_options(r)) {
		run_options(r);
		return send_answer(r);
	}
	if (r->rq.route->lane == LANE_LOOP) {
		run_here(r);
		return send_answer(r);
	}
	lane = &r->h->lanes[r->rq.route->lane];
	if (!lane_reserve(lane)) {
		metric_add(metrics_http()->refused_requests, 1);
		run_refusal(r, (struct refusal){ ERR_BUSY, 0, false, "The server is too busy" });
		return send_answer(r);
	}
	r->stage = STAGE_WORKING;
	MHD_suspend_connection(r->mhd);
	lane_push(lane, r);
	return MHD_YES;
}

enum MHD_Result request_step(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
			     const char *version, const char *upload, size_t *upload_size, void **req)
{
	struct req_internal *r = *req;
	enum MHD_Result rc;

	(void)cls;
	(void)url;
	assert(r && r->mhd == mhd);
	switch (r->stage) {
	case STAGE_HEAD:
		return take_head(r, method, version);
	case STAGE_BODY:
		if (*upload_size == 0)
			return whole(r);
		rc = take_body(r, upload, *upload_size);
		*upload_size = 0;
		return rc;
	case STAGE_DONE:
		return send_answer(r);
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
	if (atomic_load(&h->stopping)) /* watch_expire may have found it busy */
		shutdown(r->conn->fd, SHUT_RD);
	atomic_store(&r->conn->deadline_us, clock_mono_us() + HTTP_IDLE_S * INT64_C(1000000));
	if (r->body_charged)
		atomic_fetch_sub(&h->body_bytes, r->body_charged);
	buf_done(&r->body);
	buf_done(&r->out);
	if (r->counted && atomic_fetch_sub(&h->active, 1) == 1 && atomic_load(&h->stopping)) {
		LOCKED(&h->lock);
		cond_broadcast(&h->ended);
	}
	mem_free(r);
}
