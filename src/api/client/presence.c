/* presence.c - Client-Server API, "Presence". */
#include "api/client/sync_presence.h"

#include "api/body.h"
#include "api/internal_api.h"
#include "presence/presence.h"

static err *put_status(struct req *rq)
{
	enum presence_state state;
	const struct json *body;
	str presence, status_msg;

	if (!str_eq(req_param(rq, "userId"), rq->user_id))
		return err_new(rq->arena, ERR_FORBIDDEN, "You cannot set the presence state of another user");
	TRY(req_body_object(rq, &body));
	TRY(body_need_str(rq, body, "presence", &presence));
	TRY(body_str(rq, body, "status_msg", &status_msg));
	if (!presence_state_read(presence, &state))
		return err_new(rq->arena, ERR_INVALID_PARAM, "presence is online, offline or unavailable");
	if (status_msg.n > PRESENCE_STATUS_MAX)
		return err_new(rq->arena, ERR_TOO_LARGE, "status_msg has at most %d bytes", PRESENCE_STATUS_MAX);
	presence_set(rq->services->presence, rq->arena, rq->user, rq->device_id, state,
		     str_is_empty(status_msg) ? STR_NONE : status_msg);
	reply_empty(rq);
	return NULL;
}

/* "You are not allowed to see this user's presence status": also of those who do not exist. */
static err *find_visible(struct req *rq, int64_t *out)
{
	TRY(presence_visible(rq->services->presence, rq->arena, rq->user, req_param(rq, "userId"), out));
	if (!*out)
		return err_new(rq->arena, ERR_FORBIDDEN, "You are not allowed to see their presence");
	return NULL;
}

static err *get_status(struct req *rq)
{
	struct presence_view view = { .last_active_ago = -1, .status_msg = STR_NONE };
	int64_t user;
	struct jw *w;

	if (presence_enabled(rq->services->presence)) {
		TRY(find_visible(rq, &user));
		TRY(presence_get(rq->services->presence, rq->arena, user, &view));
	}
	w = reply_json(rq, 200);
	if (view.state == PRESENCE_ONLINE)
		jw_bool(w, "currently_active", view.currently_active);
	if (view.last_active_ago >= 0)
		jw_int(w, "last_active_ago", view.last_active_ago);
	jw_str(w, "presence", presence_state_text(view.state));
	if (!str_is_none(view.status_msg))
		jw_str(w, "status_msg", view.status_msg);
	return NULL;
}

/*
 * The part of /sync: "clients that wait are online".
 */
struct waiting { /* as long as the request */
	struct presence *presence;
	int64_t user;
	str device_id; /* owned */
};

static void waiting_drop(void *thing)
{
	struct waiting *w = thing;

	presence_sync_end(w->presence, w->user, w->device_id);
	mem_free((void *)w->device_id.p);
	mem_free(w);
}

/* "Ratelimited presence updates sent via sync are ignored": then the device stays what it was, and waits all the same.
 */
static bool may_change(struct req *rq, enum presence_state state)
{
	return !presence_sync_changes(rq->services->presence, rq->user, rq->device_id, state) ||
	       !req_rate(rq, RATE_PRESENCE, rq->user_id);
}

err *sync_presence(struct req *rq)
{
	struct presence *p = rq->services->presence;
	const str asked = req_query(rq, "set_presence");
	enum presence_state state = PRESENCE_ONLINE;
	struct waiting *w;

	if (!str_is_none(asked) && !presence_state_read(asked, &state))
		return err_new(rq->arena, ERR_INVALID_PARAM, "set_presence is online, offline or unavailable");
	if (rq->is_guest || req_kept(rq))
		return NULL;
	if (!presence_sync_begin(p, rq->arena, rq->user, rq->device_id, state, may_change(rq, state)))
		return NULL;
	w = MEM_NEW(struct waiting);
	*w = (struct waiting){ p, rq->user, str_keep(rq->device_id) };
	req_keep(rq, w, waiting_drop);
	return NULL;
}

extern const struct route client_presence_routes[];
const struct route client_presence_routes[] = {
	{ "PUT", "/_matrix/client/v3/presence/{userId}/status", put_status, AUTH_USER, RATE_PRESENCE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/presence/{userId}/status", get_status, AUTH_USER, RATE_NONE, LANE_FAST },
	{ 0 },
};
