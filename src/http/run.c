/*
 * run.c - running a handler.
 *
 * Authentication, allowance, handler, answer: straight through on a worker, in the worker's arena, which is emptied
 * afterwards: a parked request keeps none of it. A handler that parked is run again from the top, with its user
 * authenticated anew (the token may be gone by now) and no further allowance taken.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>

/* A handler that parks on a key that moves at each look would run for ever. */
static const unsigned hasty_runs = 100;

static void begin_run(struct req_internal *r, struct arena *a)
{
	struct req *rq = &r->rq;

	rq->arena = a;
	rq->user_id = rq->device_id = S("");
	rq->user = rq->token_id = 0;
	rq->is_guest = rq->is_admin = false;
	r->n_headers = 0;
	r->runs++;
	r->log = (struct log){ .parent = r->h->opt.log,
			       .fields = { F("method", rq->method), F("route", rq->route ? rq->route->path : "") } };
	rq->log = &r->log;
}

static err *take_allowance(struct req_internal *r)
{
	const struct req *rq = &r->rq;

	if (rq->route->rate == RATE_NONE || r->runs > 1)
		return NULL;
	return req_rate(&r->rq, rq->route->rate, rq->user_id.n > 0 ? rq->user_id : rq->address);
}

err *req_rate(struct req *rq, enum rate_class class, str key)
{
	const int64_t ms = rates_take(&rq->in->h->rates, class, key, clock_mono_us());
	err *e;

	if (ms == 0)
		return NULL;
	e = err_new(rq->arena, ERR_LIMIT_EXCEEDED, "Too Many Requests");
	e->extra = arena_printf(rq->arena, "\"retry_after_ms\":%" PRId64, ms);
	return e;
}

static err *run_handler(struct req_internal *r)
{
	struct req *rq = &r->rq;

	rq->address = args_address(r);
	TRY(args_prepare(r));
	if (rq->route->auth != AUTH_NONE) {
		TRY(r->h->opt.authenticate(rq, rq->route->auth));
		assert(rq->route->auth == AUTH_OPTIONAL || rq->user_id.n > 0);
	}
	TRY(take_allowance(r));
	return rq->route->run(rq);
}

static void run_once(struct req_internal *r, struct arena *a)
{
	const struct http_options *opt = &r->h->opt;
	const int64_t cpu = clock_thread_us(), sql_us = opt->sql_us_here ? opt->sql_us_here() : 0;
	const uint64_t statements = opt->statements_here ? opt->statements_here() : 0;
	const uint64_t commits = opt->commits_here ? opt->commits_here() : 0;
	err *e;

	begin_run(r, a);
	e = run_handler(r);
	if (!e && !r->replied && !r->park_wanted)
		e = err_new(a, ERR_INTERNAL, "The handler gave no answer");
	if (e && err_status(e->code) == 500)
		log_error(r->rq.log, "request failed", F("error", e->msg), F("where", e->where));
	if (e)
		reply_error(r, e, 0);
	if (r->replied)
		reply_finish(r);
	r->cpu_us += clock_thread_us() - cpu;
	r->sql_us += opt->sql_us_here ? opt->sql_us_here() - sql_us : 0;
	r->statements += opt->statements_here ? opt->statements_here() - statements : 0;
	r->commits += opt->commits_here ? opt->commits_here() - commits : 0;
}

/* Nothing of the request may be touched afterwards: the loop may have ended it. */
void run_resume(struct req_internal *r)
{
	r->stage = STAGE_DONE;
	MHD_resume_connection(r->mhd);
}

static bool park(struct req_internal *r, struct arena *a, unsigned *hasty)
{
	enum park_cause why_not;

	arena_reset(a);
	r->rq.arena = NULL;
	r->park_wanted = false;
	if (park_begin(r, &why_not))
		return true;
	if (why_not == PARK_HUNG_UP) {
		run_resume(r);
		return true;
	}
	r->expired = why_not == PARK_DEADLINE || ++*hasty > hasty_runs;
	return false;
}

bool run_on_worker(struct req_internal *r, struct arena *a)
{
	unsigned hasty = 0;

	park_left(r);
	for (;;) {
		run_once(r, a);
		if (!r->park_wanted)
			break;
		assert(!r->expired);
		if (park(r, a, &hasty))
			return false;
	}
	r->rq.arena = NULL;
	arena_reset(a);
	metrics_request(r);
	return true;
}

void run_here(struct req_internal *r)
{
	AUTO_ARENA a = arena_new();

	run_once(r, a);
	assert(!r->park_wanted);
	r->rq.arena = NULL;
	metrics_request(r);
}

void run_refusal(struct req_internal *r, struct refusal why)
{
	AUTO_ARENA a = arena_new();
	const err e = { .code = why.code, .msg = str_c(why.why), .where = "" };

	begin_run(r, a);
	reply_error(r, &e, why.status);
	reply_finish(r);
	r->rq.arena = NULL;
	metrics_request(r);
}

void run_options(struct req_internal *r)
{
	AUTO_ARENA a = arena_new();

	begin_run(r, a);
	reply_bytes(&r->rq, 204, NULL, S(""));
	reply_finish(r);
	r->rq.arena = NULL;
}

void run_never(struct req_internal *r)
{
	park_left(r);
	r->must_close = true;
	run_refusal(r, (struct refusal){ ERR_BUSY, 0, true, "The server is stopping" });
	run_resume(r);
}
