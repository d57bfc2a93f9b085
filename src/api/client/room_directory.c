/* room_directory.c - Client-Server API, "Room aliases" and "Published room directory". */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/public_rooms.h"
#include "api/services.h"
#include "config/config.h"
#include "federation/query.h"
#include "matrix/id.h"

enum { ALIAS_SERVERS_MOST = 100, REMOTE_MS = 10000, REMOTE_LIST_MS = 30000, REMOTE_LIST_MOST = 500 };

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

/* Another server's name: that server is asked. */
static err *get_remote_alias(struct req *rq, str alias)
{
	str room_id, *servers;
	size_t n;

	if (req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	TRY(query_alias(rq->services->queries, rq->arena, alias, rq->arrived_us + REMOTE_MS * 1000, &room_id, &servers,
			&n));
	write_alias(rq, room_id, servers, n);
	return NULL;
}

static err *get_alias(struct req *rq)
{
	const str alias = req_param(rq, "roomAlias");
	str room_id, *servers;
	size_t n;

	if (id_alias_valid(alias) && !fed_is_own(rq->services->fed, id_server(alias)))
		return get_remote_alias(rq, alias);
	TRY(room_alias_find(rq->services->rooms, rq->arena, alias, &room_id));
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

/* Who may see the list. */
static err *check_list(const struct req *rq)
{
	if (str_is_empty(rq->user_id) && !rq->services->config->rooms.public_without_auth)
		return err_new(rq->arena, ERR_MISSING_TOKEN, "the list of rooms is for users of this server");
	return NULL;
}

/* Whose list is it? STR_NONE: ours. */
static str other_server(const struct req *rq)
{
	const str server = req_query(rq, "server");

	return str_is_empty(server) || str_eq(server, rq->services->config->server_name) ? STR_NONE : server;
}

/* Another server's list, for our users alone. */
static err *remote_list(struct req *rq, str server, const struct json *body)
{
	const struct json *page;
	struct jw *w;

	if (str_is_empty(rq->user_id))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "other servers' lists are for users of this server");
	if (!id_server_name_valid(server))
		return err_new(rq->arena, ERR_INVALID_PARAM, "server is no server's name");
	if (req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	TRY(query_public_rooms(rq->services->queries, rq->arena, server, body, rq->arrived_us + REMOTE_LIST_MS * 1000,
			       &page));
	w = reply_json(rq, 200);
	JSON_EACH (page, m) {
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	return NULL;
}

static void add_int(struct arena *a, struct json *body, const char *key, int64_t v)
{
	json_set(a, body, str_c(key), json_new_int(a, v));
}

/* In both directions it is the same question, but for its form. */
static err *get_public_rooms(struct req *rq)
{
	const str server = other_server(rq), since = req_query(rq, "since");
	struct json *body;
	int64_t limit;

	TRY(check_list(rq));
	if (str_is_none(server))
		return public_rooms_get(rq);
	TRY(req_query_int(rq, "limit", 0, &limit));
	body = json_new_object(rq->arena);
	if (limit > 0)
		add_int(rq->arena, body, "limit", MIN(limit, (int64_t)REMOTE_LIST_MOST));
	if (!str_is_none(since))
		json_set(rq->arena, body, S("since"), json_new_str(rq->arena, since));
	return remote_list(rq, server, body);
}

static err *post_public_rooms(struct req *rq)
{
	static const char *const passed_on[] = { "since", "filter", "include_all_networks", "third_party_instance_id" };
	const str server = other_server(rq);
	const struct json *given;
	struct json *body;
	int64_t limit;

	TRY(check_list(rq));
	if (str_is_none(server))
		return public_rooms_post(rq);
	TRY(req_body_object_or_empty(rq, &given));
	body = json_new_object(rq->arena);
	for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
		if (json_get(given, str_c(passed_on[i])))
			json_set(rq->arena, body, str_c(passed_on[i]), json_get(given, str_c(passed_on[i])));
	if (json_get_int(given, S("limit"), &limit) && limit > 0)
		add_int(rq->arena, body, "limit", MIN(limit, (int64_t)REMOTE_LIST_MOST));
	return remote_list(rq, server, body);
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
