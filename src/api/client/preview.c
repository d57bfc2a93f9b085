/*
 * preview.c - Client-Server API, "Content repository": what is behind an address.
 *
 * The handler never waits for the page: while it is being fetched the request is parked.
 */
#include "api/internal_api.h"
#include "base/clock.h"
#include "media/preview.h"

static const int64_t patience_us = 60 * 1000000;

static err *get_preview(struct req *rq)
{
	struct previews *previews = rq->services->previews;
	const str url = req_query(rq, "url");
	struct preview_wait wait;
	int64_t ts;
	str json;

	if (!previews)
		return err_new(rq->arena, ERR_UNRECOGNIZED, "This server makes no previews");
	if (str_is_none(url))
		return err_new(rq->arena, ERR_MISSING_PARAM, "Missing string query parameter url");
	TRY(req_query_int(rq, "ts", clock_ms(), &ts));
	TRY(previews_get(previews, rq->arena, rq->user, url, ts, &json, &wait));
	if (!str_is_none(json)) {
		reply_json_text(rq, 200, json);
		return NULL;
	}
	if (req_park_expired(rq))
		return err_new(rq->arena, ERR_CONNECTION_TIMEOUT, "The address was not fetched in time");
	return req_park(rq, wait.user, wait.seq, rq->arrived_us + patience_us);
}

const struct route client_preview_routes[] = {
	{ "GET", "/_matrix/client/v1/media/preview_url", get_preview, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/media/v3/preview_url", get_preview, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/media/r0/preview_url", get_preview, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/media/v1/preview_url", get_preview, AUTH_USER, RATE_NONE, LANE_FAST },
	{ 0 },
};
