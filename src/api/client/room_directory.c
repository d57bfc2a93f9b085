/* room_directory.c - Client-Server API, "Room aliases" and "Published room directory". */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/services.h"
#include "config/config.h"

/*
 * Aliases
 */
static err *put_alias(struct req *rq)
{
	const struct actor by = req_actor(rq);
	const struct json *body;
	str room_id;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "room_id", &room_id));
	TRY(room_alias_create(rq->services->rooms, rq->arena, &by, req_param(rq, "roomAlias"), room_id));
	reply_empty(rq);
	return NULL;
}

static err *get_alias(struct req *rq)
{
	struct jw *w;
	str room_id;

	TRY(room_alias_find(rq->services->rooms, rq->arena, req_param(rq, "roomAlias"), &room_id));
	w = reply_json(rq, 200);
	jw_str(w, "room_id", room_id);
	jw_array(w, "servers");
	jw_str(w, NULL, rq->services->config->server_name);
	jw_end(w);
	return NULL;
}

static err *delete_alias(struct req *rq)
{
	const struct actor by = req_actor(rq);

	TRY(room_alias_delete(rq->services->rooms, rq->arena, &by, req_param(rq, "roomAlias")));
	reply_empty(rq);
	return NULL;
}

static err *get_aliases(struct req *rq)
{
	const struct actor by = req_actor(rq);
	struct jw *w;
	str *aliases;
	size_t n;

	TRY(room_aliases(rq->services->rooms, rq->arena, &by, req_param(rq, "roomId"), &aliases, &n));
	w = reply_json(rq, 200);
	jw_array(w, "aliases");
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, aliases[i]);
	jw_end(w);
	return NULL;
}

/*
 * The published list
 */
static err *get_visibility(struct req *rq)
{
	bool published;

	TRY(room_published(rq->services->rooms, rq->arena, req_param(rq, "roomId"), &published));
	jw_str(reply_json(rq, 200), "visibility", published ? S("public") : S("private"));
	return NULL;
}

static err *put_visibility(struct req *rq)
{
	const struct actor by = req_actor(rq);
	const struct json *body;
	str visibility;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "visibility", &visibility));
	if (str_is_none(visibility))
		visibility = S("public"); /* "Defaults to public." */
	if (!str_eq(visibility, S("public")) && !str_eq(visibility, S("private")))
		return err_new(rq->arena, ERR_INVALID_PARAM, "visibility must be public or private");
	TRY(room_publish(rq->services->rooms, rq->arena, &by, req_param(rq, "roomId"),
			 str_eq(visibility, S("public"))));
	reply_empty(rq);
	return NULL;
}

/* Who may see the list, and whose list it is. */
static err *check_list(struct req *rq)
{
	const struct config *config = rq->services->config;
	const str server = req_query(rq, "server");

	if (str_is_none(rq->user_id) && !config->rooms.public_without_auth)
		return err_new(rq->arena, ERR_MISSING_TOKEN, "the list of rooms is for users of this server");
	if (!str_is_none(server) && !str_eq(server, config->server_name))
		return err_new(rq->arena, ERR_NOT_FOUND, "this server does not federate: it has its own list alone");
	return NULL;
}

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

static err *get_public_rooms(struct req *rq)
{
	struct public_rooms_cmd cmd = { .since = req_query(rq, "since"), .search = STR_NONE, .any_room_type = true };

	TRY(check_list(rq));
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

static err *post_public_rooms(struct req *rq)
{
	struct public_rooms_cmd cmd = { 0 };
	const struct json *body, *limit;

	TRY(check_list(rq));
	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "since", &cmd.since));
	limit = json_get(body, S("limit"));
	if (limit && limit->kind != JSON_NULL && !json_get_int(body, S("limit"), &cmd.limit))
		return err_new(rq->arena, ERR_BAD_JSON, "limit must be an integer");
	TRY(read_filter(rq, body, &cmd));
	return write_list(rq, &cmd);
}

#define CLIENT "/_matrix/client/v3"
#define ALIAS  CLIENT "/directory/room/{roomAlias}"
#define LISTED CLIENT "/directory/list/room/{roomId}"
extern const struct route client_room_directory_routes[];
const struct route client_room_directory_routes[] = {
	{ "PUT", ALIAS, put_alias, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", ALIAS, get_alias, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "DELETE", ALIAS, delete_alias, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", CLIENT "/rooms/{roomId}/aliases", get_aliases, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", LISTED, get_visibility, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ "PUT", LISTED, put_visibility, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", CLIENT "/publicRooms", get_public_rooms, AUTH_OPTIONAL, RATE_NONE, LANE_FAST },
	{ "POST", CLIENT "/publicRooms", post_public_rooms, AUTH_OPTIONAL, RATE_NONE, LANE_FAST },
	{ 0 },
};
