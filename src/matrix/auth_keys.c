/* Auth events selection: Server-Server API, "Auth events selection". */
#include "matrix/auth.h"

/* A set: the sender may well be the target. */
static void add(struct state_key *out, size_t *n, str type, str state_key)
{
	for (size_t i = 0; i < *n; i++)
		if (str_eq(out[i].type, type) && str_eq(out[i].state_key, state_key))
			return;
	out[(*n)++] = (struct state_key){ type, state_key };
}

static void add_of_member(const struct room_version *rv, struct state_key *out, size_t *n, str target,
			  const struct json *content)
{
	const str membership = json_get_str(content, S("membership"));

	/* "The target's current m.room.member event, if any." */
	if (!str_is_none(target))
		add(out, n, S("m.room.member"), target);
	/* "If membership is join, invite or knock, the current m.room.join_rules event, if any." */
	if (str_eq(membership, S("join")) || str_eq(membership, S("invite")) || str_eq(membership, S("knock")))
		add(out, n, S("m.room.join_rules"), S(""));
	/* "If membership is invite and content contains a third_party_invite property, the current
	 * m.room.third_party_invite event with state_key matching content.third_party_invite.signed.token, if any." */
	if (str_eq(membership, S("invite"))) {
		const struct json *signed_part = json_get(json_get(content, S("third_party_invite")), S("signed"));
		const str token = json_get_str(signed_part, S("token"));

		if (!str_is_none(token))
			add(out, n, S("m.room.third_party_invite"), token);
	}
	/* "If membership is join, content.join_authorised_via_users_server is present, and the room version supports
	 * restricted rooms, then the m.room.member event with state_key matching
	 * content.join_authorised_via_users_server." */
	if (rv->restricted && str_eq(membership, S("join"))) {
		const str authoriser = json_get_str(content, S("join_authorised_via_users_server"));

		if (!str_is_none(authoriser))
			add(out, n, S("m.room.member"), authoriser);
	}
}

size_t auth_keys(const struct room_version *rv, str type, str state_key, str sender, const struct json *content,
		 struct state_key out[AUTH_KEYS_MAX])
{
	size_t n = 0;

	/* "The auth_events for the m.room.create event in a room is empty; for other events, it should be the following
	 * subset of the room state" */
	if (str_eq(type, S("m.room.create")))
		return 0;
	/* "Depending on the room version, the m.room.create event." */
	if (!rv->create_not_in_auth_events)
		add(out, &n, S("m.room.create"), S(""));
	/* "The current m.room.power_levels event, if any. The sender's current m.room.member event, if any." */
	add(out, &n, S("m.room.power_levels"), S(""));
	add(out, &n, S("m.room.member"), sender);
	if (str_eq(type, S("m.room.member")))
		add_of_member(rv, out, &n, state_key, content);
	return n;
}

size_t auth_lookups(const struct room_version *rv, str type, str state_key, str sender, const struct json *content,
		    struct state_key out[AUTH_LOOKUPS_MAX])
{
	size_t n = auth_keys(rv, type, state_key, sender, content, out);

	if (n > 0 && rv->create_not_in_auth_events)
		out[n++] = (struct state_key){ S("m.room.create"), S("") };
	return n;
}
