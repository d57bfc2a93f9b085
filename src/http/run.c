/*
 * run.c - running a handler.
 *
 * Authentication, allowance, handler, answer: straight through on a worker, in the worker's arena, which is emptied
 * afterwards: a parked request keeps none of it. A handler that parked is run again from the top, with its user
 * authenticated anew (the token may be gone by now) and no further allowance taken; likewise one whose body went to a
 * sink in several pieces.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>

/* A handler that parks on a key that moves at each look would run for ever. */
static const unsigned hasty_runs = 100;

struct costs {
	int64_t cpu_us, sql_us;
	uint64_t statements, commits;
};

static struct costs costs_here(const struct http *h)
{
	const struct http_options *opt = &h->opt;

	return (struct costs){
		.cpu_us = clock_thread_us(),
		.sql_us = opt->sql_us_here ? opt->sql_us_here() : 0,
		.statements = opt->statements_here ? opt->statements_here() : 0,
		.commits = opt->commits_here ? opt->commits_here() : 0,
	};
}

static void add_costs(struct req_internal *r, struct costs before)
{
	const struct costs now = costs_here(r->h);

	r->cpu_us += now.cpu_us - before.cpu_us;
	r->sql_us += now.sql_us - before.sql_us;
	r->statements += now.statements - before.statements;
	r->commits += now.commits - before.commits;
}

static void begin_run(struct req_internal *r, struct arena *a)
{
	struct req *rq = &r->rq;

	rq->arena = a;
	rq->user_id = rq->device_id = S("");
	rq->origin = str_c(r->origin_name);
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
	return req_rate(&r->rq, rq->route->rate,
			rq->user_id.n > 0  ? rq->user_id
			: rq->origin.n > 0 ? rq->origin
					   : rq->address);
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

void req_rate_back(struct req *rq, enum rate_class class, str key) { rates_give_back(&rq->in->h->rates, class, key); }

void req_keep(struct req *rq, void *thing, void (*drop)(void *thing))
{
	assert(thing && !rq->in->kept);
	rq->in->kept = thing;
	rq->in->drop_kept = drop;
}

void *req_kept(const struct req *rq) { return rq->in->kept; }

/* What stands before the handler, or before a sink's begin. */
static err *admit(struct req_internal *r)
{
	struct req *rq = &r->rq;

	rq->address = args_address(r);
	TRY(args_prepare(r));
	if (rq->route->auth == AUTH_SERVER && rq->origin.n == 0) {
		TRY(r->h->opt.authenticate(rq, AUTH_SERVER));
		assert(rq->origin.n > 0);
		r->origin_name = (char *)str_keep(rq->origin).p;
	} else if (rq->route->auth != AUTH_NONE && rq->route->auth != AUTH_SERVER) {
		TRY(r->h->opt.authenticate(rq, rq->route->auth));
		assert(rq->route->auth == AUTH_OPTIONAL || rq->user_id.n > 0);
	}
	return take_allowance(r);
}

/* Who can make workers wait has a share of them. */
static err *enter(struct req_internal *r)
{
	const struct req *rq = &r->rq;

	if (rq->route->auth == AUTH_SERVER)
		return shares_enter(&r->h->servers, r, rq->origin);
	if (r->lane == LANE_REMOTE)
		return shares_enter(&r->h->askers, r, rq->user_id.n > 0 ? rq->user_id : rq->address);
	return NULL;
}

/* JOB_RUN. */
static err *run_handler(struct req_internal *r)
{
	TRY(admit(r));
	TRY(enter(r));
	if (r->wanted_share)
		return NULL;
	if (r->rq.route->sink) {
		if (!r->upload.begun)
			TRY(upload_begin(r));
		TRY(upload_take(r));
	}
	TRY(r->rq.route->run(&r->rq));
	if (!r->replied && !r->park_wanted && !r->move_wanted)
		return err_new(r->rq.arena, ERR_INTERNAL, "The handler gave no answer");
	return NULL;
}

/* JOB_BEGIN. */
static err *run_begin(struct req_internal *r)
{
	TRY(admit(r));
	return upload_begin(r);
}

/* JOB_TAKE. */
static err *run_take(struct req_internal *r)
{
	TRY(args_prepare(r));
	return upload_take(r);
}

static void run_once(struct req_internal *r, struct arena *a, err *(*step)(struct req_internal *r))
{
	const struct costs before = costs_here(r->h);
	err *e;

	begin_run(r, a);
	e = step(r);
	if (e) {
		reply_log(r, e);
		reply_error(r, e, 0);
	}
	if (r->replied)
		reply_finish(r);
	if (!r->park_wanted && !r->move_wanted && !r->wanted_share && (e || r->replied))
		upload_drop(r);
	add_costs(r, before);
}

/* Nothing of the request may be touched afterwards: the loop may have ended it. */
void run_resume(struct req_internal *r)
{
	r->stage = r->after;
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

err *req_move(struct req *rq, enum lane lane)
{
	struct req_internal *r = rq->in;

	assert(!r->replied && !r->park_wanted && lane < LANES && lane != r->lane && r->lane != LANE_LOOP);
	r->move_wanted = true;
	r->lane = lane;
	return NULL;
}

enum lane req_lane(const struct req *rq) { return rq->in->lane; }

static void answer_lane_full(struct req_internal *r, struct arena *a)
{
	begin_run(r, a);
	reply_error(r, err_new(a, ERR_BUSY, "The server is busy"), 0);
	reply_finish(r);
	upload_drop(r);
}

/* False: there is no place in the other lane, and that is answered. */
static bool move(struct req_internal *r, struct arena *a)
{
	r->move_wanted = false;
	arena_reset(a);
	r->rq.arena = NULL;
	if (lane_reserve(request_lane(r))) {
		lane_push(request_lane(r), r);
		return true;
	}
	metric_add(metrics_http()->refused_requests, 1);
	answer_lane_full(r, a);
	return false;
}

/* True: answered. */
static bool run_whole(struct req_internal *r, struct arena *a)
{
	unsigned hasty = 0;

	park_left(r);
	for (;;) {
		run_once(r, a, run_handler);
		if (r->move_wanted && move(r, a))
			return false;
		if (r->wanted_share) {
			arena_reset(a);
			r->rq.arena = NULL;
			if (shares_wait(r))
				return false;
			continue;
		}
		if (!r->park_wanted)
			break;
		assert(!r->expired);
		shares_leave(r);
		if (park(r, a, &hasty))
			return false;
	}
	shares_leave(r);
	metrics_request(r);
	return true;
}

static void run_drop(struct req_internal *r)
{
	const struct costs before = costs_here(r->h);

	upload_drop(r);
	stream_drop(r);
	add_costs(r, before);
	metrics_costs(r);
	mem_free(r);
}

bool run_on_worker(struct req_internal *r, struct arena *a)
{
	struct costs before;

	switch (r->job) {
	case JOB_RUN:
		if (!run_whole(r, a))
			return false;
		break;
	case JOB_BEGIN:
	case JOB_TAKE:
		run_once(r, a, r->job == JOB_BEGIN ? run_begin : run_take);
		if (r->response)
			metrics_request(r);
		break;
	case JOB_FILL:
		before = costs_here(r->h);
		stream_fill(r, a);
		add_costs(r, before);
		metrics_costs(r);
		break;
	case JOB_DROP:
		run_drop(r);
		return false;
	}
	r->rq.arena = NULL;
	arena_reset(a);
	return true;
}

void run_here(struct req_internal *r)
{
	AUTO_ARENA a = arena_new();

	run_once(r, a, run_handler);
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
	if (r->job == JOB_DROP) {
		run_drop(r);
		return;
	}
	if (r->job == JOB_FILL) {
		r->stream.failed = true;
	} else {
		park_left(r);
		shares_leave(r);
		r->must_close = true;
		run_refusal(r, (struct refusal){ ERR_BUSY, 0, true, "The server is stopping" });
	}
	run_resume(r);
}
