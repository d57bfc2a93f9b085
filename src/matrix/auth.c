/*
 * The authorisation rules, in the order of the specification's list. Each check stands under its sentence and names its
 * rule; the rules' numbers differ between the versions and are counted where they are cited (auth_rule.c). Rules on
 * members and on power levels have files of their own.
 *
 * What is not a rule of the list but follows from the specification elsewhere: an event that names itself among its
 * auth_events (versions 1 and 2 let servers choose event ids), and a membership of what is no user ID.
 *
 * https://spec.matrix.org/latest/rooms/v1/#authorisation-rules to .../v12/#authorisation-rules
 */
#include "matrix/auth.h"

#include <assert.h>

#include "matrix/id.h"
#include "matrix/internal_auth.h"

str auth_membership_of(const struct auth *au, str user_id)
{
	return event_membership(au->state(au->ctx, S("m.room.member"), user_id));
}

/* v12: "If additional_creators is present in content and is not an array of strings where each string passes the same
 * user ID validation applied to sender, reject." */
static err *check_additional_creators(const struct auth *au)
{
	const struct json *creators = json_get(au->ev->content, S("additional_creators"));

	if (!creators)
		return NULL;
	if (!json_is(creators, JSON_ARRAY))
		return auth_reject(au, RULE_CREATE_ADDITIONAL, "additional_creators is not an array");
	JSON_ITEMS (creators, i) {
		if (!id_user_valid(json_str(creators->array.items[i])))
			return auth_reject(au, RULE_CREATE_ADDITIONAL,
					   "additional_creators holds something other than user IDs");
	}
	return NULL;
}

/* "If type is m.room.create" */
static err *check_create(struct auth *au)
{
	const struct event *ev = au->ev;
	const struct json *version = json_get(ev->content, S("room_version"));

	/* "If it has any prev_events, reject." */
	if (ev->n_prev_events > 0)
		return auth_reject(au, RULE_CREATE_PREV_EVENTS, "The create event has prev_events");
	if (au->rv->room_id_is_create_hash) {
		/* v12: "If the event has a room_id, reject." */
		if (json_get(ev->json, S("room_id")))
			return auth_reject(au, RULE_CREATE_ROOM_ID, "The create event has a room_id");
	} else {
		/* v1 to v11: "If the domain of the room_id does not match the domain of the sender, reject." */
		if (!id_is_of(ev->room_id, id_server(ev->sender)))
			return auth_reject(au, RULE_CREATE_ROOM_ID, "The room's domain is not the creator's");
	}
	/* "If content.room_version is present and is not a recognised version, reject." */
	if (version && !room_version_find(json_str(version)))
		return auth_reject(au, RULE_CREATE_VERSION, "The create event names an unknown room version");
	/* v1 to v10: "If content has no creator property, reject." */
	if (au->rv->creator_in_content && !json_get(ev->content, S("creator")))
		return auth_reject(au, RULE_CREATE_CREATOR, "The create event names no creator");
	if (au->rv->creators_above_all)
		TRY(check_additional_creators(au));
	/* "Otherwise, allow." */
	return auth_allow(au, RULE_CREATE_ALLOW);
}

/* What the create event alone decides. */
static err *check_room(const struct auth *au)
{
	const struct json *federate = json_get(au->create->content, S("m.federate"));
	const bool hashed = au->rv->room_id_is_create_hash;

	/* v12: "If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with the
	 * sigil ! instead of $, reject." Before: "If there are entries which were themselves rejected [...] If any
	 * event in auth_events has a room_id which does not match that of the event being authorised, reject." */
	if (au->create->rejected)
		return auth_reject(au, hashed ? RULE_ROOM : RULE_AUTH_EVENTS_REJECTED,
				   "The room's create event was rejected");
	if (!str_eq(au->ev->room_id, au->create->room_id))
		return auth_reject(au, hashed ? RULE_ROOM : RULE_AUTH_EVENTS_ROOM,
				   "The create event is of another room");
	/* "If the content of the m.room.create event in the room state has the property m.federate set to false, and
	 * the sender domain of the event does not match the sender domain of the create event, reject." */
	if (json_is(federate, JSON_BOOL) && !federate->b && !id_is_of(au->ev->sender, id_server(au->create->sender)))
		return auth_reject(au, RULE_FEDERATE, "This room admits users of its creator's server only");
	return NULL;
}

/* v1 to v5: "If type is m.room.aliases" */
static err *check_aliases(struct auth *au)
{
	/* "If event has no state_key, reject." */
	if (!event_is_state(au->ev))
		return auth_reject(au, RULE_ALIASES_STATE_KEY, "m.room.aliases without state_key");
	/* "If sender's domain doesn't match state_key, reject." */
	if (!str_eq(id_server(au->ev->sender), au->ev->state_key))
		return auth_reject(au, RULE_ALIASES_DOMAIN, "The aliases are another server's");
	/* "Otherwise, allow." */
	return auth_allow(au, RULE_ALIASES_ALLOW);
}

/* v1, v2: "If type is m.room.redaction" */
static err *check_redaction(struct auth *au)
{
	const str own = id_server(au->ev->event_id);

	/* "If the sender's power level is greater than or equal to the redact level, allow." */
	if (au->sender_power >= power_for(&au->pl, POWER_REDACT))
		return auth_allow(au, RULE_REDACTION_LEVEL);
	/* "If the domain of the event_id of the event being redacted is the same as the domain of the event_id of the
	 * m.room.redaction, allow." */
	if (!str_is_none(own) && !str_is_none(au->ev->redacts) && id_is_of(au->ev->redacts, own))
		return auth_allow(au, RULE_REDACTION_DOMAIN);
	/* "Otherwise, reject." */
	return auth_reject(au, RULE_REDACTION_OTHERWISE, "You do not have the power to redact others' events");
}

/* What holds for every event that is no membership. */
static err *check_send(struct auth *au)
{
	const struct event *ev = au->ev;

	/* "If the sender's current membership state is not join, reject." */
	if (!str_eq(auth_membership_of(au, ev->sender), S("join")))
		return auth_reject(au, RULE_SENDER, "User %.*s is not in the room", STR_ARG(ev->sender));
	/* "If type is m.room.third_party_invite: Allow if and only if sender's current power level is greater than or
	 * equal to the invite level." */
	if (str_eq(ev->type, S("m.room.third_party_invite"))) {
		if (au->sender_power >= power_for(&au->pl, POWER_INVITE))
			return auth_allow(au, RULE_THIRD_PARTY_INVITE_LEVEL);
		return auth_reject(au, RULE_THIRD_PARTY_INVITE_LEVEL, "You do not have the power to invite");
	}
	/* "If the event type's required power level is greater than the sender's power level, reject." */
	const int64_t need = power_for_event(&au->pl, ev->type, event_is_state(ev));

	if (need > au->sender_power)
		return auth_reject(au, RULE_LEVEL, "%.*s needs a power level of %" PRId64 ", %.*s has %" PRId64,
				   STR_ARG(ev->type), need, STR_ARG(ev->sender), au->sender_power);
	/* "If the event has a state_key that starts with an @ and does not match the sender, reject." */
	if (event_is_state(ev) && str_starts(ev->state_key, S("@")) && !str_eq(ev->state_key, ev->sender))
		return auth_reject(au, RULE_STATE_KEY, "state_key is another user's ID");
	/* "If type is m.room.power_levels" */
	if (str_eq(ev->type, S("m.room.power_levels")))
		return auth_check_power_levels(au);
	if (au->rv->redaction_rule && str_eq(ev->type, S("m.room.redaction")))
		return check_redaction(au);
	/* "Otherwise, allow." */
	return auth_allow(au, RULE_ALLOW);
}

static err *check(struct auth *au)
{
	const struct room_version *rv = au->rv;
	const struct event *ev = au->ev;

	if (str_eq(ev->type, S("m.room.create")))
		return check_create(au);
	au->create = au->state(au->ctx, S("m.room.create"), S(""));
	/* v12: as in check_room. Before: "If there is no m.room.create event among the entries, reject." */
	if (!au->create)
		return auth_reject(au, rv->room_id_is_create_hash ? RULE_ROOM : RULE_AUTH_EVENTS_CREATE,
				   "The room has no create event");
	TRY(check_room(au));
	if (rv->aliases_rule && str_eq(ev->type, S("m.room.aliases")))
		return check_aliases(au);
	au->pl = power_levels_of(rv, au->create, au->state(au->ctx, S("m.room.power_levels"), S("")));
	au->sender_power = power_of_user(&au->pl, ev->sender);
	if (str_eq(ev->type, S("m.room.member")))
		return auth_check_member(au);
	return check_send(au);
}

err *auth_check_by(struct arena *a, const struct room_version *rv, const struct event *ev, state_lookup *state,
		   void *ctx, enum auth_rule *out_by)
{
	struct auth au = { .a = a, .rv = rv, .ev = ev, .state = state, .ctx = ctx };
	err *e = check(&au);

	*out_by = e ? auth_rule_of(e) : au.by;
	return e;
}

err *auth_check(struct arena *a, const struct room_version *rv, const struct event *ev, state_lookup *state, void *ctx)
{
	enum auth_rule by;

	return auth_check_by(a, rv, ev, state, ctx, &by);
}

/* --- "Considering the event's auth_events" --- */

static bool is_selected(const struct event *entry, const struct state_key *wanted, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (event_is(entry, wanted[i].type, wanted[i].state_key))
			return true;
	return false;
}

/* What is wrong with the i-th entry by itself and with those before it, by the rule that comes first. */
static enum auth_rule wrong_with(const struct event *ev, const struct event *const *entries, size_t i,
				 const struct state_key *wanted, size_t n_wanted)
{
	const struct event *entry = entries[i];

	/* "If there are duplicate entries for a given type and state_key pair, reject." */
	for (size_t k = 0; event_is_state(entry) && k < i; k++)
		if (event_is(entries[k], entry->type, entry->state_key))
			return RULE_AUTH_EVENTS_TWICE;
	/* "If there are entries whose type and state_key don't match those specified by the auth events selection
	 * algorithm described in the server specification, reject." */
	if (!is_selected(entry, wanted, n_wanted))
		return RULE_AUTH_EVENTS_OTHERS;
	/* "If there are entries which were themselves rejected under the checks performed on receipt of a PDU, reject."
	 */
	if (entry->rejected)
		return RULE_AUTH_EVENTS_REJECTED;
	/* "If any event in auth_events has a room_id which does not match that of the event being authorised, reject."
	 */
	if (!str_eq(entry->room_id, ev->room_id))
		return RULE_AUTH_EVENTS_ROOM;
	return str_eq(entry->event_id, ev->event_id) ? RULE_CYCLE : RULE_NONE;
}

static err *entry_error(struct arena *a, enum auth_rule rule, const struct event *entry)
{
	const str type = entry->type;

	switch (rule) {
	case RULE_AUTH_EVENTS_TWICE:
		return err_new(a, ERR_FORBIDDEN, "auth_events has two entries of type %.*s for one key", STR_ARG(type));
	case RULE_AUTH_EVENTS_OTHERS:
		return err_new(a, ERR_FORBIDDEN, "auth_events has an entry of type %.*s that does not belong there",
			       STR_ARG(type));
	case RULE_AUTH_EVENTS_REJECTED:
		return err_new(a, ERR_FORBIDDEN, "auth_events has a rejected entry of type %.*s", STR_ARG(type));
	case RULE_AUTH_EVENTS_ROOM:
		return err_new(a, ERR_FORBIDDEN, "auth_events has an entry of type %.*s of another room",
			       STR_ARG(type));
	default:
		return err_new(a, ERR_FORBIDDEN, "The event is among its own auth_events");
	}
}

err *auth_check_auth_events(struct arena *a, const struct room_version *rv, const struct event *ev,
			    const struct event *const *auth_events, size_t n)
{
	struct state_key wanted[AUTH_KEYS_MAX];
	enum auth_rule first = RULE_NONE;
	const struct event *culprit = NULL;
	bool create = rv->create_not_in_auth_events;

	assert(n == ev->n_auth_events);
	if (str_eq(ev->type, S("m.room.create"))) /* rule 1 is all there is for it */
		return NULL;
	const size_t n_wanted = auth_keys(rv, ev->type, ev->state_key, ev->sender, ev->content, wanted);

	for (size_t i = 0; i < n; i++) {
		const enum auth_rule wrong = wrong_with(ev, auth_events, i, wanted, n_wanted);

		if (wrong && (!first || wrong < first)) {
			first = wrong;
			culprit = auth_events[i];
		}
		create = create || event_is(auth_events[i], S("m.room.create"), S(""));
	}
	/* v1 to v11: "If there is no m.room.create event among the entries, reject." */
	if (!create && (!first || RULE_AUTH_EVENTS_CREATE < first))
		return auth_refusal(err_new(a, ERR_FORBIDDEN, "auth_events lacks the create event"),
				    RULE_AUTH_EVENTS_CREATE);
	return first ? auth_refusal(entry_error(a, first, culprit), first) : NULL;
}

const struct event *state_list_lookup(void *ctx, str type, str state_key)
{
	const struct state_list *list = ctx;

	for (size_t i = 0; i < list->n; i++)
		if (event_is(list->events[i], type, state_key))
			return list->events[i];
	return NULL;
}
