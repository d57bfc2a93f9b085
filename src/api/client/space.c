/* space.c - Client-Server API, "Spaces". */
#include "room/space/space.h"

#include "api/services.h"
#include "base/buf.h"

enum { LIMIT_USUAL = 50, ASK_MS = 30000, ANSWER_MAX = 16 << 20 };

static err *read_cmd(struct req *rq, struct hierarchy_cmd *cmd)
{
	*cmd = (struct hierarchy_cmd){
		.room_id = req_param(rq, "roomId"),
		.viewer = { .user = rq->user, .user_id = rq->user_id },
		.from = req_query(rq, "from"),
		.deadline_us = rq->arrived_us + ASK_MS * 1000,
	};
	TRY(req_query_bool(rq, "suggested_only", false, &cmd->suggested_only));
	TRY(req_query_int(rq, "limit", LIMIT_USUAL, &cmd->limit));
	TRY(req_query_int(rq, "max_depth", -1, &cmd->max_depth));
	if (cmd->limit <= 0)
		return err_new(rq->arena, ERR_INVALID_PARAM, "limit is above 0");
	if (cmd->max_depth < 0 && !str_is_none(req_query(rq, "max_depth")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "max_depth is not below 0");
	return NULL;
}

static err *get_hierarchy(struct req *rq)
{
	AUTO_BUF b = BUF_INIT(ANSWER_MAX);
	struct jw w = jw_to(&b);
	struct hierarchy_cmd cmd;
	bool ask;

	TRY(read_cmd(rq, &cmd));
	if (req_lane(rq) == LANE_REMOTE)
		cmd.queries = rq->services->queries;
	jw_object(&w, NULL);
	TRY(space_hierarchy_write(rq->services->rooms, rq->arena, &cmd, &w, &ask));
	if (ask)
		return req_move(rq, LANE_REMOTE);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(rq->arena, ERR_TOO_LARGE, "a smaller limit is needed for these rooms");
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

const struct route client_space_routes[] = {
	{ "GET", "/_matrix/client/v1/rooms/{roomId}/hierarchy", get_hierarchy, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
