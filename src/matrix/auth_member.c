/*
 * Memberships: rule 5 of version 12, rule 4 of versions 10 and 11.
 *
 * The words: the *sender* does it, the *target user* (state_key) has it done to them; for joins, knocks and leaving
 * they are one. "Current" is what the state says before the event. An absent m.room.join_rules counts as invite, as do
 * join rules without a join_rule.
 */
#include "matrix/internal_auth.h"

#include "base/b64.h"
#include "matrix/id.h"

/* The signatures of a third-party invite times its public keys: far beyond what is in use, and no peer shall have us
 * verify for seconds. */
enum { MAX_THIRD_PARTY_VERIFICATIONS = 128 };

static str join_rule(const struct auth *au)
{
	const struct event *rules = au->state(au->ctx, S("m.room.join_rules"), S(""));
	const struct json *rule = rules ? json_get(rules->content, S("join_rule")) : NULL;

	return rule ? json_str(rule) : S("invite"); /* one that is no text is an unknown one */
}

/* 5.3.1: "If the only previous event is an m.room.create and the state_key is the sender of the m.room.create, allow."
 * (v10: "is the creator") */
static bool is_creators_first_join(const struct auth *au)
{
	const struct event *ev = au->ev;
	const str creator =
		au->rv->creator_in_content ? json_get_str(au->create->content, S("creator")) : au->create->sender;

	return ev->n_prev_events == 1 && str_eq(ev->prev_events[0], au->create->event_id) &&
	       str_eq(ev->state_key, creator);
}

/* 5.3.5: "If the join_rule is restricted or knock_restricted" */
static err *check_restricted_join(const struct auth *au, str membership)
{
	const str authoriser = json_get_str(au->ev->content, S("join_authorised_via_users_server"));

	/* "If membership state is join or invite, allow." */
	if (str_eq(membership, S("join")) || str_eq(membership, S("invite")))
		return NULL;
	/* "If the join_authorised_via_users_server key in content is not a user with sufficient permission to invite
	 * other users or is not a joined member of the room, reject." */
	if (str_is_none(authoriser))
		return auth_reject(au, "You may join this room by invitation or from one of its spaces only");
	if (!str_eq(auth_membership_of(au, authoriser), S("join")))
		return auth_reject(au, "%.*s, who authorised the join, is not in the room", STR_ARG(authoriser));
	if (!power_may(&au->pl, authoriser, POWER_INVITE))
		return auth_reject(au, "%.*s, who authorised the join, may not invite", STR_ARG(authoriser));
	/* "Otherwise, allow." */
	return NULL;
}

/* 5.3: "If membership is join" */
static err *check_join(const struct auth *au)
{
	const struct event *ev = au->ev;

	if (is_creators_first_join(au))
		return NULL;
	/* "If the sender does not match state_key, reject." */
	if (!str_eq(ev->sender, ev->state_key))
		return auth_reject(au, "Nobody can join for somebody else");

	const str membership = auth_membership_of(au, ev->sender);
	const str rule = join_rule(au);

	/* "If the sender is banned, reject." */
	if (str_eq(membership, S("ban")))
		return auth_reject(au, "You are banned from this room");
	/* "If the join_rule is invite or knock then allow if membership state is invite or join." */
	if (str_eq(rule, S("invite")) || str_eq(rule, S("knock"))) {
		if (str_eq(membership, S("invite")) || str_eq(membership, S("join")))
			return NULL;
		return auth_reject(au, "You are not invited to this room");
	}
	if (str_eq(rule, S("restricted")) || str_eq(rule, S("knock_restricted")))
		return check_restricted_join(au, membership);
	/* "If the join_rule is public, allow." */
	if (str_eq(rule, S("public")))
		return NULL;
	/* "Otherwise, reject." */
	return auth_reject(au, "This room has an unknown join rule");
}

struct tries {
	const struct auth *au;
	const struct json *signed_part;
	str bytes; /* what was signed */
	size_t left;
};

/* Has any key of any server in `signed` signed with this public key? */
static bool is_signed_with(struct tries *t, str public_key_text)
{
	const str public_key = public_key_text.n <= 44 ? b64_decode(t->au->a, public_key_text) : STR_NONE;

	if (public_key.n != 32)
		return false;
	JSON_EACH (json_get(t->signed_part, S("signatures")), server) {
		JSON_EACH (server->value, key) {
			if (!str_starts(key->key, S("ed25519:")) || t->left == 0)
				continue;
			t->left--;
			if (sign_verify_bytes(t->au->a, t->bytes, json_str(key->value), (const uint8_t *)public_key.p))
				return true;
		}
	}
	return false;
}

/* 5.4.1.7: "If any signature in signed matches any public key in the m.room.third_party_invite event, allow. The public
 * keys are in content of m.room.third_party_invite as: 1. A single public key in the public_key property. 2. A list of
 * public keys in the public_keys property." */
static bool third_party_signed(const struct auth *au, const struct json *signed_part, const struct event *invite)
{
	struct tries t = { .au = au, .signed_part = signed_part, .left = MAX_THIRD_PARTY_VERIFICATIONS };
	const struct json *keys = json_get_array(invite->content, S("public_keys"));
	const str single = json_get_str(invite->content, S("public_key"));

	if (sign_bytes(au->a, signed_part, &t.bytes))
		return false;
	if (!str_is_none(single) && is_signed_with(&t, single))
		return true;
	JSON_ITEMS (keys, i) {
		const str key = json_get_str(keys->array.items[i], S("public_key"));

		if (!str_is_none(key) && is_signed_with(&t, key))
			return true;
	}
	return false;
}

/* 5.4.1: "If content has a third_party_invite property" */
static err *check_third_party_invite(const struct auth *au, const struct json *third_party)
{
	const struct event *ev = au->ev;
	const struct json *signed_part = json_get_object(third_party, S("signed"));
	const str mxid = json_get_str(signed_part, S("mxid")), token = json_get_str(signed_part, S("token"));

	/* "If target user is banned, reject." */
	if (str_eq(auth_membership_of(au, ev->state_key), S("ban")))
		return auth_reject(au, "%.*s is banned from the room", STR_ARG(ev->state_key));
	/* "If content.third_party_invite does not have a signed property, reject. If signed does not have mxid and
	 * token properties, reject." */
	if (!signed_part || str_is_none(mxid) || str_is_none(token))
		return auth_reject(au, "The third-party invite is not signed for a user and a token");
	/* "If mxid does not match state_key, reject." */
	if (!str_eq(mxid, ev->state_key))
		return auth_reject(au, "The third-party invite is for another user");
	/* "If there is no m.room.third_party_invite event in the current room state with state_key matching token,
	 * reject." */
	const struct event *invite = au->state(au->ctx, S("m.room.third_party_invite"), token);

	if (!invite)
		return auth_reject(au, "There is no third-party invite with this token");
	/* "If sender does not match sender of the m.room.third_party_invite, reject." */
	if (!str_eq(ev->sender, invite->sender))
		return auth_reject(au, "The third-party invite was sent by another user");
	if (!third_party_signed(au, signed_part, invite))
		return auth_reject(au, "The third-party invite has no valid signature");
	return NULL;
}

/* 5.4: "If membership is invite" */
static err *check_invite(const struct auth *au)
{
	const struct event *ev = au->ev;
	const struct json *third_party = json_get(ev->content, S("third_party_invite"));

	if (third_party)
		return check_third_party_invite(au, third_party);
	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If target user's current membership state is join or ban, reject." */
	const str target = auth_membership_of(au, ev->state_key);

	if (str_eq(target, S("join")))
		return auth_reject(au, "%.*s is already in the room", STR_ARG(ev->state_key));
	if (str_eq(target, S("ban")))
		return auth_reject(au, "%.*s is banned from the room", STR_ARG(ev->state_key));
	/* "If the sender's power level is greater than or equal to the invite level, allow. Otherwise, reject." */
	if (au->sender_power >= power_for(&au->pl, POWER_INVITE))
		return NULL;
	return auth_reject(au, "You do not have the power to invite");
}

/* 5.5: "If membership is leave" */
static err *check_leave(const struct auth *au)
{
	const struct event *ev = au->ev;
	const str mine = auth_membership_of(au, ev->sender);

	/* "If the sender matches state_key, allow if and only if that user's current membership state is invite, join,
	 * or knock." */
	if (str_eq(ev->sender, ev->state_key)) {
		if (str_eq(mine, S("invite")) || str_eq(mine, S("join")) || str_eq(mine, S("knock")))
			return NULL;
		return auth_reject(au, "User %.*s is not in the room", STR_ARG(ev->sender));
	}
	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(mine, S("join")))
		return auth_reject(au, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If the target user's current membership state is ban, and the sender's power level is less than the ban
	 * level, reject." */
	if (str_eq(auth_membership_of(au, ev->state_key), S("ban")) && au->sender_power < power_for(&au->pl, POWER_BAN))
		return auth_reject(au, "You do not have the power to unban");
	/* "If the sender's power level is greater than or equal to the kick level, and the target user's power level is
	 * less than the sender's power level, allow. Otherwise, reject." */
	if (au->sender_power >= power_for(&au->pl, POWER_KICK) &&
	    power_of_user(&au->pl, ev->state_key) < au->sender_power)
		return NULL;
	return auth_reject(au, "You do not have the power to remove %.*s", STR_ARG(ev->state_key));
}

/* 5.6: "If membership is ban" */
static err *check_ban(const struct auth *au)
{
	const struct event *ev = au->ev;

	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If the sender's power level is greater than or equal to the ban level, and the target user's power level is
	 * less than the sender's power level, allow. Otherwise, reject." */
	if (au->sender_power >= power_for(&au->pl, POWER_BAN) &&
	    power_of_user(&au->pl, ev->state_key) < au->sender_power)
		return NULL;
	return auth_reject(au, "You do not have the power to ban %.*s", STR_ARG(ev->state_key));
}

/* 5.7: "If membership is knock" */
static err *check_knock(const struct auth *au)
{
	const struct event *ev = au->ev;
	const str rule = join_rule(au);

	/* "If the join_rule is anything other than knock or knock_restricted, reject." */
	if (!str_eq(rule, S("knock")) && !str_eq(rule, S("knock_restricted")))
		return auth_reject(au, "This room cannot be knocked on");
	/* "If sender does not match state_key, reject." */
	if (!str_eq(ev->sender, ev->state_key))
		return auth_reject(au, "Nobody can knock for somebody else");
	/* "If the sender's current membership is not ban, invite, or join, allow. Otherwise, reject." */
	const str membership = auth_membership_of(au, ev->sender);

	if (str_eq(membership, S("ban")))
		return auth_reject(au, "You are banned from this room");
	if (str_eq(membership, S("invite")))
		return auth_reject(au, "You are invited to this room already");
	if (str_eq(membership, S("join")))
		return auth_reject(au, "You are in this room already");
	return NULL;
}

err *auth_check_member(const struct auth *au)
{
	static const struct {
		str membership;
		err *(*check)(const struct auth *au);
	} checks[] = {
		{ STR("join"), check_join }, { STR("invite"), check_invite }, { STR("leave"), check_leave },
		{ STR("ban"), check_ban },   { STR("knock"), check_knock },
	};
	const struct event *ev = au->ev;
	const struct json *authoriser = json_get(ev->content, S("join_authorised_via_users_server"));
	const str membership = event_membership(ev);

	/* 5.1: "If there is no state_key property, or no membership property in content, reject." */
	if (!event_is_state(ev) || str_is_none(membership))
		return auth_reject(au, "m.room.member without state_key or membership");
	/* m.room.member: "the state_key of this event [is] the user ID" */
	if (!id_user_valid(ev->state_key))
		return auth_reject(au, "The state_key of m.room.member is not a user ID");
	/* 5.2: "If content has a join_authorised_via_users_server key: If the event is not validly signed by the
	 * homeserver of the user ID denoted by the key, reject." That the signature is good was found out on receipt
	 * (event_signers), where keys are at hand. */
	if (authoriser &&
	    !(id_user_valid(json_str(authoriser)) && sign_is_by(ev->json, id_server(json_str(authoriser)))))
		return auth_reject(au, "The server that authorised the join has not signed it");
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		if (str_eq(membership, checks[i].membership))
			return checks[i].check(au);
	/* 5.8: "Otherwise, the membership is unknown. Reject." */
	return auth_reject(au, "Unknown membership");
}
