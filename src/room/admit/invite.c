/*
 * invite.c - an invitation of a user of this server by one of another.
 *
 * Our signature says that the user may be invited, no more: whether the room lets the other one invite is for those who
 * are in it. Where that is us the event comes again, as all of the room's do, and is judged then. Where it is not, the
 * invitation is all that is known of the room (outsider.h).
 */
#include "room/admit/internal_admit.h"

#include "room/outsider.h"
#include "room/server_acl.h"
#include "user/user.h"

enum { STRIPPED_EVENTS_MOST = 100 };

struct inviting {
	struct admit *ad;
	struct arena *a;
	const struct admit_invite *cmd;
	const struct room_version *rv;
	struct event *ev, *signed_too;
	bool nobody; /* has this id yet */
};

static err *find_version(struct inviting *v)
{
	const struct room_version *known;
	int64_t room;

	v->rv = room_version_find(v->cmd->version);
	if (!v->rv)
		return admit_incompatible(v->a, v->cmd->version);
	TRY(rooms_find(v->ad->opt.rooms, v->a, v->cmd->room_id, &room, &known));
	/* v1 of the endpoint does not say: "either 1 or 2". Their events have one form. */
	if (room && known != v->rv && known->event_format != EVENT_FORMAT_NAMED)
		return err_new(v->a, ERR_INVALID_PARAM, "the room's version is %.*s", STR_ARG(known->id));
	if (room)
		v->rv = known;
	return NULL;
}

static err *check_event(struct inviting *v)
{
	const struct rooms *rs = v->ad->opt.rooms;

	TRY(admit_parse(v->a, v->rv, v->cmd->event, v->cmd->room_id, v->cmd->event_id, &v->ev));
	TRY(admit_is_member(v->a, v->ev, v->cmd->origin, MEMBER_INVITE));
	/* "The state_key is not a user ID on the receiving server." */
	if (!id_user_valid(v->ev->state_key) || !id_is_of(v->ev->state_key, rs->opt.signer.server_name))
		return err_new(v->a, ERR_INVALID_PARAM, "the invited user is not of this server");
	return admit_signed(v->ad, v->a, v->rv, v->cmd->origin, v->ev);
}

static err *check_user(struct inviting *v)
{
	const struct account *account;

	TRY(users_find(v->ad->opt.users, v->a, v->ev->state_key, &account));
	/* Who has an account is not told: it is signed as any other, and nothing is kept. */
	v->nobody = !account;
	if (v->nobody)
		return NULL;
	if (account->deactivated_at)
		return err_new(v->a, ERR_FORBIDDEN, "the user is gone");
	return invite_permitted(v->ad->opt.rooms, v->a, v->ev->state_key);
}

/*
 * "The invite_room_state has additional validation, which servers MAY apply to room versions 1 through 11 and SHOULD
 * apply to all other room versions." So with 12 each entry is an event that we can verify, m.room.create among them.
 */
static err *check_stripped(struct inviting *v)
{
	const struct json *list = v->cmd->stripped;
	const struct event *const *events;
	struct checked_event *checked;
	size_t n;

	if (list && list->kind != JSON_ARRAY)
		return err_new(v->a, ERR_INVALID_PARAM, "invite_room_state is no list");
	if (list && list->array.n > STRIPPED_EVENTS_MOST)
		return err_new(v->a, ERR_INVALID_PARAM, "invite_room_state has more than %d entries",
			       STRIPPED_EVENTS_MOST);
	if (!v->rv->room_id_is_create_hash) /* before version 12 the id proves nothing: others are told what they like
					     */
		return NULL;
	TRY(stripped_read(v->a, v->rv, v->ev->room_id, list, true, &events, &n));
	checked = ARENA_ARRAY(v->a, struct checked_event, n);
	for (size_t i = 0; i < n; i++)
		checked[i].json = events[i]->json;
	TRY(admit_check(v->ad, v->a, v->rv, v->cmd->origin, v->ev->room_id, checked, n));
	for (size_t i = 0; i < n; i++)
		if (!checked[i].event)
			return err_new(v->a, ERR_INVALID_PARAM, "entry %zu of invite_room_state: %.*s", i,
				       STR_ARG(checked[i].error->msg));
	return NULL;
}

/* Who asks again for the same gets the same, and the user hears of it once. */
static err *is_known(struct inviting *v, bool *out)
{
	struct outsider *o = NULL;
	int64_t user;

	TRY(store_intern_find(v->ad->opt.store, v->a, v->ev->state_key, &user));
	if (user)
		TRY(outsider_find(v->ad->opt.rooms, v->a, v->ev->room_id, user, &o));
	*out = o && o->membership == MEMBER_INVITE && str_eq(o->event->event_id, v->ev->event_id);
	return NULL;
}

static err *store_invitation(struct inviting *v)
{
	const struct outsider_cmd cmd = {
		.version = v->rv,
		.event = v->signed_too,
		.server = id_server(v->ev->sender),
		.stripped = v->cmd->stripped,
	};
	bool known, inside;

	if (v->nobody)
		return NULL;
	TRY(is_known(v, &known));
	return known ? NULL : outsider_put(v->ad->opt.rooms, v->a, &cmd, &inside);
}

/* "All other fields of the events should remain untouched." */
static const struct json *with_our_signature(struct inviting *v)
{
	struct json *event = json_copy(v->a, v->cmd->event);

	json_set(v->a, event, S("signatures"), json_get(v->signed_too->json, S("signatures")));
	return event;
}

err *admit_invite(struct admit *ad, struct arena *a, const struct admit_invite *cmd, const struct json **out)
{
	struct inviting v = { .ad = ad, .a = a, .cmd = cmd };

	if (!id_room_valid(cmd->room_id))
		return err_new(a, ERR_INVALID_PARAM, "%.*s is not a room id", STR_ARG(cmd->room_id));
	TRY(room_acl_check(ad->opt.rooms, a, cmd->room_id, cmd->origin));
	TRY(find_version(&v));
	TRY(check_event(&v));
	TRY(check_user(&v));
	TRY(check_stripped(&v));
	TRY(admit_cosign(ad, a, v.rv, v.ev, &v.signed_too));
	TRY(store_invitation(&v));
	*out = with_our_signature(&v);
	return NULL;
}
