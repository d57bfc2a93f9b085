/* media_item.c - finding a file, or waiting for it. */
#include "api/client/media_item.h"

#include "base/b64.h"
#include "base/clock.h"

/* "The default value is 20000 (20 seconds). The content repository SHOULD impose a maximum value for this parameter."
 */
static err *deadline_of(struct req *rq, int64_t *out)
{
	int64_t ms;

	TRY(req_query_int(rq, "timeout_ms", 20000, &ms));
	*out = rq->arrived_us + MIN(MAX(ms, 0), (int64_t)MEDIA_MAX_WAIT_MS) * 1000;
	return NULL;
}

err *media_item(struct req *rq, bool legacy, struct media_item *out, bool *out_parked)
{
	struct media_find_cmd cmd = { .server_name = req_param(rq, "serverName"),
				      .media_id = req_param(rq, "mediaId"),
				      .legacy = legacy };
	bool allow_remote;
	struct media_wait wait;
	int64_t deadline;
	err *e;

	*out_parked = false;
	TRY(deadline_of(rq, &deadline));
	TRY(req_query_bool(rq, "allow_remote", true, &allow_remote));
	cmd.no_remote = !allow_remote;
	e = media_find(rq->services->media, rq->arena, &cmd, &wait, out);
	if (!e || e->code != ERR_NOT_YET_UPLOADED || req_park_expired(rq) || deadline <= clock_mono_us())
		return e;
	*out_parked = true;
	return req_park(rq, wait.user, wait.seq, deadline);
}

str media_item_etag(struct arena *a, const struct media_item *item)
{
	return arena_join3(a, S("\""), hex_encode(a, (str){ (const char *)item->hash, sizeof(item->hash) }), S("\""));
}
