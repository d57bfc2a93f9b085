/*
 * The authorisation rules in the order of the specification's list (version 12's numbers; versions 10 and 11 have no
 * rule 2, so theirs are one lower from there on). Each check stands under its sentence. Rules on members and on power
 * levels have files of their own.
 *
 * https://spec.matrix.org/latest/rooms/v10/#authorisation-rules and the same of v11, v12
 */
#include "matrix/auth.h"

#include <assert.h>

#include "matrix/id.h"
#include "matrix/internal_auth.h"

str auth_membership_of(const struct auth *au, str user_id)
{
	return event_membership(au->state(au->ctx, S("m.room.member"), user_id));
}

/* v12, 1.4: "If additional_creators is present in content and is not an array of strings where each string passes the
 * same user ID validation applied to sender, reject." */
static err *check_additional_creators(struct arena *a, const struct event *ev)
{
	const struct json *creators = json_get(ev->content, S("additional_creators"));

	if (!creators)
		return NULL;
	if (!json_is(creators, JSON_ARRAY))
		return err_new(a, ERR_FORBIDDEN, "additional_creators is not an array");
	JSON_ITEMS (creators, i) {
		if (!id_user_valid(json_str(creators->array.items[i])))
			return err_new(a, ERR_FORBIDDEN, "additional_creators holds something other than user IDs");
	}
	return NULL;
}

/* Rule 1: "If type is m.room.create" */
static err *check_create(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	const struct json *version = json_get(ev->content, S("room_version"));

	/* "If it has any prev_events, reject." */
	if (ev->n_prev_events > 0)
		return err_new(a, ERR_FORBIDDEN, "The create event has prev_events");
	if (rv->room_id_is_create_hash) {
		/* v12: "If the event has a room_id, reject." */
		if (json_get(ev->json, S("room_id")))
			return err_new(a, ERR_FORBIDDEN, "The create event has a room_id");
	} else {
		/* v10, v11: "If the domain of the room_id does not match the domain of the sender, reject." */
		if (!id_is_of(ev->room_id, id_server(ev->sender)))
			return err_new(a, ERR_FORBIDDEN, "The room's domain is not the creator's");
	}
	/* "If content.room_version is present and is not a recognised version, reject." */
	if (version && !room_version_find(json_str(version)))
		return err_new(a, ERR_FORBIDDEN, "The create event names an unknown room version");
	/* v10: "If content has no creator property, reject." */
	if (rv->creator_in_content && !json_get(ev->content, S("creator")))
		return err_new(a, ERR_FORBIDDEN, "The create event names no creator");
	return rv->creators_above_all ? check_additional_creators(a, ev) : NULL;
}

/* Rules 2 and 4, which ask the create event alone. */
static err *check_room(const struct auth *au)
{
	const struct json *federate = json_get(au->create->content, S("m.federate"));

	/* v12, 2: "If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with
	 * the sigil ! instead of $, reject." Before, the create event of another room would have failed 2.5. */
	if (au->create->rejected)
		return auth_reject(au, "The room's create event was rejected");
	if (!str_eq(au->ev->room_id, au->create->room_id))
		return auth_reject(au, "The create event is of another room");
	/* "If the content of the m.room.create event in the room state has the property m.federate set to false, and
	 * the sender domain of the event does not match the sender domain of the create event, reject." */
	if (json_is(federate, JSON_BOOL) && !federate->b && !id_is_of(au->ev->sender, id_server(au->create->sender)))
		return auth_reject(au, "This room admits users of its creator's server only");
	return NULL;
}

/* Rules 6 to 9: what holds for every event that is no membership. */
static err *check_send(const struct auth *au)
{
	const struct event *ev = au->ev;

	/* 6: "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* 7: "If type is m.room.third_party_invite: Allow if and only if sender's current power level is greater than
	 * or equal to the invite level." */
	if (str_eq(ev->type, S("m.room.third_party_invite"))) {
		if (au->sender_power >= power_for(&au->pl, POWER_INVITE))
			return NULL;
		return auth_reject(au, "You do not have the power to invite");
	}
	/* 8: "If the event type's required power level is greater than the sender's power level, reject." */
	const int64_t need = power_for_event(&au->pl, ev->type, event_is_state(ev));

	if (need > au->sender_power)
		return auth_reject(au, "%.*s needs a power level of %" PRId64 ", %.*s has %" PRId64, STR_ARG(ev->type),
				   need, STR_ARG(ev->sender), au->sender_power);
	/* 9: "If the event has a state_key that starts with an @ and does not match the sender, reject." */
	if (event_is_state(ev) && str_starts(ev->state_key, S("@")) && !str_eq(ev->state_key, ev->sender))
		return auth_reject(au, "state_key is another user's ID");
	/* 10: "If type is m.room.power_levels" */
	return str_eq(ev->type, S("m.room.power_levels")) ? auth_check_power_levels(au) : NULL;
	/* 11: "Otherwise, allow." */
}

err *auth_check(struct arena *a, const struct room_version *rv, const struct event *ev, state_lookup *state, void *ctx)
{
	struct auth au = { .a = a, .rv = rv, .ev = ev, .state = state, .ctx = ctx };

	if (str_eq(ev->type, S("m.room.create")))
		return check_create(a, rv, ev);
	au.create = state(ctx, S("m.room.create"), S(""));
	/* v12, 2, as above; v10, v11, 2.4: "If there is no m.room.create event among the entries, reject." */
	if (!au.create)
		return auth_reject(&au, "The room has no create event");
	TRY(check_room(&au));
	au.pl = power_levels_of(rv, au.create, state(ctx, S("m.room.power_levels"), S("")));
	au.sender_power = power_of_user(&au.pl, ev->sender);
	if (str_eq(ev->type, S("m.room.member")))
		return auth_check_member(&au);
	return check_send(&au);
}

/* Rule 3 (v10, v11: 2): "Considering the event's auth_events" */
err *auth_check_auth_events(struct arena *a, const struct room_version *rv, const struct event *ev,
			    const struct event *const *auth_events, size_t n)
{
	struct state_key wanted[AUTH_KEYS_MAX];
	bool seen[AUTH_KEYS_MAX] = { false };
	bool create = rv->create_not_in_auth_events;

	assert(n == ev->n_auth_events);
	if (str_eq(ev->type, S("m.room.create"))) /* rule 1 is all there is for it */
		return NULL;
	const size_t n_wanted = auth_keys(rv, ev->type, ev->state_key, ev->sender, ev->content, wanted);

	for (size_t i = 0; i < n; i++) {
		const struct event *entry = auth_events[i];
		size_t k = 0;

		while (k < n_wanted && !event_is(entry, wanted[k].type, wanted[k].state_key))
			k++;
		/* "If there are entries whose type and state_key don't match those specified by the auth events
		 * selection algorithm described in the server specification, reject." */
		if (k == n_wanted)
			return err_new(a, ERR_FORBIDDEN,
				       "auth_events has an entry of type %.*s that does not belong there",
				       STR_ARG(entry->type));
		/* "If there are duplicate entries for a given type and state_key pair, reject." */
		if (seen[k])
			return err_new(a, ERR_FORBIDDEN, "auth_events has two entries of type %.*s for one key",
				       STR_ARG(entry->type));
		seen[k] = true;
		/* "If there are entries which were themselves rejected under the checks performed on receipt of a PDU,
		 * reject." */
		if (entry->rejected)
			return err_new(a, ERR_FORBIDDEN, "auth_events has a rejected entry");
		/* "If any event in auth_events has a room_id which does not match that of the event being authorised,
		 * reject." */
		if (!str_eq(entry->room_id, ev->room_id))
			return err_new(a, ERR_FORBIDDEN, "auth_events has an entry of another room");
		create = create || str_eq(entry->type, S("m.room.create"));
	}
	/* v10, v11: "If there is no m.room.create event among the entries, reject." */
	if (!create)
		return err_new(a, ERR_FORBIDDEN, "auth_events lacks the create event");
	return NULL;
}

const struct event *state_list_lookup(void *ctx, str type, str state_key)
{
	const struct state_list *list = ctx;

	for (size_t i = 0; i < list->n; i++)
		if (event_is(list->events[i], type, state_key))
			return list->events[i];
	return NULL;
}
