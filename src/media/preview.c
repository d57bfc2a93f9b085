/*
 * preview.c - who asks, who works, who waits.
 *
 * An address that somebody asked about is a job, until its preview is in the table; whoever asks about it meanwhile
 * waits for the same job. A job that failed stays for a minute, so that a room full of clients does not ask the same
 * dead server once for each of them. Jobs are done by threads of their own: neither a slow page nor many of them keep a
 * worker of http/ from logging somebody in.
 *
 * The wait is on the bus, on a "user" below all other numbers that is made of the address's hash. These are few, for
 * whoever asks about many addresses would make the bus forget the users that it watches; two addresses on one number
 * only wake each other.
 */
#include "media/internal_preview.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "store/store.h"

#include <assert.h>

static const int64_t remember_failure_us = 60 * 1000000, prune_every_us = 60 * 1000000;

static struct metric *made, *failed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_metrics(void)
{
	made = metric_counter("hearth_previews_total", "Previews of pages", "outcome=\"made\"");
	failed = metric_counter("hearth_previews_total", "Previews of pages", "outcome=\"failed\"");
}

struct preview_job {
	struct list node; /* in waiting, running, failures */
	str url;
	int64_t user; /* who asked first */
	enum { JOB_WAITING, JOB_RUNNING, JOB_FAILED } state;
	int64_t failed_us;
	struct err *error; /* JOB_FAILED, in a: */
	struct arena *a;
};

static int64_t key_of(str url) { return INT64_MIN + (int64_t)(hash_str(url) % PREVIEW_KEYS); }

static struct preview_wait begin_wait(struct previews *pv, str url)
{
	const int64_t key = key_of(url);
	struct bus_known known = { 0 };

	if (bus_watch_begin(pv->opt.bus, key))
		bus_watch_rooms(pv->opt.bus, key, bus_position(pv->opt.bus), NULL, 0);
	(void)bus_known(pv->opt.bus, key, &known); /* not known (any more): then nobody sleeps on it */
	return (struct preview_wait){ key, known.seq };
}

/* ---- jobs: with the lock ---- */

static void job_free(struct previews *pv, struct preview_job *job)
{
	list_del(&job->node);
	map_del(&pv->jobs, job->url);
	mem_free((void *)job->url.p);
	arena_free(&job->a);
	mem_free(job);
}

static void forget_failures(struct previews *pv)
{
	const int64_t before = clock_mono_us() - remember_failure_us;

	while (!list_is_empty(&pv->failures)) {
		struct preview_job *oldest = LIST_ITEM(pv->failures.next, struct preview_job, node);

		if (oldest->failed_us > before && pv->n_failures <= PREVIEW_FAILURES)
			return;
		job_free(pv, oldest);
		pv->n_failures--;
	}
}

static size_t count_of(const struct list *jobs, int64_t user)
{
	size_t n = 0;

	LIST_EACH (jobs, it)
		n += LIST_ITEM(it, struct preview_job, node)->user == user;
	return n;
}

static void work(void *arg);

static void call_worker(struct previews *pv)
{
	/* Those who are idle may have been called for another one already. */
	if (pv->n_idle < pv->n_waiting && pv->n_workers < PREVIEW_WORKERS) {
		pv->workers[pv->n_workers] = thread_start("preview", work, pv);
		pv->n_workers++;
	} else {
		cond_signal(&pv->work);
	}
}

static err *too_many(struct arena *a)
{
	err *e = err_new(a, ERR_LIMIT_EXCEEDED, "Too many previews of yours are being made");

	e->extra = S("\"retry_after_ms\":2000");
	return e;
}

static err *add_job(struct previews *pv, struct arena *a, int64_t user, str url)
{
	struct preview_job *job;

	if (pv->stopping)
		return err_new(a, ERR_BUSY, "The server stops");
	if (count_of(&pv->waiting, user) >= PREVIEW_USER_WAITING)
		return too_many(a);
	if (pv->n_waiting >= PREVIEW_WAITING)
		return err_new(a, ERR_BUSY, "Too many previews are being made");
	job = MEM_NEW(struct preview_job);
	job->url = str_keep(url);
	job->user = user;
	list_add_tail(&pv->waiting, &job->node);
	pv->n_waiting++;
	map_put(&pv->jobs, job->url, job);
	call_worker(pv);
	return NULL;
}

/* NULL: it is under way. */
static err *join_job(struct previews *pv, struct arena *a, int64_t user, str url)
{
	LOCKED(&pv->lock);
	const struct preview_job *job;

	forget_failures(pv);
	job = map_get(&pv->jobs, url);
	if (!job)
		return add_job(pv, a, user, url);
	return job->state == JOB_FAILED ? err_keep(a, job->error) : NULL;
}

err *previews_get(struct previews *pv, struct arena *a, int64_t user, str url, int64_t ts, str *out_json,
		  struct preview_wait *wait)
{
	struct client_url u;

	TRY(client_url_parse(a, url, &u));
	if (url_rules_match(pv->rules, &u))
		return err_new(a, ERR_FORBIDDEN, "This server does not make previews of that address");
	*wait = begin_wait(pv, u.text);
	TRY(preview_recall(pv, a, u.text, ts, out_json));
	return str_is_none(*out_json) ? join_job(pv, a, user, u.text) : NULL;
}

/* ---- the work ---- */

/* The oldest of somebody who has not enough under way already. */
static struct preview_job *next_job(struct previews *pv)
{
	LIST_EACH (&pv->waiting, it) {
		struct preview_job *job = LIST_ITEM(it, struct preview_job, node);

		if (count_of(&pv->running, job->user) < PREVIEW_PER_USER)
			return job;
	}
	return NULL;
}

/* It may have come into the table since it was asked for. */
static err *make(struct previews *pv, struct arena *a, str url)
{
	struct client_url u;
	struct preview p;
	str known;

	TRY(preview_recall(pv, a, url, INT64_MAX, &known));
	if (!str_is_none(known))
		return NULL;
	TRY(client_url_parse(a, url, &u));
	TRY(preview_make(pv, a, &u, &p));
	return preview_remember(pv, a, url, &p);
}

/* Whoever asks must not learn what the server sees of its own network. */
static err *for_users(struct arena *a, const err *e)
{
	if (e->code == ERR_STORE || e->code == ERR_INTERNAL || e->code == ERR_BUSY || !e->detail)
		return err_keep(a, e);
	return err_new(a, ERR_CONNECTION_FAILED, "The address could not be fetched");
}

/* With the lock. */
static void end_job(struct previews *pv, struct preview_job *job, const err *e)
{
	list_del(&job->node);
	if (!e) {
		job_free(pv, job);
		return;
	}
	job->state = JOB_FAILED;
	job->failed_us = clock_mono_us();
	job->a = arena_new();
	job->error = for_users(job->a, e);
	list_add_tail(&pv->failures, &job->node);
	pv->n_failures++;
	forget_failures(pv);
}

static void do_job(struct previews *pv, struct preview_job *job)
{
	AUTO_ARENA a = arena_new();
	const int64_t key = key_of(job->url);
	const err *e = make(pv, a, job->url);

	metric_add(e ? failed : made, 1);
	if (e)
		log_debug(pv->opt.log, "no preview", F("error", e->msg));
	lock_take(&pv->lock);
	end_job(pv, job, e);
	if (!list_is_empty(&pv->waiting))
		cond_signal(&pv->work); /* its user may have another one */
	lock_drop(&pv->lock);
	bus_touch_user(pv->opt.bus, key, BUS_PRESENCE, bus_next_serial(pv->opt.bus));
}

static void prune_sometimes(struct previews *pv)
{
	AUTO_ARENA a = arena_new();
	const int64_t now = clock_mono_us();
	const err *e;
	bool due;

	lock_take(&pv->lock);
	due = now - pv->pruned_us > prune_every_us;
	if (due)
		pv->pruned_us = now;
	lock_drop(&pv->lock);
	e = due ? preview_prune(pv, a) : NULL;
	if (e)
		log_warn(pv->opt.log, "old previews were not cleared away", F("error", e->msg));
}

static void work(void *arg)
{
	struct previews *pv = arg;

	lock_take(&pv->lock);
	while (!pv->stopping) {
		struct preview_job *job = next_job(pv);

		if (!job) {
			pv->n_idle++;
			cond_wait(&pv->work, &pv->lock);
			pv->n_idle--;
			continue;
		}
		list_del(&job->node);
		list_add_tail(&pv->running, &job->node);
		pv->n_waiting--;
		job->state = JOB_RUNNING;
		lock_drop(&pv->lock);
		do_job(pv, job);
		prune_sometimes(pv);
		lock_take(&pv->lock);
	}
	lock_drop(&pv->lock);
}

/* ---- the service ---- */

static err *read_settings(struct previews *pv, struct arena *a)
{
	TRY(url_rules_new(pv->a, pv->opt.url_rules, &pv->rules));
	if (!pv->opt.no_known_providers)
		oembed_add_known(pv->a, &pv->providers);
	for (size_t i = 0; i < pv->opt.n_provider_lists; i++) {
		const err *e = oembed_add_list(pv->a, &pv->providers, pv->opt.provider_lists[i]);

		if (e)
			return err_keep(a, e);
	}
	return NULL;
}

err *previews_new(struct arena *a, const struct previews_options *opt, struct previews **out)
{
	struct previews *pv = MEM_NEW(struct previews);
	err *e;

	pv->opt = *opt;
	pv->opt.timeout_ms = opt->timeout_ms ? opt->timeout_ms : 30000;
	pv->a = arena_new();
	lock_init(&pv->lock, RANK_SERVICE);
	cond_init(&pv->work);
	map_init(&pv->jobs, NULL);
	list_init(&pv->waiting);
	list_init(&pv->running);
	list_init(&pv->failures);
	pthread_once(&once, make_metrics);
	e = read_settings(pv, a);
	if (e) {
		e = err_keep(a, e);
		previews_free(&pv);
		return e;
	}
	*out = pv;
	return NULL;
}

static void free_jobs(struct previews *pv, struct list *jobs)
{
	while (!list_is_empty(jobs))
		job_free(pv, LIST_ITEM(jobs->next, struct preview_job, node));
}

void previews_free(struct previews **pvp)
{
	struct previews *pv = *pvp;

	if (!pv)
		return;
	lock_take(&pv->lock);
	pv->stopping = true;
	cond_broadcast(&pv->work);
	lock_drop(&pv->lock);
	for (unsigned i = 0; i < pv->n_workers; i++)
		thread_join(&pv->workers[i]);
	assert(list_is_empty(&pv->running));
	free_jobs(pv, &pv->waiting);
	free_jobs(pv, &pv->failures);
	map_done(&pv->jobs);
	url_rules_free(&pv->rules);
	arena_free(&pv->a);
	cond_done(&pv->work);
	lock_done(&pv->lock);
	mem_free(pv);
	*pvp = NULL;
}
