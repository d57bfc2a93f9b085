/* media_item.c - finding a file, or waiting for it. */
#include "api/client/media_item.h"

#include "base/b64.h"
#include "base/clock.h"
#include "media/remote.h"

/* "The default value is 20000 (20 seconds). The content repository SHOULD impose a maximum value for this parameter."
 */
static err *deadline_of(struct req *rq, int64_t *out)
{
	int64_t ms;

	TRY(req_query_int(rq, "timeout_ms", 20000, &ms));
	*out = rq->arrived_us + MIN(MAX(ms, 0), (int64_t)MEDIA_MAX_WAIT_MS) * 1000;
	return NULL;
}

/* From its server, on the lane for such waits; then it is here. */
static err *fetch(struct req *rq, const struct media_find_cmd *cmd, bool allow_remote, int64_t deadline,
		  struct media_item *out, bool *out_parked)
{
	*out_parked = false;
	/* "Indicates to the server that it should not attempt to fetch the media if it is deemed remote." What is
	 * younger than the freeze would not be shown without a login: then it is not asked for, either. */
	if (!allow_remote || (cmd->legacy && !media_options(rq->services->media)->open))
		return err_new(rq->arena, ERR_NOT_FOUND, "Not found");
	*out_parked = req_lane(rq) != LANE_REMOTE;
	if (*out_parked)
		return req_move(rq, LANE_REMOTE);
	TRY(media_fetch(rq->services->media, rq->arena, cmd->server_name, cmd->media_id, deadline));
	return media_find(rq->services->media, rq->arena, cmd, NULL, out);
}

err *media_item(struct req *rq, bool legacy, struct media_item *out, bool *out_parked)
{
	struct media_find_cmd cmd = { .server_name = req_param(rq, "serverName"),
				      .media_id = req_param(rq, "mediaId"),
				      .legacy = legacy };
	struct media_wait wait;
	bool allow_remote;
	int64_t deadline;
	err *e;

	*out_parked = false;
	TRY(deadline_of(rq, &deadline));
	TRY(req_query_bool(rq, "allow_remote", true, &allow_remote));
	e = media_find(rq->services->media, rq->arena, &cmd, &wait, out);
	if (e && e->code == ERR_NOT_FOUND && !media_is_local(rq->services->media, cmd.server_name)) {
		return fetch(rq, &cmd, allow_remote, deadline, out, out_parked);
	}
	if (!e || e->code != ERR_NOT_YET_UPLOADED || req_park_expired(rq) || deadline <= clock_mono_us())
		return e;
	*out_parked = true;
	return req_park(rq, wait.user, wait.seq, deadline);
}

str media_item_etag(struct arena *a, const struct media_item *item)
{
	return arena_join3(a, S("\""), hex_encode(a, (str){ (const char *)item->hash, sizeof(item->hash) }), S("\""));
}
