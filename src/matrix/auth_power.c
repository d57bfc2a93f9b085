/* m.room.power_levels: rule 10 of version 12, rule 9 of versions 10 and 11. */
#include "matrix/internal_auth.h"

#include "matrix/id.h"

static const str level_names[] = {
	STR("users_default"), STR("events_default"), STR("state_default"), STR("ban"),
	STR("redact"),        STR("kick"),           STR("invite"),
};
static const str map_names[] = { STR("events"), STR("notifications") };

static bool is_map_of_levels(const struct json *map)
{
	if (!json_is(map, JSON_OBJECT))
		return false;
	JSON_EACH (map, m) {
		if (!json_is(m->value, JSON_INT))
			return false;
	}
	return true;
}

static err *check_form(const struct auth *au)
{
	const struct json *content = au->ev->content, *users = json_get(content, S("users"));

	/* 10.1: "If any of the properties users_default, events_default, state_default, ban, redact, kick, or invite in
	 * content are present and not an integer, reject." */
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		const struct json *level = json_get(content, level_names[i]);

		if (level && !json_is(level, JSON_INT))
			return auth_reject(au, "%.*s is not an integer", STR_ARG(level_names[i]));
	}
	/* 10.2: "If either of the properties events or notifications in content are present and not an object with
	 * values that are integers, reject." */
	for (size_t i = 0; i < ARRAY_LEN(map_names); i++) {
		const struct json *map = json_get(content, map_names[i]);

		if (map && !is_map_of_levels(map))
			return auth_reject(au, "%.*s is not an object of integers", STR_ARG(map_names[i]));
	}
	/* 10.3: "If the users property in content is not an object with keys that are valid user IDs with values that
	 * are integers, reject." */
	if (users && !is_map_of_levels(users))
		return auth_reject(au, "users is not an object of integers");
	JSON_EACH (users, m) {
		if (!id_user_valid(m->key))
			return auth_reject(au, "users has a key that is not a user ID");
		/* v12, 10.4: "If the users property in content contains the sender of the m.room.create event or any of
		 * the additional_creators array (if present) from the content of the m.room.create event, reject." */
		if (au->rv->creators_above_all && power_is_creator(au->rv, au->create, m->key))
			return auth_reject(au, "%.*s created the room and has no power level", STR_ARG(m->key));
	}
	return NULL;
}

static bool get_level(const struct json *object, str key, int64_t *out) { return json_get_int(object, key, out); }

/* One level before and after. own: the sender's own entry in users, which the rule of equals does not protect. */
static err *check_change(const struct auth *au, const struct json *old, const struct json *new, str key, bool users)
{
	int64_t was = 0, is = 0;
	const bool had = get_level(old, key, &was), has = get_level(new, key, &is);

	if (had == has && was == is)
		return NULL;
	/* 10.6, 10.7: "If the current value is higher than the sender's current power level, reject." */
	if (had && was > au->sender_power)
		return auth_reject(au, "The power level of %.*s is above your own", STR_ARG(key));
	/* 10.9: "For each entry being changed in, or removed from, the users property, other than the sender's own
	 * entry: If the current value is greater than or equal to the sender's current power level, reject." */
	if (users && had && was >= au->sender_power && !str_eq(key, au->ev->sender))
		return auth_reject(au, "The power level of %.*s is not below your own", STR_ARG(key));
	/* 10.6, 10.8, 10.10: "If the new value is higher than the sender's current power level, reject." */
	if (has && is > au->sender_power)
		return auth_reject(au, "The new power level of %.*s is above your own", STR_ARG(key));
	return NULL;
}

/* All entries of a map that were added, changed or removed. */
static err *check_map(const struct auth *au, const struct json *before, str name, bool users)
{
	const struct json *old = json_get_object(before, name), *new = json_get_object(au->ev->content, name);

	JSON_EACH (old, m) {
		TRY(check_change(au, old, new, m->key, users));
	}
	JSON_EACH (new, m) {
		if (!json_get(old, m->key))
			TRY(check_change(au, old, new, m->key, users));
	}
	return NULL;
}

err *auth_check_power_levels(const struct auth *au)
{
	const struct json *before = au->pl.content;

	TRY(check_form(au));
	/* 10.5: "If there is no previous m.room.power_levels event in the room, allow." */
	if (!before)
		return NULL;
	/* 10.6: "For the properties users_default, events_default, state_default, ban, redact, kick, invite check if
	 * they were added, changed or removed." */
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		TRY(check_change(au, before, au->ev->content, level_names[i], false));
	for (size_t i = 0; i < ARRAY_LEN(map_names); i++)
		TRY(check_map(au, before, map_names[i], false));
	return check_map(au, before, S("users"), true);
}
