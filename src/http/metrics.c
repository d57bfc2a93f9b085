/*
 * metrics.c - what each route costs.
 *
 * Series are made at a route's first request, from the table's own words: clients cannot make any. Latency is the
 * time in which the server was at work or the request in a queue; the time it was parked is counted apart, or /sync
 * would tell nothing.
 */
#include "http/internal_http.h"

#include "base/clock.h"

struct route_stats {
	struct metric *latency, *by_status[4], *cpu_us, *sql_us, *statements, *commits, *parked_us;
};

static const char *const classes[] = { "2xx", "4xx", "5xx", "other" };
static struct lock registry;
static struct map known; /* labels > route_stats: they outlive the server that made them */

static __attribute__((constructor)) void registry_init(void)
{
	lock_init(&registry, RANK_HTTP);
	map_init(&known, NULL);
}

static const char *status_label(const char *route, const char *class)
{
	struct buf b = BUF_INIT(4096);

	buf_printf(&b, "%s,status=\"%s\"", route, class);
	buf_byte(&b, '\0');
	return buf_take(&b).p; /* for ever, like the series */
}

static struct route_stats *make(const char *labels)
{
	struct route_stats *s = MEM_NEW(struct route_stats);

	s->latency = metric_histogram("hearth_http_request_seconds",
				      "Time from a whole request to its answer, without the time parked", labels);
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		s->by_status[i] = metric_counter("hearth_http_requests_total", "Requests by status",
						 status_label(labels, classes[i]));
	s->cpu_us = metric_counter("hearth_http_request_cpu_microseconds_total", "CPU time of handlers", labels);
	s->sql_us = metric_counter("hearth_http_request_sql_microseconds_total", "Time handlers spent in SQL", labels);
	s->statements =
		metric_counter("hearth_http_request_sql_statements_total", "SQL statements of handlers", labels);
	s->commits = metric_counter("hearth_http_request_commits_total", "Commits that handlers waited for", labels);
	s->parked_us = metric_counter("hearth_http_request_parked_microseconds_total",
				      "Time requests were parked, waiting for news", labels);
	return s;
}

static struct route_stats *stats_of(struct compiled *c)
{
	struct route_stats *s = atomic_load(&c->stats);
	struct buf labels = BUF_INIT(4096);

	if (s)
		return s;
	buf_printf(&labels, "method=\"%s\",route=\"%s\"", c->route->method, c->route->path);
	LOCKED(&registry);
	s = map_get(&known, buf_str(&labels));
	if (!s) {
		const str key = buf_str(&labels);

		buf_byte(&labels, '\0');
		s = make(labels.p);
		map_put(&known, (str){ labels.p, key.n }, s);
		labels = (struct buf)BUF_INIT(0); /* kept */
	}
	buf_done(&labels);
	atomic_store(&c->stats, s);
	return s;
}

void metrics_costs(struct req_internal *r)
{
	struct route_stats *s = stats_of(r->hit.found);

	metric_add(s->cpu_us, r->cpu_us);
	if (r->sql_us)
		metric_add(s->sql_us, r->sql_us);
	if (r->statements)
		metric_add(s->statements, (int64_t)r->statements);
	if (r->commits)
		metric_add(s->commits, (int64_t)r->commits);
	r->cpu_us = r->sql_us = 0;
	r->statements = r->commits = 0;
}

void metrics_request(struct req_internal *r)
{
	const size_t class = r->status / 100 == 2 ? 0 : r->status / 100 == 4 ? 1 : r->status / 100 == 5 ? 2 : 3;
	const int64_t arrived = r->rq.arrived_us ? r->rq.arrived_us : clock_mono_us();
	struct route_stats *s;

	log_debug(&r->log, "request", F("status", r->status), F("us", clock_mono_us() - arrived),
		  F("parked_us", r->parked_us));
	if (!r->hit.found) {
		metric_add(metrics_http()->unrouted, 1);
		return;
	}
	s = stats_of(r->hit.found);
	metric_observe_us(s->latency, clock_mono_us() - arrived - r->parked_us);
	metric_add(s->by_status[class], 1);
	if (r->parked_us)
		metric_add(s->parked_us, r->parked_us);
	metrics_costs(r);
}

static struct http_metrics http_metrics;

static void make_http_metrics(void)
{
	http_metrics = (struct http_metrics){
		.connections = metric_gauge("hearth_http_connections", "Open connections", ""),
		.parked = metric_gauge("hearth_http_parked_requests", "Requests that wait for news", ""),
		.refused_connections = metric_counter("hearth_http_refused_connections_total",
						      "Connections refused: too many, or out of descriptors", ""),
		.unrouted = metric_counter("hearth_http_unrouted_requests_total", "Requests for no route", ""),
		.hung_up = metric_counter("hearth_http_hung_up_total", "Parked requests whose client went away", ""),
		.timed_out = metric_counter("hearth_http_timed_out_total",
					    "Connections closed amid a request or an answer that took too long", ""),
		.behind_share = metric_gauge("hearth_http_behind_share",
					     "Requests of servers and users that have as many at work as they may", ""),
		.refused_requests = metric_counter("hearth_http_refused_requests_total",
						   "Requests refused because their lane's queue was full", ""),
	};
}

const struct http_metrics *metrics_http(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_http_metrics);
	return &http_metrics;
}
