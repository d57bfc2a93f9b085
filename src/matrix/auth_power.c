/*
 * "If type is m.room.power_levels".
 *
 * What a level may be written as is the room version's (power_levels_read.c). The rules compare levels, not how they
 * are written: "50" and 50 are no change. Of all rules that a change breaks the first in the list is named. Where
 * levels may be more than integers, the list asks that of users alone; the others are asked where their levels are
 * compared, so that the first event of a room may hold any, which then nobody can use.
 */
#include "matrix/internal_auth.h"

#include "matrix/id.h"

static const str level_names[] = {
	STR("users_default"), STR("events_default"), STR("state_default"), STR("ban"),
	STR("redact"),        STR("kick"),           STR("invite"),
};

/* The rule that comes first among those found broken, and by which entry. */
struct broken {
	enum auth_rule rule;
	str key;
};

static void note(struct broken *b, enum auth_rule rule, str key)
{
	if (!b->rule || rule < b->rule)
		*b = (struct broken){ rule, key };
}

/* --- the form --- */

static bool is_map_of_integers(const struct json *map)
{
	if (!json_is(map, JSON_OBJECT))
		return false;
	JSON_EACH (map, m) {
		if (!json_is(m->value, JSON_INT))
			return false;
	}
	return true;
}

/* From v10 on. */
static err *check_integers(const struct auth *au)
{
	static const str maps[] = { STR("events"), STR("notifications") };
	const struct json *content = au->ev->content;

	/* "If any of the properties users_default, events_default, state_default, ban, redact, kick, or invite in
	 * content are present and not an integer, reject." */
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		const struct json *level = json_get(content, level_names[i]);

		if (level && !json_is(level, JSON_INT))
			return auth_reject(au, RULE_LEVELS_FORM, "%.*s is not an integer", STR_ARG(level_names[i]));
	}
	/* "If either of the properties events or notifications in content are present and not an object with values
	 * that are integers, reject." */
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		const struct json *map = json_get(content, maps[i]);

		if (map && !is_map_of_integers(map))
			return auth_reject(au, RULE_LEVELS_FORM_MAPS, "%.*s is not an object of integers",
					   STR_ARG(maps[i]));
	}
	return NULL;
}

static bool is_out_of_range(const struct auth *au, const struct json *value)
{
	int64_t level;

	return power_level_read(au->rv, value, &level) == POWER_LEVEL_OUT_OF_RANGE;
}

/* v1 to v5: "Values outside the range represented by IEE754 binary64 (a "double") cause the powerlevel event to be
 * rejected". */
static err *check_range(const struct auth *au)
{
	static const str maps[] = { STR("events"), STR("notifications"), STR("users") };
	const struct json *content = au->ev->content;

	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (is_out_of_range(au, json_get(content, level_names[i])))
			return auth_reject(au, RULE_LEVEL_RANGE, "%.*s is larger than any number",
					   STR_ARG(level_names[i]));
	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		JSON_EACH (json_get(content, maps[i]), m) {
			if (is_out_of_range(au, m->value))
				return auth_reject(au, RULE_LEVEL_RANGE,
						   "The power level of %.*s is larger than any number",
						   STR_ARG(m->key));
		}
	}
	return NULL;
}

/* "If the users property in content is not an object with keys that are valid user IDs with values that are integers
 * (or a string that is an integer), reject." From v10 on without strings. */
static err *check_users(const struct auth *au)
{
	const struct json *users = json_get(au->ev->content, S("users"));
	int64_t level;

	if (!users)
		return NULL;
	if (!json_is(users, JSON_OBJECT))
		return auth_reject(au, RULE_LEVELS_FORM_USERS, "users is not an object of integers");
	JSON_EACH (users, m) {
		if (!id_user_valid(m->key))
			return auth_reject(au, RULE_LEVELS_FORM_USERS, "users has a key that is not a user ID");
		if (m->value->kind == JSON_BOOL || power_level_read(au->rv, m->value, &level) == POWER_LEVEL_UNREADABLE)
			return auth_reject(au, RULE_LEVELS_FORM_USERS, "users has a level that is not an integer");
	}
	return NULL;
}

/* v12: "If the users property in content contains the sender of the m.room.create event or any of the
 * additional_creators array (if present) from the content of the m.room.create event, reject." */
static err *check_creators(const struct auth *au)
{
	const struct json *users = json_get(au->ev->content, S("users"));
	const struct json *more = json_get_array(au->create->content, S("additional_creators"));
	str named = json_get(users, au->create->sender) ? au->create->sender : STR_NONE;

	/* Each of them looked up among the users: both lists may be long. */
	JSON_ITEMS (more, i) {
		const str creator = json_str(more->array.items[i]);

		if (json_get(users, creator))
			named = creator;
	}
	if (str_is_none(named))
		return NULL;
	return auth_reject(au, RULE_LEVELS_CREATORS, "%.*s created the room and has no power level", STR_ARG(named));
}

/* --- the changes --- */

/* The rules on one kind of entries: what its old and its new level may not be. */
struct limits {
	enum auth_rule old_higher, new_higher;
	bool users; /* others' levels must be below, not just no higher */
};

/* One level before and after. */
static void check_change(const struct auth *au, const struct limits *limits, const struct json *old,
			 const struct json *new, str key, struct broken *b)
{
	int64_t was = 0, is = 0;
	const enum power_level had = power_level_read(au->rv, json_get(old, key), &was);
	const enum power_level has = power_level_read(au->rv, json_get(new, key), &is);

	/* What cannot be read cannot be compared. */
	if (had >= POWER_LEVEL_UNREADABLE || has >= POWER_LEVEL_UNREADABLE) {
		note(b, RULE_LEVEL_TEXT, key);
		return;
	}
	if (had == has && was == is)
		return;
	/* "If the current value is greater than the sender's current power level, reject." Of users, "other than the
	 * sender's own entry: If the current value is greater than or equal to the sender's current power level,
	 * reject." */
	if (had == POWER_LEVEL_GOOD &&
	    (was > au->sender_power || (limits->users && was == au->sender_power && !str_eq(key, au->ev->sender))))
		note(b, limits->old_higher, key);
	/* "If the new value is greater than the sender's current power level, reject." */
	if (has == POWER_LEVEL_GOOD && is > au->sender_power)
		note(b, limits->new_higher, key);
}

/* All entries of a map that were added, changed or removed. */
static void check_map(const struct auth *au, const struct limits *limits, str name, struct broken *b)
{
	const struct json *old = json_get(au->pl.content, name), *new = json_get(au->ev->content, name);

	if ((old && old->kind != JSON_OBJECT) || (new &&new->kind != JSON_OBJECT)) {
		note(b, RULE_LEVEL_TEXT, name);
		return;
	}
	JSON_EACH (old, m)
		check_change(au, limits, old, new, m->key, b);
	JSON_EACH (new, m) {
		if (!json_get(old, m->key))
			check_change(au, limits, old, new, m->key, b);
	}
}

static err *change_error(const struct auth *au, const struct broken *b)
{
	switch (b->rule) {
	case RULE_LEVELS_NAMED_OLD:
	case RULE_LEVELS_MAPS_OLD_HIGHER:
		return auth_reject(au, b->rule, "The power level of %.*s is above your own", STR_ARG(b->key));
	case RULE_LEVELS_USERS_OLD_HIGHER:
		return auth_reject(au, b->rule, "The power level of %.*s is not below your own", STR_ARG(b->key));
	case RULE_LEVEL_TEXT:
		return auth_reject(au, b->rule, "The power level of %.*s cannot be read", STR_ARG(b->key));
	default:
		return auth_reject(au, b->rule, "The new power level of %.*s is above your own", STR_ARG(b->key));
	}
}

err *auth_check_power_levels(struct auth *au)
{
	static const struct limits named = { RULE_LEVELS_NAMED_OLD, RULE_LEVELS_NAMED_NEW, false };
	static const struct limits maps = { RULE_LEVELS_MAPS_OLD_HIGHER, RULE_LEVELS_MAPS_NEW_HIGHER, false };
	static const struct limits users = { RULE_LEVELS_USERS_OLD_HIGHER, RULE_LEVELS_USERS_NEW_HIGHER, true };
	const struct json *before = au->pl.content;
	struct broken b = { RULE_NONE, STR_NONE };

	if (au->rv->level_format == LEVEL_INTEGER)
		TRY(check_integers(au));
	TRY(check_users(au));
	if (au->rv->creators_above_all)
		TRY(check_creators(au));
	if (au->rv->level_format == LEVEL_OR_STRING_OR_FLOAT)
		TRY(check_range(au));
	/* "If there is no previous m.room.power_levels event in the room, allow." */
	if (!before)
		return auth_allow(au, RULE_LEVELS_FIRST);
	/* "For the properties users_default, events_default, state_default, ban, redact, kick, invite check if they
	 * were added, changed or removed. For each found alteration:" */
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		check_change(au, &named, before, au->ev->content, level_names[i], &b);
	/* "For each entry being changed in, or removed from, the events property [...] For each entry being added to,
	 * or changed in, the events property"; from v6 on "the events or notifications properties". */
	check_map(au, &maps, S("events"), &b);
	if (au->rv->notifications_rule)
		check_map(au, &maps, S("notifications"), &b);
	/* "For each entry being changed in, or removed from, the users property, other than the sender's own entry
	 * [...] For each entry being added to, or changed in, the users property" */
	check_map(au, &users, S("users"), &b);
	/* "Otherwise, allow." */
	return b.rule ? change_error(au, &b) : auth_allow(au, RULE_LEVELS_ALLOW);
}
