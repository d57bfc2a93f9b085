/* query.c - what other servers and services ask about our names: Server-Server API, "Querying for information",
 * "OpenID". */
#include "api/services.h"
#include "base/arena.h"
#include "config/config.h"
#include "room/room.h"
#include "user/openid.h"
#include "user/profile.h"

enum { SERVERS_MOST = 100 };

static err *need_query(struct req *rq, const char *name, str *out)
{
	*out = req_query(rq, name);
	return str_is_none(*out) ? err_new(rq->arena, ERR_MISSING_PARAM, "%s is missing", name) : NULL;
}

static err *get_directory(struct req *rq)
{
	str alias, room_id, *servers;
	struct jw *w;
	size_t n;

	TRY(need_query(rq, "room_alias", &alias));
	TRY(room_alias_find(rq->services->rooms, rq->arena, alias, &room_id));
	TRY(room_server_names(rq->services->rooms, rq->arena, room_id, SERVERS_MOST, &servers, &n));
	w = reply_json(rq, 200);
	jw_str(w, "room_id", room_id);
	jw_array(w, "servers");
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, servers[i]);
	jw_end(w);
	return NULL;
}

static err *whole_profile(struct req *rq, str user_id)
{
	AUTO_BUF b = BUF_INIT(2 * PROFILE_MAX_BYTES);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	TRY(user_profile_write(rq->services->users, rq->arena, user_id, &w));
	jw_end(&w);
	reply_json_text(rq, 200, arena_keep(rq->arena, buf_str(&b)));
	return NULL;
}

static err *get_profile(struct req *rq)
{
	const str field = req_query(rq, "field");
	str user_id, value;
	struct jw *w;

	TRY(need_query(rq, "user_id", &user_id));
	if (!rq->services->config->profiles.to_servers)
		return err_new(rq->arena, ERR_FORBIDDEN,
			       "Profile lookup over federation is disabled on this homeserver");
	if (!users_is_local(rq->services->users, user_id))
		return err_new(rq->arena, ERR_INVALID_PARAM, "user_id is no user of this server");
	if (str_is_none(field))
		return whole_profile(rq, user_id);
	TRY(user_profile_field(rq->services->users, rq->arena, user_id, field, &value));
	w = reply_json(rq, 200);
	if (!str_is_none(value)) {
		jw_key(w, field);
		jw_raw(w, NULL, value);
	}
	return NULL;
}

/* Asked by services of any kind, who have no key to sign with. */
static err *get_userinfo(struct req *rq)
{
	const str token = req_query(rq, "access_token");
	str user_id;

	if (str_is_none(token))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "access_token is missing");
	TRY(openid_token_user(rq->services->users, rq->arena, token, &user_id));
	jw_str(reply_json(rq, 200), "sub", user_id);
	return NULL;
}

const struct route server_query_routes[] = {
	{ "GET", "/_matrix/federation/v1/query/directory", get_directory, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/query/profile", get_profile, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/federation/v1/openid/userinfo", get_userinfo, AUTH_NONE, RATE_NONE, LANE_FEDERATION },
	{ 0 },
};
