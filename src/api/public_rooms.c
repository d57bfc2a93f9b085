#include "api/public_rooms.h"

#include "api/body.h"
#include "api/services.h"
#include "config/config.h"
#include "room/room.h"

static err *write_list(struct req *rq, const struct public_rooms_cmd *cmd)
{
	AUTO_BUF b = BUF_INIT((size_t)16 << 20);
	struct jw w = jw_to(&b);

	if (!rq->services->config->rooms.list_search) {
		reply_json_text(rq, 200, S("{\"chunk\":[],\"total_room_count_estimate\":0}"));
		return NULL;
	}
	/* An error may come in the middle: the answer begins when all of it is there. */
	jw_object(&w, NULL);
	TRY(room_public_list(rq->services->rooms, rq->arena, cmd, &w));
	jw_end(&w);
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

err *public_rooms_get(struct req *rq)
{
	struct public_rooms_cmd cmd = { .since = req_query(rq, "since"),
					.search = STR_NONE,
					.any_room_type = true,
					.for_servers = !str_is_none(rq->origin) };

	TRY(req_query_int(rq, "limit", 0, &cmd.limit));
	return write_list(rq, &cmd);
}

static err *read_filter(struct req *rq, const struct json *body, struct public_rooms_cmd *cmd)
{
	const struct json *filter = json_get(body, S("filter")), *types;
	str *list;

	cmd->any_room_type = true;
	if (!filter || filter->kind == JSON_NULL)
		return NULL;
	TRY(body_str(rq, filter, "generic_search_term", &cmd->search));
	types = json_get(filter, S("room_types"));
	if (!types || types->kind == JSON_NULL)
		return NULL;
	if (types->kind != JSON_ARRAY)
		return err_new(rq->arena, ERR_BAD_JSON, "room_types must be a list");
	list = ARENA_ARRAY(rq->arena, str, types->array.n);
	JSON_ITEMS (types, i) {
		/* "To include rooms without a room type, specify null within this list." */
		if (types->array.items[i]->kind != JSON_NULL && types->array.items[i]->kind != JSON_STR)
			return err_new(rq->arena, ERR_BAD_JSON, "room_types holds texts and null");
		list[i] = json_str(types->array.items[i]);
	}
	cmd->room_types = list;
	cmd->n_room_types = types->array.n;
	cmd->any_room_type = false;
	return NULL;
}

err *public_rooms_post(struct req *rq)
{
	struct public_rooms_cmd cmd = { .for_servers = !str_is_none(rq->origin) };
	const struct json *body, *limit;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "since", &cmd.since));
	limit = json_get(body, S("limit"));
	if (limit && limit->kind != JSON_NULL && !json_get_int(body, S("limit"), &cmd.limit))
		return err_new(rq->arena, ERR_BAD_JSON, "limit must be an integer");
	TRY(read_filter(rq, body, &cmd));
	return write_list(rq, &cmd);
}
