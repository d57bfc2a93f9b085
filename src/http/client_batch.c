/*
 * client_batch.c - calls: what is asked, hop by hop, on the thread that waits for it.
 *
 * Calls are started in a batch, which is one thread's. It makes a hop for each call and sleeps until one has something
 * to say: bytes for `take`, or that it is over. A redirect is a new hop to a new address, which goes through every
 * check that the first one went through; so there is one way out of here, and it is guarded.
 *
 * A call that cannot even begin is a hop as well, which no loop ever sees: whoever starts calls hears of their ends in
 * one place.
 */
#include "http/internal_client.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <assert.h>

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

void client_count_outcomes(void)
{
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

/* ---- a batch ---- */

struct client_batch {
	struct client *cl;
	struct client_group group;
	struct list hops;    /* of all calls that have not been given back */
	struct list refused; /* of them, those that never began */
};

static void batch_init(struct client_batch *b, struct client *cl)
{
	*b = (struct client_batch){ .cl = cl };
	lock_init(&b->group.lock, RANK_TICKET);
	cond_init(&b->group.cond);
	list_init(&b->group.ready);
	list_init(&b->hops);
	list_init(&b->refused);
}

static void batch_done(struct client_batch *b)
{
	assert(list_is_empty(&b->hops));
	cond_done(&b->group.cond);
	lock_done(&b->group.lock);
}

static struct client_hop *hop_new(struct client_batch *b, struct arena *a, struct client_call *c, int64_t deadline_us)
{
	struct client_hop *h = MEM_NEW(struct client_hop);

	h->call = c;
	h->arena = a;
	h->group = &b->group;
	h->deadline_us = deadline_us;
	list_init(&h->node);
	list_init(&h->by_age);
	list_init(&h->nudge);
	list_init(&h->ready);
	list_init(&h->of_batch);
	h->head.max = CLIENT_MAX_HEAD;
	list_add_tail(&b->hops, &h->of_batch);
	c->hop = h;
	return h;
}

static void hop_free(struct client_hop *h)
{
	list_del(&h->of_batch);
	list_del(&h->ready);
	buf_done(&h->head);
	buf_done(&h->body);
	buf_done(&h->pending);
	mem_free(h);
}

/* All of a host's hops are on one loop, so that its limit is one. */
static struct client_loop *loop_of(const struct client *cl, str host)
{
	return &cl->loops[hash_str(host) % cl->opt.loops];
}

/* Who is not verified is whom the caller named: no redirect leads to another such host by itself. */
static struct client_tls tls_for(const struct client_call *c, str host, bool same_origin)
{
	const struct client_tls usual = { .ca_pem = STR_NONE };
	const struct client_tls *said = same_origin || !c->tls_of ? c->tls : c->tls_of(c->follow_ctx, host);
	struct client_tls tls = said ? *said : usual;

	tls.unverified = tls.unverified && (same_origin || c->tls_of);
	return tls;
}

static void submit(struct client_batch *b, struct client_hop *h, const struct client_url *url, bool same_origin)
{
	const struct client_call *c = h->call;
	const bool elsewhere = !str_is_none(c->connect_host) && same_origin;

	h->url = *url;
	h->same_origin = same_origin;
	h->tls = tls_for(c, url->host, same_origin);
	h->connect_host = elsewhere ? c->connect_host : url->host;
	h->connect_port = elsewhere ? c->connect_port : url->port;
	h->srv = c->connect_srv;
	h->n_srv = elsewhere ? c->n_connect_srv : 0;
	h->may_redirect = c->max_redirects > 0 &&
			  (str_is_none(c->method) || str_eq(c->method, S("GET")) || str_eq(c->method, S("HEAD")));
	client_submit(loop_of(b->cl, h->connect_host), h);
}

/* ---- the end of a call ---- */

static void keep_headers(struct client_call *c, const struct client_hop *h)
{
	struct client_header *out = ARENA_ARRAY(h->arena, struct client_header, h->n_head);
	const char *p = h->head.p;

	for (size_t i = 0; i < h->n_head; i++) {
		const str name = str_c(p), value = str_c(p + name.n + 1);

		out[i] = (struct client_header){ arena_keep(h->arena, name), arena_keep(h->arena, value) };
		p = value.p + value.n + 1;
	}
	c->answer_headers = out;
	c->n_answer_headers = h->n_head;
}

static err *read_url(struct arena *a, const struct client_call *c, struct client_url *out)
{
	return c->path_as_is ? client_url_parse_as_is(a, c->url, out) : client_url_parse(a, c->url, out);
}

static err *check_redirect(const struct client_call *c, const struct client_hop *h, struct client_url *out_first,
			   struct client_url *out_next)
{
	struct arena *a = h->arena;
	err *e;

	if (c->n_redirects >= c->max_redirects)
		return failed(a, CLIENT_BAD_REDIRECT, "it redirects too often");
	e = read_url(a, c, out_first);
	if (!e)
		e = client_url_join(a, h->url.text, hop_header(h, S("Location")), out_next);
	if (e)
		return failed(a, CLIENT_BAD_REDIRECT, "it redirects to what is no http or https address");
	if (c->may_follow && !c->may_follow(c->follow_ctx, out_next))
		return failed(a, CLIENT_REFUSED, "it redirects to an address that is not asked");
	return NULL;
}

/* True: the call goes on. */
static bool follow(struct client_batch *b, struct client_call *c, const struct client_hop *h, err **out_error)
{
	struct client_url first, next;

	*out_error = check_redirect(c, h, &first, &next);
	if (*out_error)
		return false;
	c->n_redirects++;
	submit(b, hop_new(b, h->arena, c, h->deadline_us), &next, h->same_origin && str_eq(first.origin, next.origin));
	return true;
}

static void keep_answer(struct client_call *c, const struct client_hop *h)
{
	c->status = h->status;
	c->final_url = h->url.text;
	keep_headers(c, h);
	c->answer = arena_keep(h->arena, h->has_body && h->body.n > 0 ? buf_str(&h->body) : S(""));
	if (c->take && c->status >= 200 && c->status <= 299)
		c->answer = STR_NONE;
}

/* Of a hop that is over. The call, if it is over as well; `take` may have said before why. */
static struct client_call *take_outcome(struct client_batch *b, struct client_hop *h)
{
	struct client_call *c = h->call;
	err *e = NULL;
	bool goes_on = false;

	c->hop = NULL;
	if (h->failure)
		e = failed(h->arena, h->failure, h->why);
	else if (hop_is_redirect(h))
		goes_on = follow(b, c, h, &e);
	else
		keep_answer(c, h);
	hop_free(h);
	metric_add(outcomes[c->error ? CLIENT_NOT_TAKEN : e ? e->detail : 0], 1);
	if (!c->error)
		c->error = e;
	return goes_on ? NULL : c;
}

/* Of one that never began, with its error. */
static struct client_call *give_refused(struct client_hop *h)
{
	struct client_call *c = h->call;

	metric_add(outcomes[c->error->detail], 1);
	c->hop = NULL;
	hop_free(h);
	return c;
}

/* ---- waiting ---- */

/* Bytes that came, into `out`; or that it is over. NULL: nothing by then, or somebody woke us. */
static struct client_hop *next_ready(struct client_group *g, int64_t until_us, struct buf *out, bool *out_paused,
				     bool *out_done)
{
	LOCKED(&g->lock);
	struct client_hop *h;
	bool in_time = true;

	while (list_is_empty(&g->ready) && !g->woken && in_time)
		in_time = cond_wait_until(&g->cond, &g->lock, until_us);
	if (list_is_empty(&g->ready)) {
		g->woken = false;
		return NULL;
	}
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

/* What one hop has to say. False: none has, by then. The call that ended thereby, or NULL. */
static bool serve(struct client_batch *b, int64_t until_us, struct client_call **out)
{
	AUTO_BUF bytes = { 0 };
	bool paused, done;
	struct client_hop *h = next_ready(&b->group, until_us, &bytes, &paused, &done);

	*out = NULL;
	if (!h)
		return false;
	give_bytes(h, buf_str(&bytes));
	if (done)
		*out = take_outcome(b, h);
	else if (paused)
		client_nudge(h, false);
	return true;
}

static bool was_woken(struct client_batch *b)
{
	LOCKED(&b->group.lock);
	const bool woken = b->group.woken;

	b->group.woken = false;
	return woken;
}

struct client_call *client_batch_next(struct client_batch *b, int64_t until_us)
{
	struct client_call *ended;

	assert(!lock_any_held());
	if (!list_is_empty(&b->refused))
		return give_refused(LIST_ITEM(list_pop(&b->refused), struct client_hop, node));
	/* Who streams without an end to one call does not keep the batch's owner from what it was woken for. */
	while (serve(b, MAX(until_us, 0), &ended) && !ended)
		if (was_woken(b))
			return NULL;
	return ended;
}

void client_batch_wake(struct client_batch *b)
{
	LOCKED(&b->group.lock);
	b->group.woken = true;
	cond_signal(&b->group.cond);
}

/* ---- the beginning of a call ---- */

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

void client_batch_start(struct client_batch *b, struct arena *a, struct client_call *c, int64_t deadline_us)
{
	struct client_hop *h = hop_new(b, a, c, deadline_us);
	struct client_url url;

	c->status = 0;
	c->n_redirects = 0;
	c->final_url = c->answer = STR_NONE;
	c->answer_headers = NULL;
	c->n_answer_headers = 0;
	c->error = read_url(a, c, &url);
	if (!c->error)
		c->error = check_headers(a, c);
	if (c->error)
		list_add_tail(&b->refused, &h->node);
	else
		submit(b, h, &url, true);
}

struct client_batch *client_batch_new(struct client *cl)
{
	struct client_batch *b = MEM_NEW(struct client_batch);

	batch_init(b, cl);
	return b;
}

/* The loops let go of what they have, which they do soon: only then may what the hops borrow go away. */
void client_batch_free(struct client_batch **batch)
{
	struct client_batch *b = *batch;
	bool paused, done;

	if (!b)
		return;
	while (!list_is_empty(&b->refused))
		hop_free(LIST_ITEM(list_pop(&b->refused), struct client_hop, node));
	LIST_EACH (&b->hops, it)
		client_nudge(LIST_ITEM(it, struct client_hop, of_batch), true);
	while (!list_is_empty(&b->hops)) {
		AUTO_BUF bytes = { 0 };
		struct client_hop *h = next_ready(&b->group, INT64_MAX, &bytes, &paused, &done);

		if (h && done)
			hop_free(h);
	}
	batch_done(b);
	mem_free(b);
	*batch = NULL;
}

void client_all(struct client *cl, struct arena *a, struct client_call *calls, size_t n, int64_t deadline_us)
{
	struct client_batch b;

	assert(!lock_any_held());
	batch_init(&b, cl);
	for (size_t i = 0; i < n; i++)
		client_batch_start(&b, a, &calls[i], deadline_us);
	while (!list_is_empty(&b.hops))
		(void)client_batch_next(&b, INT64_MAX);
	batch_done(&b);
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
