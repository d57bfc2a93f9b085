/*
 * client.c - calls: what is asked, hop by hop, on the thread that waits for it.
 *
 * The thread makes a hop for each call and sleeps until one has something to say: bytes for `take`, or that it is over.
 * A redirect is a new hop to a new address, which goes through every check that the first one went through; so there is
 * one way out of here, and it is guarded.
 */
#include "http/internal_client.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- outcomes ---- */

static const struct {
	enum err_code code;
	const char *label;
} failures[] = {
	[0] = { ERR_NONE, "outcome=\"answered\"" },
	[CLIENT_BAD_URL] = { ERR_INVALID_PARAM, "outcome=\"bad_url\"" },
	[CLIENT_REFUSED] = { ERR_FORBIDDEN, "outcome=\"refused_address\"" },
	[CLIENT_NO_HOST] = { ERR_CONNECTION_FAILED, "outcome=\"no_host\"" },
	[CLIENT_NO_CONNECT] = { ERR_CONNECTION_FAILED, "outcome=\"no_connection\"" },
	[CLIENT_TLS] = { ERR_CONNECTION_FAILED, "outcome=\"tls\"" },
	[CLIENT_BROKEN] = { ERR_CONNECTION_FAILED, "outcome=\"broken\"" },
	[CLIENT_TIMEOUT] = { ERR_CONNECTION_TIMEOUT, "outcome=\"timeout\"" },
	[CLIENT_TOO_LARGE] = { ERR_TOO_LARGE, "outcome=\"too_large\"" },
	[CLIENT_BAD_REDIRECT] = { ERR_CONNECTION_FAILED, "outcome=\"bad_redirect\"" },
	[CLIENT_WRONG_TYPE] = { ERR_CONNECTION_FAILED, "outcome=\"wrong_type\"" },
	[CLIENT_BUSY] = { ERR_BUSY, "outcome=\"busy\"" },
	[CLIENT_STOPPED] = { ERR_BUSY, "outcome=\"stopped\"" },
	[CLIENT_NOT_TAKEN] = { ERR_INTERNAL, "outcome=\"not_taken\"" },
};
static struct metric *outcomes[ARRAY_LEN(failures)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		outcomes[i] = metric_counter("hearth_client_requests_total",
					     "Requests to other servers, redirects counted apart", failures[i].label);
}

static err *failed(struct arena *a, enum client_failure f, const char *why)
{
	err *e = err_new(a, failures[f].code, "The request failed: %s", why);

	e->detail = f;
	return e;
}

/* ---- one run of client_all ---- */

struct run {
	struct client *cl;
	struct arena *a;
	int64_t deadline_us;
	struct client_group group;
	size_t left; /* calls */
};

/* All of a host's hops are on one loop, so that its limit is one. */
static struct client_loop *loop_of(const struct client *cl, str host)
{
	return &cl->loops[hash_str(host) % cl->opt.loops];
}

static void submit(struct run *r, struct client_call *c, const struct client_url *url, bool same_origin)
{
	struct client_hop *h = MEM_NEW(struct client_hop);
	const bool elsewhere = !str_is_none(c->connect_host) && same_origin;

	h->call = c;
	h->group = &r->group;
	h->url = *url;
	h->same_origin = same_origin;
	h->connect_host = elsewhere ? c->connect_host : url->host;
	h->connect_port = elsewhere ? c->connect_port : url->port;
	h->srv = c->connect_srv;
	h->n_srv = elsewhere ? c->n_connect_srv : 0;
	h->may_redirect = c->max_redirects > 0 &&
			  (str_is_none(c->method) || str_eq(c->method, S("GET")) || str_eq(c->method, S("HEAD")));
	h->deadline_us = r->deadline_us;
	list_init(&h->node);
	list_init(&h->by_age);
	list_init(&h->nudge);
	list_init(&h->ready);
	h->head.max = CLIENT_MAX_HEAD;
	h->body.max = 0;
	c->hop = h;
	client_submit(loop_of(r->cl, h->connect_host), h);
}

static void hop_free(struct client_hop *h)
{
	buf_done(&h->head);
	buf_done(&h->body);
	buf_done(&h->pending);
	mem_free(h);
}

/* `take` may have said before why not. */
static void end_call(struct run *r, struct client_call *c, err *e)
{
	metric_add(outcomes[c->error ? CLIENT_NOT_TAKEN : e ? e->detail : 0], 1);
	if (!c->error)
		c->error = e;
	r->left--;
}

static void keep_headers(struct run *r, struct client_call *c, const struct client_hop *h)
{
	struct client_header *out = ARENA_ARRAY(r->a, struct client_header, h->n_head);
	const char *p = h->head.p;

	for (size_t i = 0; i < h->n_head; i++) {
		const str name = str_c(p), value = str_c(p + name.n + 1);

		out[i] = (struct client_header){ arena_keep(r->a, name), arena_keep(r->a, value) };
		p = value.p + value.n + 1;
	}
	c->answer_headers = out;
	c->n_answer_headers = h->n_head;
}

static err *read_url(struct arena *a, const struct client_call *c, struct client_url *out)
{
	return c->path_as_is ? client_url_parse_as_is(a, c->url, out) : client_url_parse(a, c->url, out);
}

static void follow(struct run *r, struct client_call *c, const struct client_hop *h, unsigned so_far)
{
	struct client_url first, next;
	err *e;

	metric_add(outcomes[0], 1);
	if (so_far >= c->max_redirects) {
		end_call(r, c, failed(r->a, CLIENT_BAD_REDIRECT, "it redirects too often"));
		return;
	}
	e = read_url(r->a, c, &first);
	if (!e)
		e = client_url_join(r->a, h->url.text, hop_header(h, S("Location")), &next);
	if (e) {
		end_call(r, c, failed(r->a, CLIENT_BAD_REDIRECT, "it redirects to what is no http or https address"));
		return;
	}
	if (c->may_follow && !c->may_follow(c->follow_ctx, &next)) {
		end_call(r, c, failed(r->a, CLIENT_REFUSED, "it redirects to an address that is not asked"));
		return;
	}
	c->n_redirects++;
	submit(r, c, &next, h->same_origin && str_eq(first.origin, next.origin));
}

static void take_outcome(struct run *r, struct client_hop *h)
{
	struct client_call *c = h->call;

	c->hop = NULL;
	if (h->failure) {
		end_call(r, c, failed(r->a, h->failure, h->why));
	} else if (hop_is_redirect(h)) {
		follow(r, c, h, c->n_redirects);
	} else {
		c->status = h->status;
		c->final_url = h->url.text;
		keep_headers(r, c, h);
		c->answer = arena_keep(r->a, h->has_body && h->body.n > 0 ? buf_str(&h->body) : S(""));
		if (c->take && c->status >= 200 && c->status <= 299)
			c->answer = STR_NONE;
		end_call(r, c, NULL);
	}
	hop_free(h);
}

/* ---- waiting ---- */

/* Bytes that came, into `out`; or that it is over. */
static struct client_hop *next_ready(struct client_group *g, struct buf *out, bool *out_paused, bool *out_done)
{
	LOCKED(&g->lock);
	struct client_hop *h;

	while (list_is_empty(&g->ready))
		cond_wait(&g->cond, &g->lock);
	h = LIST_ITEM(list_pop(&g->ready), struct client_hop, ready);
	*out = h->pending;
	h->pending = (struct buf){ 0 };
	*out_paused = h->paused;
	*out_done = h->done;
	h->paused = false;
	return h;
}

static void give_bytes(struct client_hop *h, str bytes)
{
	struct client_call *c = h->call;

	if (bytes.n == 0 || c->error)
		return;
	c->status = h->status;
	c->error = c->take(c->take_ctx, c, bytes);
	if (c->error)
		client_nudge(h, true);
}

static void serve(struct run *r)
{
	AUTO_BUF bytes = { 0 };
	bool paused, done;
	struct client_hop *h = next_ready(&r->group, &bytes, &paused, &done);

	give_bytes(h, buf_str(&bytes));
	buf_done(&bytes);
	if (done)
		take_outcome(r, h);
	else if (paused)
		client_nudge(h, false);
}

static bool is_clean(str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t')
			return false;
	}
	return true;
}

static err *check_headers(struct arena *a, const struct client_call *c)
{
	for (size_t i = 0; i < c->n_headers; i++) {
		if (!is_clean(c->headers[i].name) || !is_clean(c->headers[i].value))
			return failed(a, CLIENT_BAD_URL, "a header holds control characters");
	}
	return NULL;
}

static void begin(struct run *r, struct client_call *c)
{
	struct client_url url;
	err *e = read_url(r->a, c, &url);

	c->error = NULL;
	c->status = 0;
	c->n_redirects = 0;
	c->final_url = c->answer = STR_NONE;
	c->answer_headers = NULL;
	c->n_answer_headers = 0;
	c->hop = NULL;
	if (!e)
		e = check_headers(r->a, c);
	if (e)
		end_call(r, c, e);
	else
		submit(r, c, &url, true);
}

void client_all(struct client *cl, struct arena *a, struct client_call *calls, size_t n, int64_t deadline_us)
{
	struct run r = { .cl = cl, .a = a, .deadline_us = deadline_us, .left = n };

	assert(!lock_any_held());
	lock_init(&r.group.lock, RANK_TICKET);
	cond_init(&r.group.cond);
	list_init(&r.group.ready);
	for (size_t i = 0; i < n; i++)
		begin(&r, &calls[i]);
	while (r.left > 0)
		serve(&r);
	cond_done(&r.group.cond);
	lock_done(&r.group.lock);
}

err *client_one(struct client *cl, struct arena *a, struct client_call *call, int64_t deadline_us)
{
	client_all(cl, a, call, 1, deadline_us);
	return call->error;
}

str client_answer_header(const struct client_call *c, const char *name)
{
	if (c->hop)
		return hop_header(c->hop, str_c(name));
	for (size_t i = 0; i < c->n_answer_headers; i++) {
		if (str_eq_nocase(c->answer_headers[i].name, str_c(name)))
			return c->answer_headers[i].value;
	}
	return STR_NONE;
}

/* ---- the service ---- */

static unsigned or_else(unsigned value, unsigned otherwise) { return value ? value : otherwise; }

static void fill_in(struct client_options *o)
{
	o->loops = or_else(o->loops, CLIENT_LOOPS);
	o->max_running = or_else(o->max_running, CLIENT_MAX_RUNNING);
	o->max_per_host = or_else(o->max_per_host, CLIENT_MAX_PER_HOST);
	o->max_waiting = or_else(o->max_waiting, CLIENT_MAX_WAITING);
	o->max_idle = or_else(o->max_idle, CLIENT_MAX_IDLE);
	o->queue_ms = or_else(o->queue_ms, CLIENT_QUEUE_MS);
	o->connect_ms = or_else(o->connect_ms, CLIENT_CONNECT_MS);
	o->slow_ms = or_else(o->slow_ms, CLIENT_SLOW_MS);
}

err *client_new(struct arena *a, const struct client_options *opt, struct client **out)
{
	struct client *cl = ARENA_NEW(a, struct client);

	if (!str_is_none(opt->ca_file) && access(arena_cstr(a, opt->ca_file), R_OK) != 0)
		return err_new(a, ERR_CONFIG, "The authorities' certificates in %.*s cannot be read: %s",
			       STR_ARG(opt->ca_file), strerror(errno));
	pthread_once(&once, make_once);
	cl->log = opt->log;
	cl->opt = *opt;
	fill_in(&cl->opt);
	cl->user_agent = arena_cstr(a, opt->user_agent);
	if (!str_is_none(opt->dns_servers))
		cl->dns_servers = arena_cstr(a, opt->dns_servers);
	/* Else what OpenSSL's own programs go by, where the system's authorities are not wanted. */
	cl->ca_file = str_is_none(opt->ca_file) ? secure_getenv("SSL_CERT_FILE") : arena_cstr(a, opt->ca_file);
	cl->loops = ARENA_ARRAY(a, struct client_loop, cl->opt.loops);
	for (unsigned i = 0; i < cl->opt.loops; i++)
		client_loop_start(&cl->loops[i], cl);
	*out = cl;
	return NULL;
}

void client_stop(struct client *cl)
{
	for (unsigned i = 0; i < cl->opt.loops; i++)
		client_loop_stop(&cl->loops[i]);
}

void client_free(struct client **cl)
{
	if (!*cl)
		return;
	for (unsigned i = 0; i < (*cl)->opt.loops; i++)
		client_loop_done(&(*cl)->loops[i]);
	*cl = NULL;
}
