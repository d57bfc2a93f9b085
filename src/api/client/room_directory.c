/* room_directory.c - Client-Server API, "Room aliases" and "Published room directory". */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/public_rooms.h"
#include "api/services.h"
#include "config/config.h"

enum { ALIAS_SERVERS_MOST = 100 };

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

static void write_alias(struct req *rq, str room_id, const str *servers, size_t n)
{
	struct jw *w = reply_json(rq, 200);

	jw_str(w, "room_id", room_id);
	jw_array(w, "servers");
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, servers[i]);
	jw_end(w);
}

static err *get_alias(struct req *rq)
{
	str room_id, *servers;
	size_t n;

	TRY(room_alias_find(rq->services->rooms, rq->arena, req_param(rq, "roomAlias"), &room_id));
	TRY(room_server_names(rq->services->rooms, rq->arena, room_id, ALIAS_SERVERS_MOST, &servers, &n));
	write_alias(rq, room_id, servers, n);
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

static err *get_public_rooms(struct req *rq)
{
	TRY(check_list(rq));
	return public_rooms_get(rq);
}

static err *post_public_rooms(struct req *rq)
{
	TRY(check_list(rq));
	return public_rooms_post(rq);
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
