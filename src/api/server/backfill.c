/* backfill.c - history for other servers: Server-Server API, "Backfilling and retrieving missing events". */
#include "api/services.h"
#include "base/arena.h"
#include "base/clock.h"
#include "config/config.h"
#include "room/served/reading.h"

enum { EARLIEST_MAX = 1000 };

static err *need_limit(struct req *rq, int64_t *out)
{
	if (str_is_none(req_query(rq, "limit")))
		return err_new(rq->arena, ERR_MISSING_PARAM, "limit says how many");
	TRY(req_query_int(rq, "limit", 0, out));
	if (*out <= 0)
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit is a number above 0");
	return NULL;
}

static err *get_backfill(struct req *rq)
{
	str from[SERVED_FROM_MAX];
	const size_t n = req_query_all(rq, "v", from, ARRAY_LEN(from));
	struct served_texts pdus;
	int64_t limit;
	struct jw *w;

	if (n == 0)
		return err_new(rq->arena, ERR_MISSING_PARAM, "v says from where");
	TRY(need_limit(rq, &limit));
	TRY(served_backfill(rq->services->rooms, rq->arena, req_param(rq, "roomId"), rq->origin, from, n,
			    (size_t)MIN(limit, (int64_t)SERVED_BACKFILL_MAX), &pdus));
	w = reply_json(rq, 200);
	jw_str(w, "origin", rq->services->config->server_name);
	jw_int(w, "origin_server_ts", clock_ms());
	jw_array(w, "pdus");
	for (size_t i = 0; i < pdus.n; i++)
		jw_raw(w, NULL, pdus.p[i]);
	jw_end(w);
	return NULL;
}

/* A list of event ids; absent: none. */
static err *read_ids(struct req *rq, const struct json *body, const char *key, size_t most, const str **out,
		     size_t *out_n)
{
	const struct json *list = json_get(body, str_c(key));
	str *ids;

	if (list && list->kind != JSON_ARRAY)
		return err_new(rq->arena, ERR_BAD_JSON, "%s is a list of event ids", key);
	if (list && list->array.n > most)
		return err_new(rq->arena, ERR_TOO_LARGE, "%s has more than %zu events", key, most);
	ids = ARENA_ARRAY(rq->arena, str, list ? list->array.n : 0);
	JSON_ITEMS (list, i) {
		ids[i] = json_str(list->array.items[i]);
		if (str_is_none(ids[i]))
			return err_new(rq->arena, ERR_BAD_JSON, "%s is a list of event ids", key);
	}
	*out = ids;
	*out_n = list ? list->array.n : 0;
	return NULL;
}

/* min_depth is not looked at: what an event says of its depth is its maker's affair. */
static err *post_missing(struct req *rq)
{
	struct missing_cmd cmd = { .room_id = req_param(rq, "roomId"), .origin = rq->origin };
	const struct json *body, *given;
	struct served_texts events;
	int64_t limit = 10;
	struct jw *w;

	TRY(req_body_object(rq, &body));
	given = json_get(body, S("limit"));
	if (given && !json_get_int(body, S("limit"), &limit))
		return err_new(rq->arena, ERR_BAD_JSON, "limit is a number");
	cmd.limit = (size_t)MIN(MAX(limit, 0), (int64_t)SERVED_MISSING_MAX);
	TRY(read_ids(rq, body, "latest_events", EARLIEST_MAX, &cmd.latest, &cmd.n_latest));
	TRY(read_ids(rq, body, "earliest_events", EARLIEST_MAX, &cmd.earliest, &cmd.n_earliest));
	TRY(served_missing(rq->services->rooms, rq->arena, &cmd, &events));
	w = reply_json(rq, 200);
	jw_array(w, "events");
	for (size_t i = 0; i < events.n; i++)
		jw_raw(w, NULL, events.p[i]);
	jw_end(w);
	return NULL;
}

const struct route server_backfill_routes[] = {
	{ "GET", "/_matrix/federation/v1/backfill/{roomId}", get_backfill, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "POST", "/_matrix/federation/v1/get_missing_events/{roomId}", post_missing, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
