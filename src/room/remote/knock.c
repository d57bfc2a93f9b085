/* knock.c - knocking upon a room of other servers. What the one that takes the knock shows of the room is all that is
 * known of it afterwards (room/outsider.h). */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "room/outsider.h"

enum { SHOWN_MOST = 100 };

/* "Entries which are improperly signed or formatted SHOULD be removed by the server prior to supplying them over the
 * Client-Server API." */
static err *good_state(struct remote *r, struct arena *a, const struct made *made, const struct json *list,
		       struct json **out)
{
	const struct event *const *events;
	struct checked_event *checked;
	size_t n;

	*out = json_new_array(a);
	TRY(stripped_read(a, made->rv, made->event->room_id, list, false, &events, &n));
	n = MIN(n, (size_t)SHOWN_MOST);
	checked = ARENA_ARRAY(a, struct checked_event, n);
	for (size_t i = 0; i < n; i++)
		checked[i].json = events[i]->json;
	events_check(r->opt.keys, r->opt.pool, a, made->rv, made->event->room_id, checked, n,
		     clock_mono_us() + INT64_C(1000) * REMOTE_KEYS_MS);
	for (size_t i = 0; i < n; i++)
		if (checked[i].event)
			json_append(a, *out, checked[i].event->json);
	return NULL;
}

static err *knock_through(struct remote *r, struct arena *a, const struct making *m, str server)
{
	struct fed_call call = { .destination = server, .method = S("PUT"), .patience = FED_ANYWAY };
	struct outsider_cmd cmd = { .server = server };
	const struct json *list;
	struct json *state;
	struct made made;
	bool inside;

	TRY(remote_make(r, a, m, server, &made));
	call.path = remote_send_path(a, S("/_matrix/federation/v1/send_knock/"), made.event);
	call.content = made.event->json;
	TRY(fed_one(r->opt.fed, a, &call, clock_mono_us() + INT64_C(1000) * REMOTE_MAKE_MS));
	list = json_get_array(call.answer, S("knock_room_state"));
	if (!list) /* as servers called it before the specification did */
		list = json_get_array(call.answer, S("knock_state_events"));
	TRY(good_state(r, a, &made, list, &state));
	cmd.version = made.rv;
	cmd.event = made.event;
	cmd.stripped = state;
	return outsider_put(r->rs, a, &cmd, &inside);
}

static err *knock(struct remote *r, struct arena *a, const struct remote_cmd *cmd)
{
	struct making m = { .what = "make_knock",
			    .room_id = cmd->room_id,
			    .user_id = cmd->by.user_id,
			    .to = MEMBER_KNOCK,
			    .patience = FED_ANYWAY };
	const int64_t until = clock_mono_us() + INT64_C(1000) * REMOTE_KNOCK_MS;
	struct server_names servers;
	err *worst = NULL;
	int64_t room;

	TRY(rooms_find(r->rs, a, cmd->room_id, &room, &m.expected));
	TRY(member_content(r->rs, a, cmd->by.user_id, MEMBER_KNOCK, cmd->reason, cmd->extra, &m.content));
	TRY(remote_servers(r, a, cmd, &servers));
	for (size_t i = 0; i < servers.n; i++) {
		AUTO_ARENA one = arena_new();
		err *e = knock_through(r, one, &m, servers.p[i]);

		if (!e)
			return NULL;
		worst = remote_telling(worst, err_keep(a, e));
		if (remote_is_final(e) || clock_mono_us() > until)
			break;
	}
	return worst ? remote_for_client(a, worst)
		     : err_new(a, ERR_NOT_FOUND, "no server is known that is in the room");
}

err *remote_knock(struct remote *r, struct arena *a, const struct remote_cmd *cmd)
{
	err *e;

	TRY(remote_entering(r, a, cmd->by.user));
	e = knock(r, a, cmd);
	remote_entered(r, cmd->by.user);
	return e;
}
