/*
 * fed.c - the service, and the batch: each call's way from a name to an answer, on one thread for all of them.
 *
 * A call is refused at once (this server itself, not allowed, left alone for now), or becomes a flight: it looks for
 * its server (discovery.h), which may mean to ask the server's host, or to wait for another's question; then it is
 * signed and asked; then its answer is read. All asking goes through one client_batch; who waits for somebody else's
 * question is put into `ready` by whoever asked, from another thread perhaps. A waiting flight's time is kept here:
 * when the first of them expires is known as a lower bound, so that it is looked for rarely.
 */
#include "federation/internal_fed.h"

#include "base/clock.h"
#include "matrix/id.h"

#include <assert.h>

enum { SILENCE_MS = 60000 };

struct fed_batch {
	struct fed *f;
	struct client_batch *calls;
	struct list flights, ended, waiting;
	int64_t next_expiry_us;
	struct lock lock;
	struct list ready; /* under lock, as is: */
	bool woken;
};

err *fed_new(struct arena *a, const struct fed_options *opt, struct fed **out)
{
	struct fed *f = MEM_NEW(struct fed);
	err *e;

	f->opt = *opt;
	f->opt.now = opt->now ? opt->now : clock_ms;
	f->opt.silence_ms = opt->silence_ms ? opt->silence_ms : SILENCE_MS;
	fed_count_outcomes();
	map_init(&f->whitelist, NULL);
	for (size_t i = 0; i < opt->n_whitelist; i++)
		map_put(&f->whitelist, opt->whitelist[i], f);
	e = backoff_open(f, a);
	if (e)
		fed_free(&f);
	*out = f;
	return e;
}

void fed_free(struct fed **f)
{
	if (!*f)
		return;
	backoff_close(*f);
	map_done(&(*f)->whitelist);
	mem_free(*f);
	*f = NULL;
}

bool fed_is_own(const struct fed *f, str server_name) { return str_eq(server_name, f->opt.signer->server_name); }

bool fed_allowed(const struct fed *f, str server_name)
{
	return id_server_name_valid(server_name) && (!f->opt.whitelist || map_get(&f->whitelist, server_name));
}

/* ---- beginning ---- */

static err *check(const struct fed *f, struct arena *a, const struct fed_call *call)
{
	const str name = call->destination;
	int64_t until;
	err *e;

	if (!id_server_name_valid(name))
		return err_new(a, ERR_INVALID_PARAM, "This is no server's name");
	if (fed_is_own(f, name))
		return err_new(a, ERR_INVALID_PARAM, "This server is not asked over federation");
	if (!fed_allowed(f, name)) {
		e = err_new(a, ERR_FORBIDDEN, "This server does not federate with %.*s", STR_ARG(name));
		e->detail = FED_NOT_ALLOWED;
		return e;
	}
	if (call->patience != FED_ANYWAY && backoff_pauses((struct fed *)(uintptr_t)f, name, &until)) {
		e = err_new(a, ERR_CONNECTION_FAILED, "%.*s did not answer lately, and is not asked for now",
			    STR_ARG(name));
		e->detail = FED_BACKED_OFF;
		return e;
	}
	return NULL;
}

static void end(struct fed_flight *fl)
{
	list_del(&fl->turn);
	list_add_tail(&fl->batch->ended, &fl->turn);
}

static void refuse(struct fed_flight *fl, err *e)
{
	fed_refuse(fl->call, e);
	end(fl);
}

static void ask(struct fed_flight *fl)
{
	struct fed_batch *b = fl->batch;
	err *e = fed_request(fl);

	if (e) {
		refuse(fl, e);
		return;
	}
	fl->began_ms = b->f->opt.now();
	client_batch_start(b->calls, fl->arena, &fl->http, fl->deadline_us);
}

static void search(struct fed_flight *fl)
{
	struct fed_batch *b = fl->batch;
	enum discovery_step step = DISCOVERY_FOUND;
	err *e;

	/* The word that another's question was answered may come before discovery_look has returned. */
	list_del(&fl->turn);
	list_add_tail(&b->waiting, &fl->turn);
	fl->is_searching = true;
	e = discovery_look(b->f->opt.discovery, fl->arena, fl->call->destination, fl->deadline_us, &fl->search, &step);
	if (!e && step == DISCOVERY_WAIT) {
		b->next_expiry_us = MIN(b->next_expiry_us, fl->deadline_us);
		return;
	}
	list_del(&fl->turn);
	if (!e && step == DISCOVERY_ASK) {
		fl->search.call.owner = fl;
		client_batch_start(b->calls, fl->arena, &fl->search.call, fl->search.call_deadline_us);
		return;
	}
	fl->is_searching = false;
	if (e)
		refuse(fl, e);
	else
		ask(fl);
}

/* Any thread. */
static void on_ready(void *flight)
{
	struct fed_flight *fl = flight;
	struct fed_batch *b = fl->batch;

	lock_take(&b->lock);
	list_add_tail(&b->ready, &fl->ready);
	lock_drop(&b->lock);
	client_batch_wake(b->calls);
}

void fed_batch_start(struct fed_batch *b, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	struct fed_flight *fl = MEM_NEW(struct fed_flight);
	err *e;

	fl->fed = b->f;
	fl->batch = b;
	fl->call = call;
	fl->arena = a;
	fl->deadline_us = deadline_us;
	fl->search.ready = on_ready;
	fl->search.ctx = fl;
	list_init(&fl->turn);
	list_init(&fl->ready);
	list_add_tail(&b->flights, &fl->node);
	call->flight = fl;
	call->error = NULL;
	call->status = 0;
	call->retry_after_ms = -1;
	call->answer = NULL;
	call->body = call->content_type = STR_NONE;
	e = check(b->f, a, call);
	if (e)
		refuse(fl, e);
	else
		search(fl);
}

/* ---- going on ---- */

static void searched(struct fed_flight *fl)
{
	err *e = discovery_asked(fl->batch->f->opt.discovery, &fl->search);

	fl->is_searching = false;
	if (e)
		refuse(fl, e);
	else
		ask(fl);
}

static void went(struct fed_flight *fl)
{
	if (fl->is_searching) {
		searched(fl);
		return;
	}
	fed_answer(fl);
	end(fl);
}

static struct fed_flight *next_of_ready(struct fed_batch *b)
{
	LOCKED(&b->lock);
	struct list *node = list_pop(&b->ready);

	return node ? LIST_ITEM(node, struct fed_flight, ready) : NULL;
}

/* Nobody says any more that it is ready. */
static void leave_search(struct fed_flight *fl)
{
	struct fed_batch *b = fl->batch;

	discovery_leave(b->f->opt.discovery, &fl->search);
	lock_take(&b->lock);
	list_del(&fl->ready);
	lock_drop(&b->lock);
	fl->is_searching = false;
}

static void expire(struct fed_batch *b, int64_t now)
{
	int64_t next = INT64_MAX;

	if (now < b->next_expiry_us)
		return;
	LIST_EACH_SAFE (&b->waiting, it) {
		struct fed_flight *fl = LIST_ITEM(it, struct fed_flight, turn);

		if (fl->deadline_us > now) {
			next = MIN(next, fl->deadline_us);
			continue;
		}
		leave_search(fl);
		refuse(fl, err_new(fl->arena, ERR_CONNECTION_TIMEOUT, "finding the server %.*s takes too long",
				   STR_ARG(fl->call->destination)));
	}
	b->next_expiry_us = next;
}

static void flight_free(struct fed_flight *fl)
{
	fl->call->flight = NULL;
	list_del(&fl->node);
	list_del(&fl->turn);
	mem_free(fl);
}

static struct fed_call *give(struct fed_flight *fl)
{
	struct fed_call *call = fl->call;

	flight_free(fl);
	return call;
}

static bool was_woken(struct fed_batch *b)
{
	LOCKED(&b->lock);
	const bool woken = b->woken;

	b->woken = false;
	return woken;
}

struct fed_call *fed_batch_next(struct fed_batch *b, int64_t until_us)
{
	struct client_call *c;
	struct fed_flight *fl;

	for (;;) {
		while ((fl = next_of_ready(b)))
			search(fl);
		expire(b, clock_mono_us());
		if (!list_is_empty(&b->ended))
			return give(LIST_ITEM(b->ended.next, struct fed_flight, turn));
		if (was_woken(b))
			return NULL;
		c = client_batch_next(b->calls, MIN(until_us, b->next_expiry_us));
		if (c)
			went(c->owner);
		else if (clock_mono_us() >= until_us && list_is_empty(&b->ended))
			return NULL;
	}
}

void fed_batch_wake(struct fed_batch *b)
{
	lock_take(&b->lock);
	b->woken = true;
	lock_drop(&b->lock);
	client_batch_wake(b->calls);
}

/* ---- batches ---- */

struct fed_batch *fed_batch_new(struct fed *f)
{
	struct fed_batch *b = MEM_NEW(struct fed_batch);

	b->f = f;
	b->calls = client_batch_new(f->opt.client);
	b->next_expiry_us = INT64_MAX;
	list_init(&b->flights);
	list_init(&b->ended);
	list_init(&b->waiting);
	list_init(&b->ready);
	lock_init(&b->lock, RANK_TICKET);
	return b;
}

void fed_batch_free(struct fed_batch **batch)
{
	struct fed_batch *b = *batch;

	if (!b)
		return;
	/* Whom others wait for leaves its question to them, so these must still be there to hear it. */
	LIST_EACH (&b->flights, it) {
		struct fed_flight *fl = LIST_ITEM(it, struct fed_flight, node);

		if (fl->is_searching)
			leave_search(fl);
	}
	client_batch_free(&b->calls);
	LIST_EACH_SAFE (&b->flights, it)
		flight_free(LIST_ITEM(it, struct fed_flight, node));
	lock_done(&b->lock);
	mem_free(b);
	*batch = NULL;
}

void fed_all(struct fed *f, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us)
{
	struct fed_batch *b = fed_batch_new(f);

	assert(!lock_any_held());
	for (size_t i = 0; i < n; i++)
		fed_batch_start(b, a, &calls[i], deadline_us);
	while (!list_is_empty(&b->flights))
		(void)fed_batch_next(b, INT64_MAX);
	fed_batch_free(&b);
}

err *fed_one(struct fed *f, struct arena *a, struct fed_call *call, int64_t deadline_us)
{
	fed_all(f, a, call, 1, deadline_us);
	return call->error;
}
