/* space.c - Server-Server API, "Spaces". */
#include "room/space/space.h"

#include "api/services.h"
#include "base/buf.h"
#include "room/server_acl.h"

enum { ANSWER_MAX = 8 << 20 };

static err *get_hierarchy(struct req *rq)
{
	AUTO_BUF b = BUF_INIT(ANSWER_MAX);
	const str room_id = req_param(rq, "roomId");
	struct jw w = jw_to(&b);
	bool suggested_only;

	TRY(req_query_bool(rq, "suggested_only", false, &suggested_only));
	TRY(room_acl_check(rq->services->rooms, rq->arena, room_id, rq->origin));
	jw_object(&w, NULL);
	TRY(space_write_for_server(rq->services->rooms, rq->arena, room_id, rq->origin, suggested_only, &w));
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(rq->arena, ERR_TOO_LARGE, "this space is too large for an answer");
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

const struct route server_space_routes[] = {
	{ "GET", "/_matrix/federation/v1/hierarchy/{roomId}", get_hierarchy, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ 0 },
};
