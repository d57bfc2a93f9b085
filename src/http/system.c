/* system.c - GET /metrics and GET /health: for machines that watch, on listeners that say so. */
#include "http/internal_http.h"

static err *get_metrics(struct req *rq)
{
	AUTO_BUF out = BUF_INIT(HTTP_MAX_REPLY);

	metrics_write(&out);
	reply_take(rq->in, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
	return NULL;
}

static err *get_health(struct req *rq)
{
	reply_bytes(rq, 200, "text/plain; charset=utf-8", S("OK"));
	return NULL;
}

const struct route http_system_routes[] = {
	{ "GET", "/metrics", get_metrics, AUTH_NONE, RATE_NONE, LANE_LOOP, 0 },
	{ "GET", "/health", get_health, AUTH_NONE, RATE_NONE, LANE_LOOP, 0 },
	{ 0 },
};
