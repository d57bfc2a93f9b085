/*
 * Memberships: "If type is m.room.member".
 *
 * The words: the *sender* does it, the *target user* (state_key) has it done to them; for joins, knocks and leaving
 * they are one. "Current" is what the state says before the event. An absent m.room.join_rules counts as invite, as do
 * join rules without a join_rule. Each membership is a function below, in the order of the list; which words a version
 * knows (knock, restricted, knock_restricted) are fields of the room version. Memberships as a table, from the old one
 * (down) to the new one, by whom:
 *
 *              join                      invite        leave                     ban           knock
 *   (none)     oneself, as the rule has  who may       -                         who may       oneself, if the rule has
 *   knock      oneself, as the rule has  who may       oneself, or who may kick  who may       oneself, if the rule has
 *   invite     oneself                   who may       oneself, or who may kick  who may       -
 *   join       oneself, but "private"    -             oneself, or who may kick  who may       -
 *   leave      oneself, as the rule has  who may       who may kick              who may       oneself, if the rule has
 *   ban        -                         -             who may kick and ban      who may       -
 */
#include "matrix/internal_auth.h"

#include "matrix/id.h"
#include "matrix/third_party.h"

static str join_rule(const struct auth *au)
{
	const struct event *rules = au->state(au->ctx, S("m.room.join_rules"), S(""));
	const struct json *rule = rules ? json_get(rules->content, S("join_rule")) : NULL;

	return rule ? json_str(rule) : S("invite"); /* one that is no text is an unknown one */
}

/* "If the only previous event is an m.room.create and the state_key is the sender of the m.room.create, allow." (v1 to
 * v10: "is the creator") */
static bool is_creators_first_join(const struct auth *au)
{
	const struct event *ev = au->ev;
	const str creator =
		au->rv->creator_in_content ? json_get_str(au->create->content, S("creator")) : au->create->sender;

	return ev->n_prev_events == 1 && str_eq(ev->prev_events[0], au->create->event_id) &&
	       str_eq(ev->state_key, creator);
}

/* v8, v9: "If the join_rule is restricted", from v10 on "restricted or knock_restricted" */
static err *check_restricted_join(struct auth *au, str membership)
{
	const str authoriser = json_get_str(au->ev->content, S("join_authorised_via_users_server"));

	/* "If membership state is join or invite, allow." */
	if (str_eq(membership, S("join")) || str_eq(membership, S("invite")))
		return auth_allow(au, RULE_JOIN_RESTRICTED_INVITED);
	/* "If the join_authorised_via_users_server key in content is not a user with sufficient permission to invite
	 * other users or is not a joined member of the room, reject." */
	if (str_is_none(authoriser))
		return auth_reject(au, RULE_JOIN_RESTRICTED_AUTHORISER,
				   "You may join this room by invitation or from one of its spaces only");
	if (!str_eq(auth_membership_of(au, authoriser), S("join")))
		return auth_reject(au, RULE_JOIN_RESTRICTED_AUTHORISER,
				   "%.*s, who authorised the join, is not in the room", STR_ARG(authoriser));
	if (!power_may(&au->pl, authoriser, POWER_INVITE))
		return auth_reject(au, RULE_JOIN_RESTRICTED_AUTHORISER, "%.*s, who authorised the join, may not invite",
				   STR_ARG(authoriser));
	/* "Otherwise, allow." */
	return auth_allow(au, RULE_JOIN_RESTRICTED_ALLOW);
}

/* "If membership is join" */
static err *check_join(struct auth *au)
{
	const struct event *ev = au->ev;
	const struct room_version *rv = au->rv;

	if (is_creators_first_join(au))
		return auth_allow(au, RULE_JOIN_FIRST);
	/* "If the sender does not match state_key, reject." */
	if (!str_eq(ev->sender, ev->state_key))
		return auth_reject(au, RULE_JOIN_OTHER, "Nobody can join for somebody else");

	const str membership = auth_membership_of(au, ev->sender);
	const str rule = join_rule(au);

	/* "If the sender is banned, reject." */
	if (str_eq(membership, S("ban")))
		return auth_reject(au, RULE_JOIN_BANNED, "You are banned from this room");
	/* v1 to v6: "If the join_rule is invite then allow if membership state is invite or join." From v7 on: "invite
	 * or knock". */
	if (str_eq(rule, S("invite")) || (rv->knock && str_eq(rule, S("knock")))) {
		if (str_eq(membership, S("invite")) || str_eq(membership, S("join")))
			return auth_allow(au, RULE_JOIN_INVITED);
		return auth_reject(au, RULE_JOIN_OTHERWISE, "You are not invited to this room");
	}
	if ((rv->restricted && str_eq(rule, S("restricted"))) ||
	    (rv->knock_restricted && str_eq(rule, S("knock_restricted"))))
		return check_restricted_join(au, membership);
	/* "If the join_rule is public, allow." */
	if (str_eq(rule, S("public")))
		return auth_allow(au, RULE_JOIN_PUBLIC);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_JOIN_OTHERWISE, "This room has an unknown join rule");
}

/* "If content has a third_party_invite property" */
static err *check_third_party_invite(struct auth *au, const struct json *third_party)
{
	const struct event *ev = au->ev;
	const struct json *signed_part = json_get_object(third_party, S("signed"));
	const str mxid = json_get_str(signed_part, S("mxid")), token = json_get_str(signed_part, S("token"));

	/* "If target user is banned, reject." */
	if (str_eq(auth_membership_of(au, ev->state_key), S("ban")))
		return auth_reject(au, RULE_INVITE_3PID_BANNED, "%.*s is banned from the room", STR_ARG(ev->state_key));
	/* "If content.third_party_invite does not have a signed property, reject." */
	if (!signed_part)
		return auth_reject(au, RULE_INVITE_3PID_SIGNED, "The third-party invite is not signed");
	/* "If signed does not have mxid and token properties, reject." */
	if (str_is_none(mxid) || str_is_none(token))
		return auth_reject(au, RULE_INVITE_3PID_FORM,
				   "The third-party invite is not signed for a user and a token");
	/* "If mxid does not match state_key, reject." */
	if (!str_eq(mxid, ev->state_key))
		return auth_reject(au, RULE_INVITE_3PID_MXID, "The third-party invite is for another user");
	/* "If there is no m.room.third_party_invite event in the current room state with state_key matching token,
	 * reject." */
	const struct event *invite = au->state(au->ctx, S("m.room.third_party_invite"), token);

	if (!invite)
		return auth_reject(au, RULE_INVITE_3PID_TOKEN, "There is no third-party invite with this token");
	/* "If sender does not match sender of the m.room.third_party_invite, reject." */
	if (!str_eq(ev->sender, invite->sender))
		return auth_reject(au, RULE_INVITE_3PID_SENDER, "The third-party invite was sent by another user");
	/* "If any signature in signed matches any public key in the m.room.third_party_invite event, allow." */
	if (third_party_signers(au->a, signed_part, invite->content, &(struct third_party_key){ 0 }, 1))
		return auth_allow(au, RULE_INVITE_3PID_SIGNATURE);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_INVITE_3PID_OTHERWISE, "The third-party invite has no valid signature");
}

/* "If membership is invite" */
static err *check_invite(struct auth *au)
{
	const struct event *ev = au->ev;
	const struct json *third_party = json_get(ev->content, S("third_party_invite"));

	if (third_party)
		return check_third_party_invite(au, third_party);
	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, RULE_INVITE_SENDER, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If target user's current membership state is join or ban, reject." */
	const str target = auth_membership_of(au, ev->state_key);

	if (str_eq(target, S("join")))
		return auth_reject(au, RULE_INVITE_TARGET, "%.*s is already in the room", STR_ARG(ev->state_key));
	if (str_eq(target, S("ban")))
		return auth_reject(au, RULE_INVITE_TARGET, "%.*s is banned from the room", STR_ARG(ev->state_key));
	/* "If the sender's power level is greater than or equal to the invite level, allow." */
	if (au->sender_power >= power_for(&au->pl, POWER_INVITE))
		return auth_allow(au, RULE_INVITE_LEVEL);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_INVITE_OTHERWISE, "You do not have the power to invite");
}

/* "If membership is leave" */
static err *check_leave(struct auth *au)
{
	const struct event *ev = au->ev;
	const str mine = auth_membership_of(au, ev->sender);

	/* v1 to v6: "If the sender matches state_key, allow if and only if that user's current membership state is
	 * invite or join." From v7 on: "invite, join, or knock". */
	if (str_eq(ev->sender, ev->state_key)) {
		if (str_eq(mine, S("invite")) || str_eq(mine, S("join")) || (au->rv->knock && str_eq(mine, S("knock"))))
			return auth_allow(au, RULE_LEAVE_OWN);
		return auth_reject(au, RULE_LEAVE_OWN, "User %.*s is not in the room", STR_ARG(ev->sender));
	}
	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(mine, S("join")))
		return auth_reject(au, RULE_LEAVE_SENDER, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If the target user's current membership state is ban, and the sender's power level is less than the ban
	 * level, reject." */
	if (str_eq(auth_membership_of(au, ev->state_key), S("ban")) && au->sender_power < power_for(&au->pl, POWER_BAN))
		return auth_reject(au, RULE_LEAVE_BANNED, "You do not have the power to unban");
	/* "If the sender's power level is greater than or equal to the kick level, and the target user's power level is
	 * less than the sender's power level, allow." */
	if (au->sender_power >= power_for(&au->pl, POWER_KICK) &&
	    power_is_above(&au->pl, au->sender_power, ev->state_key))
		return auth_allow(au, RULE_LEAVE_KICK);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_LEAVE_OTHERWISE, "You do not have the power to remove %.*s",
			   STR_ARG(ev->state_key));
}

/* "If membership is ban" */
static err *check_ban(struct auth *au)
{
	const struct event *ev = au->ev;

	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, RULE_BAN_SENDER, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If the sender's power level is greater than or equal to the ban level, and the target user's power level is
	 * less than the sender's power level, allow." */
	if (au->sender_power >= power_for(&au->pl, POWER_BAN) &&
	    power_is_above(&au->pl, au->sender_power, ev->state_key))
		return auth_allow(au, RULE_BAN_LEVEL);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_BAN_OTHERWISE, "You do not have the power to ban %.*s", STR_ARG(ev->state_key));
}

/* From v7 on: "If membership is knock" */
static err *check_knock(struct auth *au)
{
	const struct event *ev = au->ev;
	const str rule = join_rule(au);

	/* v7 to v9: "If the join_rule is anything other than knock, reject." From v10 on: "knock or knock_restricted".
	 */
	if (!str_eq(rule, S("knock")) && !(au->rv->knock_restricted && str_eq(rule, S("knock_restricted"))))
		return auth_reject(au, RULE_KNOCK_RULE, "This room cannot be knocked on");
	/* "If sender does not match state_key, reject." */
	if (!str_eq(ev->sender, ev->state_key))
		return auth_reject(au, RULE_KNOCK_OTHER, "Nobody can knock for somebody else");
	/* "If the sender's current membership is not ban, invite, or join, allow. Otherwise, reject." */
	const str membership = auth_membership_of(au, ev->sender);

	if (str_eq(membership, S("ban")))
		return auth_reject(au, RULE_KNOCK_OTHERWISE, "You are banned from this room");
	if (str_eq(membership, S("invite")))
		return auth_reject(au, RULE_KNOCK_OTHERWISE, "You are invited to this room already");
	if (str_eq(membership, S("join")))
		return auth_reject(au, RULE_KNOCK_OTHERWISE, "You are in this room already");
	return auth_allow(au, RULE_KNOCK_ALLOW);
}

err *auth_check_member(struct auth *au)
{
	static const struct {
		str membership;
		err *(*check)(struct auth *au);
	} checks[] = {
		{ STR("join"), check_join }, { STR("invite"), check_invite }, { STR("leave"), check_leave },
		{ STR("ban"), check_ban },   { STR("knock"), check_knock },
	};
	const struct event *ev = au->ev;
	const struct json *authoriser = json_get(ev->content, S("join_authorised_via_users_server"));
	const str membership = event_membership(ev);

	/* "If there is no state_key property, or no membership property in content, reject." */
	if (!event_is_state(ev) || str_is_none(membership))
		return auth_reject(au, RULE_MEMBER_FORM, "m.room.member without state_key or membership");
	/* "the user given by the state_key of the event" */
	if (!id_user_valid(ev->state_key))
		return auth_reject(au, RULE_TARGET, "The state_key of m.room.member is not a user ID");
	/* From v8 on: "If content has a join_authorised_via_users_server key: If the event is not validly signed by the
	 * homeserver of the user ID denoted by the key, reject." That the signature is good was found out on receipt
	 * (event_signers), where keys are at hand. */
	if (au->rv->restricted && authoriser &&
	    !(id_user_valid(json_str(authoriser)) && sign_is_by(ev->json, id_server(json_str(authoriser)))))
		return auth_reject(au, RULE_MEMBER_AUTHORISED_SIGNED,
				   "The server that authorised the join has not signed it");
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (checks[i].check == check_knock && !au->rv->knock)
			continue;
		if (str_eq(membership, checks[i].membership))
			return checks[i].check(au);
	}
	/* "Otherwise, the membership is unknown. Reject." */
	return auth_reject(au, RULE_MEMBER_UNKNOWN, "Unknown membership");
}
