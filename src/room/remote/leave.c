/*
 * leave.c - rejecting an invitation, taking back a knock: of rooms that this server is not in.
 *
 * Other servers are told as far as one of them answers in time; the user is out here in any case. A room whose servers
 * are all gone would stay in the list for ever otherwise.
 */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "room/outsider.h"

static err *leave_through(struct remote *r, struct arena *a, const struct making *m, str server, struct event **out)
{
	struct fed_call call = { .destination = server, .method = S("PUT"), .patience = m->patience };
	struct made made;
	err *e;

	TRY(remote_make(r, a, m, server, &made));
	call.path = remote_send_path(a, S("/_matrix/federation/v2/send_leave/"), made.event);
	call.content = made.event->json;
	e = fed_one(r->opt.fed, a, &call, m->deadline_us);
	if (e && e->code == ERR_UNRECOGNIZED) {
		call.path = remote_send_path(a, S("/_matrix/federation/v1/send_leave/"), made.event);
		call.any_type = true; /* "[200, {}]" */
		e = fed_one(r->opt.fed, a, &call, m->deadline_us);
	}
	if (!e)
		*out = made.event;
	return e;
}

err *remote_leave(struct remote *r, struct arena *a, const struct remote_cmd *cmd)
{
	const int64_t ms = cmd->hasty ? REMOTE_HASTY_MS : REMOTE_MAKE_MS;
	const int64_t until = clock_mono_us() + (cmd->hasty ? 1000 : 1500) * ms;
	struct making m = {
		.what = "make_leave",
		.room_id = cmd->room_id,
		.user_id = cmd->by.user_id,
		.to = MEMBER_LEAVE,
		.patience = cmd->hasty ? FED_ASK : FED_ANYWAY,
	};
	struct server_names servers;
	struct event *ev = NULL;
	struct outsider *o;

	TRY(outsider_find(r->rs, a, cmd->room_id, cmd->by.user, &o));
	if (!o || (o->membership != MEMBER_INVITE && o->membership != MEMBER_KNOCK))
		return err_new(a, ERR_NOT_FOUND, "you are not in this room, and not invited to it");
	m.expected = o->version;
	TRY(member_content(r->rs, a, cmd->by.user_id, MEMBER_LEAVE, cmd->reason, cmd->extra, &m.content));
	TRY(remote_servers(r, a, cmd, &servers));
	for (size_t i = 0; i < servers.n && !ev && clock_mono_us() < until; i++) {
		const err *e;

		m.deadline_us = MIN(until, clock_mono_us() + 1000 * ms);
		e = leave_through(r, a, &m, servers.p[i], &ev);

		if (e)
			log_info(r->opt.log, "a server did not take a rejection", F("room_id", cmd->room_id),
				 F("server", servers.p[i]), F("why", e->msg));
	}
	return outsider_end(r->rs, a, cmd->room_id, cmd->by.user_id, ev);
}
