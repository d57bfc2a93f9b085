/* room_membership.c - Client-Server API, "Room membership": joining, leaving, inviting, kicking, banning, knocking. */
#include "api/body.h"
#include "api/client/room_actor.h"
#include "api/services.h"
#include "flow/successor.h"

typedef err *member_door(struct rooms *rs, struct arena *a, const struct member_cmd *cmd);
typedef err *entry_door(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str *out_room_id);

/* What the body says of the event beside the fields that the endpoint takes: clients may add members of their own. */
static const struct json *further_members(struct req *rq, const struct json *body)
{
	struct json *extra = json_copy(rq->arena, body);

	json_del(extra, S("reason"));
	json_del(extra, S("third_party_signed"));
	json_del(extra, S("membership"));
	return extra->object.n ? extra : NULL;
}

enum { VIA_MOST = 20 };

/* "via: The servers to attempt to join the room through", and what it was called before. */
static void read_via(struct req *rq, struct member_cmd *cmd)
{
	str *via = ARENA_ARRAY(rq->arena, str, 2 * VIA_MOST);

	cmd->n_via = req_query_all(rq, "via", via, VIA_MOST);
	cmd->n_via += req_query_all(rq, "server_name", via + cmd->n_via, VIA_MOST);
	cmd->via = via;
}

static err *enter(struct req *rq, const char *param, entry_door *door)
{
	bool elsewhere = false;
	struct member_cmd cmd = { .by = req_actor(rq),
				  .room_id = req_param(rq, param),
				  .out_elsewhere = req_elsewhere(rq, &elsewhere) };
	const struct json *body;
	str room_id;
	err *e;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "reason", &cmd.reason));
	if (json_get_object(body, S("third_party_signed")))
		return err_new(rq->arena, ERR_FORBIDDEN,
			       "this server asks no identity server about third-party invites");
	cmd.extra = further_members(rq, body);
	read_via(rq, &cmd);
	if (door == room_join && cmd.out_elsewhere) /* once */
		TRY(req_rate(rq, RATE_JOIN_ROOM, cmd.room_id));
	e = door(rq->services->rooms, rq->arena, &cmd, &room_id);
	if (e && door == room_join) /* whoever is refused, here or elsewhere, keeps nobody else out */
		req_rate_back(rq, RATE_JOIN_ROOM, cmd.room_id);
	TRY(e);
	if (elsewhere)
		return req_move(rq, LANE_REMOTE);
	if (door == room_join)
		successor_entered(rq->services->users, rq->services->rooms, rq->arena, rq->user, room_id);
	jw_str(reply_json(rq, 200), "room_id", room_id);
	return NULL;
}

static err *post_join(struct req *rq) { return enter(rq, "roomId", room_join); }
static err *post_join_any(struct req *rq) { return enter(rq, "roomIdOrAlias", room_join); }
static err *post_knock(struct req *rq) { return enter(rq, "roomIdOrAlias", room_knock); }

/* Doors that concern the user who asks. */
static err *own(struct req *rq, member_door *door)
{
	bool elsewhere = false;
	struct member_cmd cmd = { .by = req_actor(rq),
				  .room_id = req_param(rq, "roomId"),
				  .out_elsewhere = req_elsewhere(rq, &elsewhere) };
	const struct json *body;

	TRY(req_body_object_or_empty(rq, &body));
	TRY(body_str(rq, body, "reason", &cmd.reason));
	TRY(door(rq->services->rooms, rq->arena, &cmd));
	if (elsewhere)
		return req_move(rq, LANE_REMOTE);
	reply_empty(rq);
	return NULL;
}

static err *post_leave(struct req *rq) { return own(rq, room_leave); }
static err *post_forget(struct req *rq) { return own(rq, room_forget); }

/* Doors that concern another user. */
static err *other(struct req *rq, member_door *door)
{
	bool elsewhere = false;
	struct member_cmd cmd = { .by = req_actor(rq),
				  .room_id = req_param(rq, "roomId"),
				  .out_elsewhere = req_elsewhere(rq, &elsewhere) };
	const struct json *body;

	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "user_id", &cmd.target));
	TRY(body_str(rq, body, "reason", &cmd.reason));
	TRY(door(rq->services->rooms, rq->arena, &cmd));
	if (elsewhere)
		return req_move(rq, LANE_REMOTE);
	reply_empty(rq);
	return NULL;
}

/* An invitation takes from the room's allowance, and from that of the invited user. */
static err *take_invite(struct req *rq, str room_id, str user)
{
	err *e;

	TRY(req_rate(rq, RATE_INVITE_ROOM, room_id));
	e = str_is_none(user) ? NULL : req_rate(rq, RATE_INVITE_USER, user);
	if (e)
		req_rate_back(rq, RATE_INVITE_ROOM, room_id);
	return e;
}

static err *post_invite(struct req *rq)
{
	const str room_id = req_param(rq, "roomId");
	const struct json *body;
	str user;
	err *e;

	TRY(req_body_object(rq, &body));
	if (!json_get(body, S("user_id")) && json_get(body, S("medium")))
		return err_new(rq->arena, ERR_THREEPID_DENIED,
			       "this server asks no identity server: people are invited by their user id");
	user = json_get_str(body, S("user_id"));
	if (req_lane(rq) != LANE_REMOTE) /* else it is its second run */
		TRY(take_invite(rq, room_id, user));
	e = other(rq, room_invite);
	if (e) { /* what is refused takes nothing from those who may */
		req_rate_back(rq, RATE_INVITE_ROOM, room_id);
		if (!str_is_none(user))
			req_rate_back(rq, RATE_INVITE_USER, user);
	}
	return e;
}

static err *post_kick(struct req *rq) { return other(rq, room_kick); }
static err *post_ban(struct req *rq) { return other(rq, room_ban); }
static err *post_unban(struct req *rq) { return other(rq, room_unban); }

static err *get_joined_rooms(struct req *rq)
{
	struct jw *w;
	str *ids;
	size_t n;

	TRY(rooms_joined(rq->services->rooms, rq->arena, rq->user, &ids, &n));
	w = reply_json(rq, 200);
	jw_array(w, "joined_rooms");
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, ids[i]);
	jw_end(w);
	return NULL;
}

#define CLIENT "/_matrix/client/v3"
#define ROOM   CLIENT "/rooms/{roomId}"
extern const struct route client_room_membership_routes[];
const struct route client_room_membership_routes[] = {
	{ "GET", CLIENT "/joined_rooms", get_joined_rooms, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "POST", ROOM "/join", post_join, AUTH_USER, RATE_JOIN, LANE_FAST },
	{ "POST", CLIENT "/join/{roomIdOrAlias}", post_join_any, AUTH_USER, RATE_JOIN, LANE_FAST },
	{ "POST", CLIENT "/knock/{roomIdOrAlias}", post_knock, AUTH_USER, RATE_JOIN, LANE_FAST },
	{ "POST", ROOM "/leave", post_leave, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "POST", ROOM "/forget", post_forget, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "POST", ROOM "/invite", post_invite, AUTH_USER, RATE_INVITE, LANE_FAST },
	{ "POST", ROOM "/kick", post_kick, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "POST", ROOM "/ban", post_ban, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ "POST", ROOM "/unban", post_unban, AUTH_USER, RATE_MESSAGE, LANE_FAST },
	{ 0 },
};
