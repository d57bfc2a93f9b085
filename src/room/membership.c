/*
 * membership.c - joining, inviting, leaving, kicking, banning, unbanning, knocking: one m.room.member event each.
 *
 * A room that this server is not in is entered and left through others (remote/), as is one whose rules want somebody
 * to vouch for who joins, where nobody here may; and a user of another server is invited with that one's consent.
 *
 * All others go the same way: the content is made (with the profile of a local user who is to be in the room), then
 * under the room's lock what this door asks beyond the authorisation rules is checked, and the event is queued as any
 * other. An event equal to the current one is not sent again.
 */
#include "room/internal_job.h"
#include "room/internal_policy.h"
#include "room/outsider.h"
#include "room/remote/internal_remote.h"

#include "base/clock.h"

struct wish {
	struct rooms *rs;
	struct arena *a;
	const struct member_cmd *cmd;
	str room_id, target;
	enum membership to;
	/* What this door asks, under the lock, by the target's membership now; or NULL. */
	err *(*check)(struct wish *w, struct room *room, enum membership now);
	struct proposal p;
	bool only_here;     /* this door does not go out */
	bool nothing_to_do; /* set by check */
	str event_id;       /* the event that says it, new or current */
	bool wait;          /* ... which is only queued yet, by someone else */
	bool elsewhere;     /* nothing was done: it takes other servers */
	bool inside;        /* ... though this one is in the room */
	bool nobody;        /* ... where nobody is, as far as is known here */
	bool tried;         /* they had nothing to say to that */
};

static bool is_local(const struct rooms *rs, str user_id) { return id_is_of(user_id, rs->opt.signer.server_name); }

static err *check_target(struct rooms *rs, struct arena *a, str user_id, bool must_be_local)
{
	if (!id_user_valid(user_id))
		return err_new(a, ERR_INVALID_PARAM, "%.*s is not a user id", STR_ARG(user_id));
	if (must_be_local && !rs->remote && !is_local(rs, user_id))
		return err_new(a, ERR_FORBIDDEN, "%.*s is on another server, and this one does not federate",
			       STR_ARG(user_id));
	return NULL;
}

/* The profile of a user of this server goes into the event, where the client did not say otherwise. */
static err *add_profile(struct rooms *rs, struct arena *a, str user_id, struct json *content)
{
	str name = STR_NONE, avatar = STR_NONE;
	int64_t user;

	if (!rs->opt.profile || !is_local(rs, user_id))
		return NULL;
	TRY(store_intern_find(rs->opt.store, a, user_id, &user));
	if (!user)
		return NULL;
	TRY(rs->opt.profile(rs->opt.profile_ctx, a, user, &name, &avatar));
	if (!str_is_none(name) && !json_get(content, S("displayname")))
		json_set(a, content, S("displayname"), json_new_str(a, name));
	if (!str_is_none(avatar) && !json_get(content, S("avatar_url")))
		json_set(a, content, S("avatar_url"), json_new_str(a, avatar));
	return NULL;
}

err *member_content(struct rooms *rs, struct arena *a, str user_id, enum membership to, str reason,
		    const struct json *extra, const struct json **out)
{
	struct json *content = extra ? json_copy(a, extra) : json_new_object(a);

	json_set(a, content, S("membership"), json_new_str(a, membership_text(to)));
	if (!str_is_none(reason))
		json_set(a, content, S("reason"), json_new_str(a, reason));
	if (to == MEMBER_JOIN || to == MEMBER_INVITE || to == MEMBER_KNOCK)
		TRY(add_profile(rs, a, user_id, content));
	*out = content;
	return NULL;
}

/* It is so already. */
static err *current_event(struct wish *w, struct room *room)
{
	const struct event *ev;

	TRY(room_current(room, w->p.type_nid, w->p.key_nid, &ev));
	w->event_id = ev ? arena_keep(w->a, ev->event_id) : STR_NONE;
	w->wait = ev && map_get_i(&room->pending, ev->nid);
	return NULL;
}

/* Is what we know of the room what it is? Somebody here is in it; or nobody is anywhere, and those who made it, if they
 * are of another server, know no better. */
static err *is_here(struct wish *w, struct room *room, bool *out)
{
	const struct event *create;
	const struct map *locals;

	TRY(room_locals(room, &locals));
	TRY(room_current_text(room, S("m.room.create"), S(""), &create));
	w->nobody = room->tip.joined == 0;
	*out = locals->n > 0 || (w->nobody && (w->tried || (create && is_local(w->rs, create->sender))));
	return NULL;
}

/* A door that other servers may open: through them, where the room is not here. */
static err *goes_elsewhere(struct wish *w, struct room *room)
{
	const bool enters = w->to == MEMBER_JOIN || w->to == MEMBER_KNOCK;
	struct outsider *o = NULL;
	bool here = false;

	if (!w->rs->remote || w->only_here || !str_eq(w->target, w->cmd->by.user_id) ||
	    !(enters || w->to == MEMBER_LEAVE))
		return NULL;
	if (room)
		TRY(is_here(w, room, &here));
	if (here)
		return NULL;
	/* Of what we were never invited to, we need not go out. */
	if (!enters)
		TRY(outsider_find(w->rs, w->a, w->room_id, w->cmd->by.user, &o));
	w->elsewhere = enters || (o && (o->membership == MEMBER_INVITE || o->membership == MEMBER_KNOCK));
	return NULL;
}

/* Nobody here may vouch for who meets the condition; somebody elsewhere may. */
static err *authorise(struct wish *w, struct room *room)
{
	err *e = join_authorise(room, &w->p);
	const struct map *locals;

	if (!e || e->code != ERR_UNABLE_TO_GRANT_JOIN || !w->rs->remote || w->only_here)
		return e;
	TRY(room_locals(room, &locals));
	if (room->tip.joined <= (int64_t)locals->n)
		return e;
	w->elsewhere = w->inside = true;
	return NULL;
}

static err *queue_wish(struct wish *w, struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	enum membership now;

	TRY(room_hold(w->rs, w->a, w->room_id, &room));
	TRY(goes_elsewhere(w, room));
	if (w->elsewhere)
		return NULL;
	if (!room)
		return err_new(w->a, w->to == MEMBER_JOIN || w->to == MEMBER_KNOCK ? ERR_NOT_FOUND : ERR_FORBIDDEN,
			       "there is no such room here");
	TRY(room_membership(room, w->target, &now));
	if (w->check)
		TRY(w->check(w, room, now));
	if (w->nothing_to_do)
		return current_event(w, room);
	if (w->to == MEMBER_JOIN && now != MEMBER_JOIN && now != MEMBER_INVITE)
		TRY(authorise(w, room));
	if (w->elsewhere)
		return NULL;
	TRY(room_same_as_current(room, &w->p, &w->event_id, &w->wait));
	if (!str_is_none(w->event_id))
		return NULL;
	return room_queue_one(room, &w->p, NULL, &w->event_id, out_ticket);
}

static err *fulfil_here(struct wish *w)
{
	struct vetting vetting = { .wanted = false };
	struct ticket *ticket = NULL;

	TRY(proposal_number(w->rs, w->a, &w->p));
	w->p.vetting = w->rs->policies ? &vetting : NULL;
	TRY(queue_wish(w, &ticket));
	if (vetting.wanted && w->cmd->out_elsewhere) {
		*w->cmd->out_elsewhere = true;
		return NULL;
	}
	if (vetting.wanted) {
		TRY(policy_vet(w->rs, w->a, &vetting));
		TRY(queue_wish(w, &ticket));
	}
	if (w->wait)
		TRY(room_wait_stored(w->rs, w->a, w->room_id, w->event_id));
	return ticket ? store_wait(w->a, ticket) : NULL;
}

/* *out_done: else the room is here by now, through somebody else. */
static err *fulfil_elsewhere(struct wish *w, bool *out_done)
{
	const struct remote_cmd cmd = {
		.by = w->cmd->by,
		.room_id = w->room_id,
		.via = w->cmd->via,
		.n_via = w->cmd->n_via,
		.reason = w->cmd->reason,
		.extra = w->cmd->extra,
		.hasty = w->cmd->hasty,
	};
	err *e;

	*out_done = true;
	if (w->to == MEMBER_JOIN)
		return remote_enter(w->rs->remote, w->a, &cmd, w->inside, out_done);
	if (w->to == MEMBER_KNOCK)
		return remote_knock(w->rs->remote, w->a, &cmd);
	e = remote_leave(w->rs->remote, w->a, &cmd);
	*out_done = !e || e->code != ERR_NOT_FOUND; /* else the room's state says by now what the user is */
	return *out_done ? e : NULL;
}

enum { TRIES = 4 };

static err *fulfil(struct wish *w)
{
	bool done = false;
	err *e;

	w->p.type = S("m.room.member");
	w->p.state_key = w->target;
	w->p.sender = w->cmd->by.user_id;
	w->p.ts = clock_ms();
	if (w->to == MEMBER_INVITE && !is_local(w->rs, w->target)) {
		if (!w->cmd->out_elsewhere)
			return remote_invite_user(w->rs, w->a, w->room_id, &w->p, &w->event_id);
		*w->cmd->out_elsewhere = true;
		return NULL;
	}
	if (w->to == MEMBER_INVITE)
		TRY(invite_permitted(w->rs, w->a, w->target));
	for (int i = 0; !done && i < TRIES; i++) {
		w->elsewhere = w->inside = w->nobody = false;
		TRY(fulfil_here(w));
		if (!w->elsewhere)
			return NULL;
		if (w->cmd->out_elsewhere) {
			*w->cmd->out_elsewhere = true;
			return NULL;
		}
		e = fulfil_elsewhere(w, &done);
		if (e && !w->nobody)
			return e;
		w->tried = e != NULL;
		done = done && !e;
	}
	return done ? NULL : err_new(w->a, ERR_BUSY, "others were faster; try again");
}

static err *change(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str room_id, str target,
		   enum membership to, err *(*check)(struct wish *w, struct room *room, enum membership now))
{
	struct wish w = {
		.rs = rs, .a = a, .cmd = cmd, .room_id = room_id, .target = target, .to = to, .check = check
	};

	if (!id_room_valid(room_id))
		return err_new(a, ERR_INVALID_PARAM, "%.*s is not a room id", STR_ARG(room_id));
	TRY(check_target(rs, a, target, to == MEMBER_INVITE));
	TRY(member_content(rs, a, target, to, cmd->reason, cmd->extra, &w.p.content));
	return fulfil(&w);
}

/*
 * Joining and knocking: also by alias
 */
static err *check_join(struct wish *w, struct room *room, enum membership now)
{
	(void)room;
	/* Once in, a further join without anything new to say changes nothing. */
	w->nothing_to_do = now == MEMBER_JOIN && !w->cmd->extra && str_is_none(w->cmd->reason);
	return NULL;
}

/* The room's id, and further servers to ask: those that an alias' server names. */
static err *resolve(struct rooms *rs, struct arena *a, struct member_cmd *cmd)
{
	str *servers, *via;
	size_t n;

	if (!str_starts(cmd->room_id, S("#")))
		return room_resolve(rs, a, cmd->room_id, &cmd->room_id);
	TRY(room_alias_ask(rs, a, cmd->room_id, cmd->out_elsewhere, &cmd->room_id, &servers, &n));
	if (cmd->out_elsewhere && *cmd->out_elsewhere)
		return NULL;
	via = ARENA_ARRAY(a, str, cmd->n_via + n);
	for (size_t i = 0; i < cmd->n_via + n; i++)
		via[i] = i < cmd->n_via ? cmd->via[i] : servers[i - cmd->n_via];
	cmd->via = via;
	cmd->n_via += n;
	return NULL;
}

static err *come(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, enum membership to,
		 err *(*check)(struct wish *w, struct room *room, enum membership now), str *out_room_id)
{
	struct member_cmd resolved = *cmd;

	TRY(resolve(rs, a, &resolved));
	if (cmd->out_elsewhere && *cmd->out_elsewhere)
		return NULL;
	TRY(change(rs, a, &resolved, resolved.room_id, cmd->by.user_id, to, check));
	*out_room_id = resolved.room_id;
	return NULL;
}

err *room_join(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str *out_room_id)
{
	return come(rs, a, cmd, MEMBER_JOIN, check_join, out_room_id);
}

err *room_knock(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, str *out_room_id)
{
	return come(rs, a, cmd, MEMBER_KNOCK, NULL, out_room_id);
}

/*
 * The others
 */
static err *check_kick(struct wish *w, struct room *room, enum membership now)
{
	const enum member_change change = membership_change(now, MEMBER_LEAVE, false);

	(void)room;
	if (change == CHANGE_KICKED || change == CHANGE_REVOKED || change == CHANGE_DENIED)
		return NULL;
	return err_new(w->a, ERR_FORBIDDEN, "%.*s is not in the room", STR_ARG(w->target));
}

static err *check_unban(struct wish *w, struct room *room, enum membership now)
{
	(void)room;
	if (membership_change(now, MEMBER_LEAVE, false) == CHANGE_UNBANNED)
		return NULL;
	return err_new(w->a, ERR_FORBIDDEN, "%.*s is not banned", STR_ARG(w->target));
}

err *room_invite(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	return change(rs, a, cmd, cmd->room_id, cmd->target, MEMBER_INVITE, NULL);
}

err *room_leave(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	return change(rs, a, cmd, cmd->room_id, cmd->by.user_id, MEMBER_LEAVE, NULL);
}

err *room_kick(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	return change(rs, a, cmd, cmd->room_id, cmd->target, MEMBER_LEAVE, check_kick);
}

err *room_ban(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	return change(rs, a, cmd, cmd->room_id, cmd->target, MEMBER_BAN, NULL);
}

err *room_unban(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	return change(rs, a, cmd, cmd->room_id, cmd->target, MEMBER_LEAVE, check_unban);
}

/* Through the door for state events the client writes the content itself. */
err *member_send(struct rooms *rs, struct arena *a, const struct send_cmd *cmd, str *out_event_id)
{
	const struct member_cmd member = { .by = cmd->by, .out_elsewhere = cmd->out_elsewhere };
	struct wish w = {
		.rs = rs,
		.a = a,
		.cmd = &member,
		.room_id = cmd->room_id,
		.target = cmd->state_key,
		.to = membership_of_text(json_get_str(cmd->content, S("membership"))),
		.only_here = true, /* but for the consent of another server's user to an invitation */
	};

	if (w.to == MEMBER_NONE)
		return err_new(a, ERR_BAD_JSON, "content.membership must be invite, join, knock, leave or ban");
	TRY(check_target(rs, a, cmd->state_key, w.to == MEMBER_INVITE));
	TRY(member_content(rs, a, w.target, w.to, STR_NONE, cmd->content, &w.p.content));
	TRY(fulfil(&w));
	*out_event_id = w.event_id;
	return NULL;
}

/* The event as it is, with the profile as it is now. */
static err *check_refresh(struct wish *w, struct room *room, enum membership now)
{
	static const str profile[] = { STR("displayname"), STR("avatar_url") };
	const struct event *ev;
	struct json *content;

	if (now != MEMBER_JOIN)
		return err_new(w->a, ERR_FORBIDDEN, "%.*s is not in the room", STR_ARG(w->target));
	TRY(room_current(room, w->p.type_nid, w->p.key_nid, &ev));
	content = json_copy(w->a, ev->content);
	for (size_t i = 0; i < ARRAY_LEN(profile); i++) {
		const struct json *value = json_get(w->p.content, profile[i]);

		json_del(content, profile[i]);
		if (value)
			json_set(w->a, content, profile[i], value);
	}
	json_del(content, S("join_authorised_via_users_server")); /* was for the way in */
	json_del(content, S("reason"));
	w->p.content = content;
	return NULL;
}

err *room_refresh_profile(struct rooms *rs, struct arena *a, const struct actor *by, str room_id)
{
	const struct member_cmd cmd = { .by = *by };
	struct wish w = { .rs = rs,
			  .a = a,
			  .cmd = &cmd,
			  .room_id = room_id,
			  .target = by->user_id,
			  .to = MEMBER_JOIN,
			  .only_here = true };

	w.check = check_refresh;
	TRY(member_content(rs, a, by->user_id, MEMBER_JOIN, STR_NONE, NULL, &w.p.content));
	return fulfil(&w);
}

/*
 * Forgetting
 */
struct forget {
	int64_t room, user;
};

static err *run_forget(struct tx *tx, void *arg)
{
	const struct forget *f = arg;

	return store_member_forget(tx, f->room, f->user);
}

/* What the user is in a room, and its number; of a room that this server is not in, by what is known from outside. */
static err *forgotten_from(struct rooms *rs, struct arena *a, const struct member_cmd *cmd, enum membership *out,
			   int64_t *out_room)
{
	AUTO_ROOM room = NULL;
	struct outsider *o;

	TRY(room_hold(rs, a, cmd->room_id, &room));
	if (room) {
		*out_room = room->nid;
		TRY(room_membership(room, cmd->by.user_id, out));
		if (*out == MEMBER_JOIN)
			return NULL;
		room_release(&room);
	}
	TRY(outsider_find(rs, a, cmd->room_id, cmd->by.user, &o));
	if (o) {
		*out = o->membership;
		return store_intern_find(rs->opt.store, a, cmd->room_id, out_room);
	}
	return *out_room ? NULL : err_new(a, ERR_NOT_FOUND, "there is no such room here");
}

err *room_forget(struct rooms *rs, struct arena *a, const struct member_cmd *cmd)
{
	struct forget f = { .user = cmd->by.user };
	enum membership m = MEMBER_NONE;

	TRY(forgotten_from(rs, a, cmd, &m, &f.room));
	/* "If the user is currently joined to the room, they must leave the room before calling this API." */
	if (m == MEMBER_JOIN || m == MEMBER_INVITE || m == MEMBER_KNOCK)
		return err_new(a, ERR_UNKNOWN, "User %.*s is in room %.*s", STR_ARG(cmd->by.user_id),
			       STR_ARG(cmd->room_id));
	struct ticket *ticket;
	/* Behind the leave that may still be queued. */
	TRY(store_write(rs->opt.store, a, &(struct piece){ .run = run_forget, .arg = &f, .shard = f.room }, &ticket));
	return store_wait(a, ticket);
}

err *rooms_of_user(struct rooms *rs, struct arena *a, int64_t user, unsigned mask, str **out_ids, size_t *out_n)
{
	struct member_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_memberships_of(tx, user, mask, true, &rows, &n));
	*out_ids = ARENA_ARRAY(a, str, n);
	*out_n = n;
	for (size_t i = 0; i < n; i++)
		TRY(store_intern_text(rs->opt.store, a, rows[i].room, &(*out_ids)[i]));
	return NULL;
}

err *rooms_joined(struct rooms *rs, struct arena *a, int64_t user, str **out_ids, size_t *out_n)
{
	return rooms_of_user(rs, a, user, MEMBER_MASK(MEMBER_JOIN), out_ids, out_n);
}
