/*
 * make.c - the template of a membership event for a user of another server: make_join, make_knock, make_leave.
 *
 * It is the event that a user of ours would send now, built and authorised on the room's head, without what only its
 * sender's server can add. Nothing is stored, and no text gets a number: asking costs the asker as much as us.
 */
#include "room/admit/internal_admit.h"

#include "base/clock.h"
#include "room/server_acl.h"

err *admit_new(struct arena *a, const struct admit_options *opt, struct admit **out)
{
	struct admit *ad = ARENA_NEW(a, struct admit);

	ad->opt = *opt;
	waiting_init(&ad->waiting);
	*out = ad;
	return NULL;
}

void admit_free(struct admit **ad)
{
	if (*ad)
		waiting_done(&(*ad)->waiting);
	*ad = NULL;
}

err *admit_inside(struct room *room)
{
	const struct map *locals;

	TRY(room_locals(room, &locals));
	return locals->n ? NULL : err_new(room->a, ERR_NOT_FOUND, "this server is not in the room");
}

err *admit_incompatible(struct arena *a, str version)
{
	AUTO_BUF buf = BUF_INIT(1024);
	struct jw w = jw_to(&buf);
	err *e = err_new(a, ERR_INCOMPATIBLE_ROOM_VERSION,
			 "Your homeserver does not support the features required to join this room");

	jw_object(&w, NULL);
	jw_str(&w, "room_version", version);
	jw_end(&w);
	if (jw_good(&w)) /* without the braces */
		e->extra = arena_keep(a, (str){ buf_str(&buf).p + 1, buf_str(&buf).n - 2 });
	return e;
}

/* "The room versions the sending server has support for." */
static err *check_version(struct arena *a, const struct room_version *rv, const struct admit_make *cmd)
{
	for (size_t i = 0; cmd->versions && i < cmd->n_versions; i++)
		if (str_eq(cmd->versions[i], rv->id))
			return NULL;
	return cmd->versions ? admit_incompatible(a, rv->id) : NULL;
}

err *admit_condition(struct room *room, str user_id, enum join_condition *out)
{
	enum membership now;
	int64_t user;

	*out = JOIN_UNCONDITIONAL;
	TRY(room_membership(room, user_id, &now));
	if (now == MEMBER_JOIN || now == MEMBER_INVITE)
		return NULL;
	TRY(store_intern_find(room->rs->opt.store, room->a, user_id, &user));
	TRY(join_condition(room, user, out));
	/* "M_UNABLE_TO_AUTHORISE_JOIN [...] to denote that the resident server is unable to validate any of the
	 * conditions" */
	if (*out == JOIN_UNKNOWN)
		return err_new(room->a, ERR_UNABLE_TO_AUTHORISE_JOIN,
			       "this server is not in all rooms whose members may join this one");
	/* "If the joining server fails all conditions then a 403 M_FORBIDDEN error is used" */
	if (*out == JOIN_FAILS)
		return err_new(room->a, ERR_FORBIDDEN,
			       "the user is in none of the rooms whose members may join this one");
	return NULL;
}

static err *make_content(struct room *room, const struct admit_make *cmd, const struct json **out)
{
	enum join_condition condition;
	struct json *content = json_new_object(room->a);
	str voucher;

	json_set(room->a, content, S("membership"), json_new_str(room->a, membership_text(cmd->to)));
	*out = content;
	if (cmd->to != MEMBER_JOIN)
		return NULL;
	TRY(admit_condition(room, cmd->user_id, &condition));
	if (condition != JOIN_MEETS)
		return NULL;
	TRY(join_voucher(room, &voucher));
	/* "M_UNABLE_TO_GRANT_JOIN [...] the resident server would be unable to meet the auth rules governing
	 * join_authorised_via_users_server" */
	if (str_is_none(voucher))
		return err_new(room->a, ERR_UNABLE_TO_GRANT_JOIN, "nobody here may vouch for who joins this room");
	json_set(room->a, content, S("join_authorised_via_users_server"), json_new_str(room->a, voucher));
	return NULL;
}

/* What the other server is to fill in itself goes. */
static struct json *template_of(struct arena *a, const struct rooms *rs, const struct event *ev)
{
	struct json *t = json_copy(a, ev->json);

	json_del(t, S("event_id"));
	json_del(t, S("hashes"));
	json_del(t, S("signatures"));
	json_set(a, t, S("origin"), json_new_str(a, rs->opt.signer.server_name));
	return t;
}

err *admit_make(struct admit *ad, struct arena *a, const struct admit_make *cmd,
		const struct room_version **out_version, const struct json **out_event)
{
	struct rooms *rs = ad->opt.rooms;
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	struct proposal p = {
		.type = S("m.room.member"), .state_key = cmd->user_id, .sender = cmd->user_id, .ts = clock_ms()
	};
	const struct event *ev;
	struct json *made;

	/* "This MUST be a user ID on the origin server." */
	if (!id_user_valid(cmd->user_id) || !id_is_of(cmd->user_id, cmd->origin))
		return err_new(a, ERR_FORBIDDEN, "the user is not of the server that asks");
	TRY(room_acl_check(rs, a, cmd->room_id, cmd->origin));
	TRY(room_hold(rs, a, cmd->room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	TRY(admit_inside(room));
	TRY(check_version(a, room->rv, cmd));
	TRY(make_content(room, cmd, &p.content));
	draft_begin(room, &d);
	TRY(draft_build(d, &p, &ev));
	/* The draft's memory goes with it. */
	TRY(json_parse(a, arena_keep(a, ev->bytes), &json_limits_event, &made));
	*out_event = template_of(a, rs, &(struct event){ .json = made });
	*out_version = room->rv;
	return NULL;
}
