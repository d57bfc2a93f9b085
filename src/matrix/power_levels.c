#include "matrix/power_levels.h"

#include "matrix/id.h"

struct power_levels power_levels_of(const struct room_version *rv, const struct event *create,
				    const struct event *power_levels)
{
	return (struct power_levels){ .rv = rv,
				      .create = create,
				      .content = power_levels ? power_levels->content : NULL };
}

/* One of the levels in content: absent is `otherwise`, what cannot be read `bad`. */
static int64_t level_or(const struct power_levels *pl, const struct json *value, int64_t otherwise, int64_t bad)
{
	int64_t level;

	switch (power_level_read(pl->rv, value, &level)) {
	case POWER_LEVEL_ABSENT:
		return otherwise;
	case POWER_LEVEL_GOOD:
		return level;
	default:
		return bad;
	}
}

/* null counts as absent where Synapse takes it so. */
static const struct json *not_null(const struct json *value) { return json_is(value, JSON_NULL) ? NULL : value; }

/* The one creator of a room, in the words of the version. */
static str first_creator(const struct room_version *rv, const struct event *create)
{
	return rv->creator_in_content ? json_get_str(create->content, S("creator")) : create->sender;
}

bool power_is_creator(const struct room_version *rv, const struct event *create, str user_id)
{
	if (!create)
		return false;
	if (str_eq(first_creator(rv, create), user_id))
		return true;
	if (!rv->creators_above_all)
		return false;
	/* v12: "Any user IDs contained in the additional_creators array in content of the m.room.create event in the
	 * room" */
	if (create->creators)
		return json_get(create->creators, user_id) != NULL;
	return json_lists(json_get_array(create->content, S("additional_creators")), user_id);
}

int64_t power_of_user(const struct power_levels *pl, str user_id)
{
	/* v12: "The power level of room creators is infinitely high." */
	if (pl->rv->creators_above_all && power_is_creator(pl->rv, pl->create, user_id))
		return POWER_INFINITE;
	/* "If a user_id is in the users list, then that user_id has the associated power level. Otherwise they have the
	 * default level users_default. If users_default is not supplied, it is assumed to be 0." */
	if (pl->content) {
		const struct json *own = not_null(json_get(json_get(pl->content, S("users")), user_id));

		return level_or(pl, own ? own : not_null(json_get(pl->content, S("users_default"))), 0, POWER_NONE);
	}
	/* "If the room contains no m.room.power_levels event, the room's creator has a power level of 100, and all
	 * other users have a power level of 0." */
	return power_is_creator(pl->rv, pl->create, user_id) ? 100 : 0;
}

int64_t power_for_event(const struct power_levels *pl, str type, bool is_state)
{
	/* "Either listed explicitly in the events section or given by either state_default or events_default depending
	 * on if the event is a state event or not." */
	const struct json *events = json_get(pl->content, S("events")), *own = not_null(json_get(events, type));

	if (events && events->kind != JSON_OBJECT)
		return POWER_INFINITE;
	if (own)
		return level_or(pl, own, 0, POWER_INFINITE);
	/* "If there is no state_default in the m.room.power_levels event, or there is no m.room.power_levels event, the
	 * state_default is 50. If there is no events_default [...] the events_default is 0." */
	if (is_state)
		return level_or(pl, json_get(pl->content, S("state_default")), 50, POWER_INFINITE);
	return level_or(pl, json_get(pl->content, S("events_default")), 0, POWER_INFINITE);
}

int64_t power_for(const struct power_levels *pl, enum power_action action)
{
	/* "The invite level defaults to 0 if unspecified. The kick level, ban level and redact level each default to 50
	 * if unspecified." */
	static const struct {
		str key;
		int64_t otherwise;
	} actions[] = {
		[POWER_INVITE] = { STR("invite"), 0 },
		[POWER_KICK] = { STR("kick"), 50 },
		[POWER_BAN] = { STR("ban"), 50 },
		[POWER_REDACT] = { STR("redact"), 50 },
	};

	return level_or(pl, not_null(json_get(pl->content, actions[action].key)), actions[action].otherwise,
			POWER_INFINITE);
}

int64_t power_for_notification(const struct power_levels *pl, str key)
{
	return level_or(pl, json_get(json_get(pl->content, S("notifications")), key), 50, 50);
}

bool power_is_above(const struct power_levels *pl, int64_t level, str user_id)
{
	const int64_t theirs = power_of_user(pl, user_id);

	return theirs != POWER_NONE && theirs < level;
}

bool power_may(const struct power_levels *pl, str user_id, enum power_action action)
{
	return power_of_user(pl, user_id) >= power_for(pl, action);
}

bool power_may_send(const struct power_levels *pl, str user_id, str type, bool is_state)
{
	return power_of_user(pl, user_id) >= power_for_event(pl, type, is_state);
}

bool redaction_applies(const struct power_levels *pl, const struct event *redaction, str target_sender)
{
	/* "1. The power level of the redaction event's sender is greater than or equal to the redact level." */
	if (power_may(pl, redaction->sender, POWER_REDACT))
		return true;
	/* "2. The domain of the redaction event's sender matches that of the original event's sender." */
	return id_is_of(target_sender, id_server(redaction->sender));
}
