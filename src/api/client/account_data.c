/* account_data.c - Client-Server API, "Client Config" and "Room Tagging". */
#include "api/internal_api.h"
#include "user/account_data.h"

/* "Servers MUST reject setting account data for event types that the server manages by using a 405 error response.
 * Currently, this only includes m.fully_read and m.push_rules." */
static err *check_type(struct req *rq, str type)
{
	if (str_eq(type, S("m.fully_read")) || str_eq(type, S("m.push_rules"))) {
		err *e = err_new(rq->arena, ERR_METHOD, "%.*s is set through an API of its own", STR_ARG(type));

		e->body = S("{\"errcode\":\"M_BAD_JSON\",\"error\":\"this type is set through an API of its own\"}");
		return e;
	}
	return NULL;
}

static err *put(struct req *rq, int64_t room)
{
	const str type = req_param(rq, "type");
	const struct json *content;
	str text;

	TRY(api_own_user(rq, "userId"));
	TRY(check_type(rq, type));
	TRY(req_body_object(rq, &content));
	TRY(json_canonical(rq->arena, content, JSON_CANON_LOOSE, &text));
	TRY(user_account_data_set(rq->services->users, rq->arena, rq->user, room, type, text));
	reply_empty(rq);
	return NULL;
}

static err *get(struct req *rq, int64_t room)
{
	const str type = req_param(rq, "type");
	str text;

	TRY(api_own_user(rq, "userId"));
	if (room == 0 &&
	    str_eq(type,
		   S("m.push_rules"))) { /* "Servers must allow clients to read the above event types as normal." */
		const struct push_rules *rules;
		struct jw *w;

		TRY(user_push_rules(rq->services->users, rq->arena, rq->user, &rules));
		w = reply_json(rq, 200);
		jw_object(w, "global");
		push_rules_write(w, rules, rq->user_id);
		jw_end(w);
		return NULL;
	}
	TRY(user_account_data(rq->services->users, rq->arena, rq->user, room, type, &text));
	if (str_is_none(text))
		return err_new(rq->arena, ERR_NOT_FOUND, "no account data of this type");
	reply_json_text(rq, 200, text);
	return NULL;
}

static err *put_global(struct req *rq) { return put(rq, 0); }
static err *get_global(struct req *rq) { return get(rq, 0); }

static err *put_room(struct req *rq)
{
	int64_t room;

	TRY(api_own_user(rq, "userId"));
	TRY(api_room(rq, "roomId", &room));
	return put(rq, room);
}

static err *get_room(struct req *rq)
{
	int64_t room;

	TRY(api_own_user(rq, "userId"));
	TRY(api_room(rq, "roomId", &room));
	return get(rq, room);
}

static err *get_tags(struct req *rq)
{
	int64_t room;
	str text;

	TRY(api_own_user(rq, "userId"));
	TRY(api_room(rq, "roomId", &room));
	TRY(user_account_data(rq->services->users, rq->arena, rq->user, room, S("m.tag"), &text));
	reply_json_text(rq, 200, str_is_none(text) ? S("{\"tags\":{}}") : text);
	return NULL;
}

static err *put_tag(struct req *rq)
{
	const struct json *content;
	int64_t room;

	TRY(api_own_user(rq, "userId"));
	TRY(api_room(rq, "roomId", &room));
	TRY(req_body_object(rq, &content));
	TRY(user_tag_set(rq->services->users, rq->arena, rq->user, room, req_param(rq, "tag"), content));
	reply_empty(rq);
	return NULL;
}

static err *delete_tag(struct req *rq)
{
	int64_t room;

	TRY(api_own_user(rq, "userId"));
	TRY(api_room(rq, "roomId", &room));
	TRY(user_tag_set(rq->services->users, rq->arena, rq->user, room, req_param(rq, "tag"), NULL));
	reply_empty(rq);
	return NULL;
}

#define USER "/_matrix/client/v3/user/{userId}/"
#define ROOM USER "rooms/{roomId}/"
const struct route client_account_data_routes[] = {
	{ "PUT", USER "account_data/{type}", put_global, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", USER "account_data/{type}", get_global, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "PUT", ROOM "account_data/{type}", put_room, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "account_data/{type}", get_room, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "GET", ROOM "tags", get_tags, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "PUT", ROOM "tags/{tag}", put_tag, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ "DELETE", ROOM "tags/{tag}", delete_tag, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
