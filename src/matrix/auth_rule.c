/*
 * The specification's list of authorisation rules, as data, with the differences between the room versions.
 *
 * A row is an item of the list: how deep it stands, in which versions, and its sentence. The number of an item is not
 * written down but counted: an item that a version does not have shifts those after it, which is what happened when
 * version 6 dropped the rule on m.room.aliases and version 12 began to ask for the create event. Two rows of one rule
 * are its wordings in different versions. The numbers are those that the pages show: version 12's source says 3.5 and
 * a second 10.10, which are shown as 3.4 and 10.11.
 *
 * https://spec.matrix.org/latest/rooms/v1/#authorisation-rules to .../v12/#authorisation-rules
 */
#include "matrix/auth_rule.h"

#include <assert.h>

/* When a row is part of a version's list. */
enum when {
	ALWAYS,
	CREATOR, /* room_version.creator_in_content, and so on */
	HASHED,
	ABOVE,
	ALIASES,
	KNOCK,
	RESTRICTED,
	KNOCK_RESTRICTED,
	NOTIFICATIONS,
	INTEGERS,
	REDACTION,
	FLOATS,
	ONLY_KNOCK, /* and not yet knock_restricted */
	ONLY_RESTRICTED,
	NOT = 32,
};
enum { DEPTHS = 4 };

static bool is_when(const struct room_version *rv, unsigned when)
{
	switch (when & ~(unsigned)NOT) {
	case CREATOR:
		return rv->creator_in_content;
	case HASHED:
		return rv->room_id_is_create_hash;
	case ABOVE:
		return rv->creators_above_all;
	case ALIASES:
		return rv->aliases_rule;
	case KNOCK:
		return rv->knock;
	case RESTRICTED:
		return rv->restricted;
	case KNOCK_RESTRICTED:
		return rv->knock_restricted;
	case NOTIFICATIONS:
		return rv->notifications_rule;
	case INTEGERS:
		return rv->level_format == LEVEL_INTEGER;
	case REDACTION:
		return rv->redaction_rule;
	case ONLY_KNOCK:
		return rv->knock && !rv->knock_restricted;
	case ONLY_RESTRICTED:
		return rv->restricted && !rv->knock_restricted;
	case FLOATS:
		return rv->level_format == LEVEL_OR_STRING_OR_FLOAT;
	default:
		return true;
	}
}

static bool exists(const struct room_version *rv, unsigned when) { return is_when(rv, when) == !(when & NOT); }

#define SENDER_JOINED STR("If the sender's current membership state is not join, reject.")
#define OTHERWISE     STR("Otherwise, reject.")
#define OLD_GREATER   STR("If the current value is greater than the sender's current power level, reject.")
#define NEW_GREATER   STR("If the new value is greater than the sender's current power level, reject.")

static const struct {
	enum auth_rule rule;
	uint8_t depth, when;
	str text;
} rows[] = {
	{ RULE_CREATE, 0, ALWAYS, STR("If type is m.room.create:") },
	{ RULE_CREATE_PREV_EVENTS, 1, ALWAYS, STR("If it has any prev_events, reject.") },
	{ RULE_CREATE_ROOM_ID, 1, HASHED | NOT,
	  STR("If the domain of the room_id does not match the domain of the sender, reject.") },
	{ RULE_CREATE_ROOM_ID, 1, HASHED, STR("If the event has a room_id, reject.") },
	{ RULE_CREATE_VERSION, 1, ALWAYS,
	  STR("If content.room_version is present and is not a recognised version, reject.") },
	{ RULE_CREATE_CREATOR, 1, CREATOR, STR("If content has no creator property, reject.") },
	{ RULE_CREATE_ADDITIONAL, 1, ABOVE,
	  STR("If additional_creators is present in content and is not an array of strings where each string passes the "
	      "same user ID validation applied to sender, reject.") },
	{ RULE_CREATE_ALLOW, 1, ALWAYS, STR("Otherwise, allow.") },
	{ RULE_ROOM, 0, HASHED,
	  STR("If the event's room_id is not an event ID for an accepted (not rejected) m.room.create event, with the "
	      "sigil ! instead of $, reject.") },
	{ RULE_AUTH_EVENTS, 0, ALWAYS, STR("Considering the event's auth_events:") },
	{ RULE_AUTH_EVENTS_TWICE, 1, ALWAYS,
	  STR("If there are duplicate entries for a given type and state_key pair, reject.") },
	{ RULE_AUTH_EVENTS_OTHERS, 1, ALWAYS,
	  STR("If there are entries whose type and state_key don't match those specified by the auth events selection "
	      "algorithm described in the server specification, reject.") },
	{ RULE_AUTH_EVENTS_REJECTED, 1, ALWAYS,
	  STR("If there are entries which were themselves rejected under the checks performed on receipt of a PDU, "
	      "reject.") },
	{ RULE_AUTH_EVENTS_CREATE, 1, HASHED | NOT,
	  STR("If there is no m.room.create event among the entries, reject.") },
	{ RULE_AUTH_EVENTS_ROOM, 1, ALWAYS,
	  STR("If any event in auth_events has a room_id which does not match that of the event being authorised, "
	      "reject.") },
	{ RULE_FEDERATE, 0, ALWAYS,
	  STR("If the content of the m.room.create event in the room state has the property m.federate set to false, "
	      "and the sender domain of the event does not match the sender domain of the create event, reject.") },
	{ RULE_ALIASES, 0, ALIASES, STR("If type is m.room.aliases:") },
	{ RULE_ALIASES_STATE_KEY, 1, ALIASES, STR("If event has no state_key, reject.") },
	{ RULE_ALIASES_DOMAIN, 1, ALIASES, STR("If sender's domain doesn't match state_key, reject.") },
	{ RULE_ALIASES_ALLOW, 1, ALIASES, STR("Otherwise, allow.") },

	{ RULE_MEMBER, 0, ALWAYS, STR("If type is m.room.member:") },
	{ RULE_MEMBER_FORM, 1, ALWAYS,
	  STR("If there is no state_key property, or no membership property in content, reject.") },
	{ RULE_MEMBER_AUTHORISED, 1, RESTRICTED, STR("If content has a join_authorised_via_users_server key:") },
	{ RULE_MEMBER_AUTHORISED_SIGNED, 2, RESTRICTED,
	  STR("If the event is not validly signed by the homeserver of the user ID denoted by the key, reject.") },
	{ RULE_JOIN, 1, ALWAYS, STR("If membership is join:") },
	{ RULE_JOIN_FIRST, 2, CREATOR,
	  STR("If the only previous event is an m.room.create and the state_key is the creator, allow.") },
	{ RULE_JOIN_FIRST, 2, CREATOR | NOT,
	  STR("If the only previous event is an m.room.create and the state_key is the sender of the m.room.create, "
	      "allow.") },
	{ RULE_JOIN_OTHER, 2, ALWAYS, STR("If the sender does not match state_key, reject.") },
	{ RULE_JOIN_BANNED, 2, ALWAYS, STR("If the sender is banned, reject.") },
	{ RULE_JOIN_INVITED, 2, KNOCK | NOT,
	  STR("If the join_rule is invite then allow if membership state is invite or join.") },
	{ RULE_JOIN_INVITED, 2, KNOCK,
	  STR("If the join_rule is invite or knock then allow if membership state is invite or join.") },
	{ RULE_JOIN_RESTRICTED, 2, ONLY_RESTRICTED, STR("If the join_rule is restricted:") },
	{ RULE_JOIN_RESTRICTED, 2, KNOCK_RESTRICTED, STR("If the join_rule is restricted or knock_restricted:") },
	{ RULE_JOIN_RESTRICTED_INVITED, 3, RESTRICTED, STR("If membership state is join or invite, allow.") },
	{ RULE_JOIN_RESTRICTED_AUTHORISER, 3, RESTRICTED,
	  STR("If the join_authorised_via_users_server key in content is not a user with sufficient permission to "
	      "invite other users or is not a joined member of the room, reject.") },
	{ RULE_JOIN_RESTRICTED_ALLOW, 3, RESTRICTED, STR("Otherwise, allow.") },
	{ RULE_JOIN_PUBLIC, 2, ALWAYS, STR("If the join_rule is public, allow.") },
	{ RULE_JOIN_OTHERWISE, 2, ALWAYS, OTHERWISE },
	{ RULE_INVITE, 1, ALWAYS, STR("If membership is invite:") },
	{ RULE_INVITE_3PID, 2, ALWAYS, STR("If content has a third_party_invite property:") },
	{ RULE_INVITE_3PID_BANNED, 3, ALWAYS, STR("If target user is banned, reject.") },
	{ RULE_INVITE_3PID_SIGNED, 3, ALWAYS,
	  STR("If content.third_party_invite does not have a signed property, reject.") },
	{ RULE_INVITE_3PID_FORM, 3, ALWAYS, STR("If signed does not have mxid and token properties, reject.") },
	{ RULE_INVITE_3PID_MXID, 3, ALWAYS, STR("If mxid does not match state_key, reject.") },
	{ RULE_INVITE_3PID_TOKEN, 3, ALWAYS,
	  STR("If there is no m.room.third_party_invite event in the current room state with state_key matching token, "
	      "reject.") },
	{ RULE_INVITE_3PID_SENDER, 3, ALWAYS,
	  STR("If sender does not match sender of the m.room.third_party_invite, reject.") },
	{ RULE_INVITE_3PID_SIGNATURE, 3, ALWAYS,
	  STR("If any signature in signed matches any public key in the m.room.third_party_invite event, allow.") },
	{ RULE_INVITE_3PID_OTHERWISE, 3, ALWAYS, OTHERWISE },
	{ RULE_INVITE_SENDER, 2, ALWAYS, SENDER_JOINED },
	{ RULE_INVITE_TARGET, 2, ALWAYS, STR("If target user's current membership state is join or ban, reject.") },
	{ RULE_INVITE_LEVEL, 2, ALWAYS,
	  STR("If the sender's power level is greater than or equal to the invite level, allow.") },
	{ RULE_INVITE_OTHERWISE, 2, ALWAYS, OTHERWISE },
	{ RULE_LEAVE, 1, ALWAYS, STR("If membership is leave:") },
	{ RULE_LEAVE_OWN, 2, KNOCK | NOT,
	  STR("If the sender matches state_key, allow if and only if that user's current membership state is invite or "
	      "join.") },
	{ RULE_LEAVE_OWN, 2, KNOCK,
	  STR("If the sender matches state_key, allow if and only if that user's current membership state is invite, "
	      "join, or knock.") },
	{ RULE_LEAVE_SENDER, 2, ALWAYS, SENDER_JOINED },
	{ RULE_LEAVE_BANNED, 2, ALWAYS,
	  STR("If the target user's current membership state is ban, and the sender's power level is less than the ban "
	      "level, reject.") },
	{ RULE_LEAVE_KICK, 2, ALWAYS,
	  STR("If the sender's power level is greater than or equal to the kick level, and the target user's power "
	      "level is less than the sender's power level, allow.") },
	{ RULE_LEAVE_OTHERWISE, 2, ALWAYS, OTHERWISE },
	{ RULE_BAN, 1, ALWAYS, STR("If membership is ban:") },
	{ RULE_BAN_SENDER, 2, ALWAYS, SENDER_JOINED },
	{ RULE_BAN_LEVEL, 2, ALWAYS,
	  STR("If the sender's power level is greater than or equal to the ban level, and the target user's power level "
	      "is less than the sender's power level, allow.") },
	{ RULE_BAN_OTHERWISE, 2, ALWAYS, OTHERWISE },
	{ RULE_KNOCK, 1, KNOCK, STR("If membership is knock:") },
	{ RULE_KNOCK_RULE, 2, ONLY_KNOCK, STR("If the join_rule is anything other than knock, reject.") },
	{ RULE_KNOCK_RULE, 2, KNOCK_RESTRICTED,
	  STR("If the join_rule is anything other than knock or knock_restricted, reject.") },
	{ RULE_KNOCK_OTHER, 2, KNOCK, STR("If sender does not match state_key, reject.") },
	{ RULE_KNOCK_ALLOW, 2, KNOCK, STR("If the sender's current membership is not ban, invite, or join, allow.") },
	{ RULE_KNOCK_OTHERWISE, 2, KNOCK, OTHERWISE },
	{ RULE_MEMBER_UNKNOWN, 1, ALWAYS, STR("Otherwise, the membership is unknown. Reject.") },

	{ RULE_SENDER, 0, ALWAYS, SENDER_JOINED },
	{ RULE_THIRD_PARTY_INVITE, 0, ALWAYS, STR("If type is m.room.third_party_invite:") },
	{ RULE_THIRD_PARTY_INVITE_LEVEL, 1, ALWAYS,
	  STR("Allow if and only if sender's current power level is greater than or equal to the invite level.") },
	{ RULE_LEVEL, 0, ALWAYS,
	  STR("If the event type's required power level is greater than the sender's power level, reject.") },
	{ RULE_STATE_KEY, 0, ALWAYS,
	  STR("If the event has a state_key that starts with an @ and does not match the sender, reject.") },

	{ RULE_LEVELS, 0, ALWAYS, STR("If type is m.room.power_levels:") },
	{ RULE_LEVELS_FORM, 1, INTEGERS,
	  STR("If any of the properties users_default, events_default, state_default, ban, redact, kick, or invite in "
	      "content are present and not an integer, reject.") },
	{ RULE_LEVELS_FORM_MAPS, 1, INTEGERS,
	  STR("If either of the properties events or notifications in content are present and not an object with values "
	      "that are integers, reject.") },
	{ RULE_LEVELS_FORM_USERS, 1, INTEGERS | NOT,
	  STR("If the users property in content is not an object with keys that are valid user IDs with values that are "
	      "integers (or a string that is an integer), reject.") },
	{ RULE_LEVELS_FORM_USERS, 1, INTEGERS,
	  STR("If the users property in content is not an object with keys that are valid user IDs with values that are "
	      "integers, reject.") },
	{ RULE_LEVELS_CREATORS, 1, ABOVE,
	  STR("If the users property in content contains the sender of the m.room.create event or any of the "
	      "additional_creators array (if present) from the content of the m.room.create event, reject.") },
	{ RULE_LEVELS_FIRST, 1, ALWAYS, STR("If there is no previous m.room.power_levels event in the room, allow.") },
	{ RULE_LEVELS_NAMED, 1, ALWAYS,
	  STR("For the properties users_default, events_default, state_default, ban, redact, kick, invite check if they "
	      "were added, changed or removed. For each found alteration:") },
	{ RULE_LEVELS_NAMED_OLD, 2, ALIASES, OLD_GREATER },
	{ RULE_LEVELS_NAMED_NEW, 2, ALIASES, NEW_GREATER },
	{ RULE_LEVELS_NAMED_OLD, 2, ALIASES | NOT,
	  STR("If the current value is higher than the sender's current power level, reject.") },
	{ RULE_LEVELS_NAMED_NEW, 2, ALIASES | NOT,
	  STR("If the new value is higher than the sender's current power level, reject.") },
	{ RULE_LEVELS_MAPS_OLD, 1, NOTIFICATIONS | NOT,
	  STR("For each entry being changed in, or removed from, the events property:") },
	{ RULE_LEVELS_MAPS_OLD, 1, NOTIFICATIONS,
	  STR("For each entry being changed in, or removed from, the events or notifications properties:") },
	{ RULE_LEVELS_MAPS_OLD_HIGHER, 2, ALWAYS, OLD_GREATER },
	{ RULE_LEVELS_MAPS_NEW, 1, NOTIFICATIONS | NOT,
	  STR("For each entry being added to, or changed in, the events property:") },
	{ RULE_LEVELS_MAPS_NEW, 1, NOTIFICATIONS,
	  STR("For each entry being added to, or changed in, the events or notifications properties:") },
	{ RULE_LEVELS_MAPS_NEW_HIGHER, 2, ALWAYS, NEW_GREATER },
	{ RULE_LEVELS_USERS_OLD, 1, ALWAYS,
	  STR("For each entry being changed in, or removed from, the users property, other than the sender's own "
	      "entry:") },
	{ RULE_LEVELS_USERS_OLD_HIGHER, 2, ALWAYS,
	  STR("If the current value is greater than or equal to the sender's current power level, reject.") },
	{ RULE_LEVELS_USERS_NEW, 1, ALWAYS, STR("For each entry being added to, or changed in, the users property:") },
	{ RULE_LEVELS_USERS_NEW_HIGHER, 2, ALWAYS, NEW_GREATER },
	{ RULE_LEVELS_ALLOW, 1, ALWAYS, STR("Otherwise, allow.") },

	{ RULE_REDACTION, 0, REDACTION, STR("If type is m.room.redaction:") },
	{ RULE_REDACTION_LEVEL, 1, REDACTION,
	  STR("If the sender's power level is greater than or equal to the redact level, allow.") },
	{ RULE_REDACTION_DOMAIN, 1, REDACTION,
	  STR("If the domain of the event_id of the event being redacted is the same as the domain of the event_id of "
	      "the m.room.redaction, allow.") },
	{ RULE_REDACTION_OTHERWISE, 1, REDACTION, OTHERWISE },
	{ RULE_ALLOW, 0, ALWAYS, STR("Otherwise, allow.") },
};

/* What stands elsewhere. An empty page is the version's own. */
static const struct {
	enum auth_rule rule;
	uint8_t when;
	str page, section, text;
} others[] = {
	{ RULE_CYCLE, ALWAYS, STR("server-server-api"), STR("PDUs"),
	  STR("The prev_events field of a PDU identifies the \"parents\" of the event, and thus establishes a partial "
	      "ordering on events within the room by linking them into a Directed Acyclic Graph (DAG).") },
	{ RULE_TARGET, ALWAYS, STR("server-server-api"), STR("Definitions"),
	  STR("Target User: For an m.room.member state event, the user given by the state_key of the event.") },
	{ RULE_LEVEL_TEXT, INTEGERS | NOT, STR(""), STR("m.room.power_levels events accept values as strings"),
	  STR("When the value is representative of an integer, they must be the following format: a single base 10 "
	      "integer, no float values or decimal points, optionally with any number of leading zeroes; optionally "
	      "prefixed with a single - or + character before the integer; optionally with any number of leading or "
	      "trailing whitespace characters") },
	{ RULE_LEVEL_RANGE, FLOATS, STR(""), STR("m.room.power_levels events accept values as floats"),
	  STR("Values outside the range represented by IEE754 binary64 (a \"double\") cause the powerlevel event to be "
	      "rejected, as do Infinity, -Infinity and NaN.") },
};

static const str names[] = { [RULE_NONE] = STR(""),
#define X(rule, name) [RULE_##rule] = STR(name),
			     AUTH_RULES(X)
#undef X
};
static str page_of(struct arena *a, const struct room_version *rv) { return arena_join2(a, S("rooms/v"), rv->id); }

str auth_rule_name(enum auth_rule rule)
{
	assert(rule < RULES_END);
	return names[rule];
}

static bool cite_other(struct arena *a, const struct room_version *rv, enum auth_rule rule, struct auth_citation *out)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (others[i].rule != rule || !exists(rv, others[i].when))
			continue;
		*out = (struct auth_citation){
			.page = others[i].page.n ? others[i].page : page_of(a, rv),
			.section = others[i].section,
			.number = S(""),
			.text = others[i].text,
		};
		return true;
	}
	return false;
}

static str number_text(struct arena *a, const unsigned number[DEPTHS], unsigned depth)
{
	str out = arena_printf(a, "%u", number[0]);

	for (unsigned d = 1; d <= depth; d++)
		out = arena_printf(a, "%.*s.%u", STR_ARG(out), number[d]);
	return out;
}

bool auth_rule_cite(struct arena *a, const struct room_version *rv, enum auth_rule rule, struct auth_citation *out)
{
	unsigned number[DEPTHS] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const unsigned depth = rows[i].depth;

		if (!exists(rv, rows[i].when))
			continue;
		number[depth]++;
		for (unsigned d = depth + 1; d < DEPTHS; d++)
			number[d] = 0;
		if (rows[i].rule != rule)
			continue;
		*out = (struct auth_citation){
			.page = page_of(a, rv),
			.section = S("Authorisation rules"),
			.number = number_text(a, number, depth),
			.text = rows[i].text,
		};
		return true;
	}
	return cite_other(a, rv, rule, out);
}

enum auth_rule auth_rule_at(const struct room_version *rv, size_t i)
{
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		if (exists(rv, rows[k].when) && i-- == 0)
			return rows[k].rule;
	return RULE_NONE;
}

enum auth_rule auth_rule_of(const err *e) { return e && e->detail < RULES_END ? (enum auth_rule)e->detail : RULE_NONE; }

str auth_rule_text(struct arena *a, const struct room_version *rv, enum auth_rule rule)
{
	struct auth_citation c;

	if (!auth_rule_cite(a, rv, rule, &c))
		return STR_NONE;
	return arena_printf(a, "%.*s, %.*s%s%.*s: \"%.*s\"", STR_ARG(c.page), STR_ARG(c.section),
			    c.number.n ? ", " : "", STR_ARG(c.number), STR_ARG(c.text));
}
