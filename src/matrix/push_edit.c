/* push_edit.c - changes to a user's push rules, from the stored text to the stored text. */
#include "matrix/internal_push.h"

static struct json *as_object(struct arena *a, const struct json *v)
{
	return json_is(v, JSON_OBJECT) ? json_copy(a, v) : json_new_object(a);
}

static err *read_stored(struct arena *a, str stored, struct json **out)
{
	struct json *json = NULL;

	if (!str_is_none(stored))
		TRY(json_parse(a, stored, &push_stored_limits, &json));
	*out = as_object(a, json);
	return NULL;
}

static err *write_stored(struct arena *a, const struct json *json, str *out)
{
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);
	struct jw w = jw_to(&b);
	struct json *again;
	str text;

	jw_json(&w, NULL, json);
	if (!jw_good(&w))
		return err_new(a, ERR_TOO_LARGE, "all push rules together are too large");
	text = arena_keep(a, buf_str(&b));
	/* What could not be read again (nested too deeply) would take all other rules with it. */
	TRY(json_parse(a, text, &push_stored_limits, &again));
	*out = text;
	return NULL;
}

static err *check_actions(struct arena *a, const struct json *actions)
{
	if (!actions)
		return err_new(a, ERR_MISSING_PARAM, "a push rule needs actions");
	if (actions->kind != JSON_ARRAY)
		return err_new(a, ERR_BAD_JSON, "actions is no list");
	JSON_ITEMS (actions, i) {
		const struct json *x = actions->array.items[i];

		/* Actions this server does not know are kept for clients that do, as long as they have an action's
		 * form. */
		if (!json_is(x, JSON_STR) && str_is_none(json_get_str(x, S("set_tweak"))))
			return err_new(a, ERR_INVALID_PARAM, "an action is neither a string nor a tweak");
	}
	return NULL;
}

static err *rule_of_body(struct arena *a, enum push_kind kind, str rule_id, const struct json *body, struct json **out)
{
	const struct json *conditions = json_get(body, S("conditions")), *actions = json_get(body, S("actions"));
	struct json *rule = json_new_object(a);

	TRY(check_actions(a, actions));
	json_set(a, rule, S("rule_id"), json_new_str(a, rule_id));
	json_set(a, rule, S("actions"), actions);
	if (kind == PUSH_OVERRIDE || kind == PUSH_UNDERRIDE) {
		if (!conditions)
			conditions = json_new_array(a);
		if (conditions->kind != JSON_ARRAY)
			return err_new(a, ERR_BAD_JSON, "conditions is no list");
		JSON_ITEMS (conditions, i) {
			if (str_is_none(json_get_str(conditions->array.items[i], S("kind"))))
				return err_new(a, ERR_INVALID_PARAM, "a condition without kind");
		}
		json_set(a, rule, S("conditions"), conditions);
	} else if (kind == PUSH_CONTENT) {
		const struct json *pattern = json_get(body, S("pattern"));

		if (!json_is(pattern, JSON_STR))
			return err_new(a, ERR_MISSING_PARAM, "a content rule needs a pattern");
		json_set(a, rule, S("pattern"), pattern);
	}
	*out = rule;
	return NULL;
}

/* Where in the list a rule stands, or its length. */
static size_t rule_index(const struct json *list, str rule_id)
{
	size_t at = 0;

	JSON_ITEMS (list, i) {
		if (str_eq(json_get_str(list->array.items[i], S("rule_id")), rule_id))
			break;
		at++;
	}
	return at;
}

static err *find_place(struct arena *a, const struct json *list, str before, str after, size_t *out)
{
	const size_t n = json_is(list, JSON_ARRAY) ? list->array.n : 0;
	const str other = !str_is_none(before) ? before : after;
	size_t at;

	*out = 0; /* "The new rule is added with the highest priority" */
	if (str_is_none(other))
		return NULL;
	at = rule_index(list, other);
	if (at == n)
		return err_new(a, ERR_UNKNOWN, "before/after names no rule of this kind: %.*s", STR_ARG(other));
	*out = str_is_none(before) ? at + 1 : at;
	return NULL;
}

err *push_rules_put(struct arena *a, str stored, enum push_kind kind, str rule_id, const struct json *body, str before,
		    str after, str *out)
{
	struct json *json = NULL, *rules, *rule = NULL, *list = json_new_array(a);
	const struct json *old;
	size_t place, at;

	if (str_is_empty(rule_id) || rule_id.p[0] == '.' || str_find(rule_id, '/') < rule_id.n ||
	    str_find(rule_id, '\\') < rule_id.n)
		return err_new(a, ERR_INVALID_PARAM, "a rule's id may not begin with a dot nor hold slashes");
	TRY(rule_of_body(a, kind, rule_id, body, &rule));
	TRY(read_stored(a, stored, &json));
	rules = as_object(a, json_get(json, S("rules")));
	old = json_get_array(rules, push_kind_names[kind]);
	at = rule_index(old, rule_id);
	/* A full list takes no new rule; those that are there still change. */
	if (old && at == old->array.n && at >= PUSH_RULES_MAX)
		return err_new(a, ERR_TOO_LARGE, "too many push rules");
	TRY(find_place(a, old, before, after, &place));
	if (old && at < old->array.n) {
		const struct json *enabled = json_get(old->array.items[at], S("enabled"));

		if (enabled)
			json_set(a, rule, S("enabled"), enabled);
		if (str_is_none(before) && str_is_none(after))
			place = at;
	}
	for (size_t i = 0, n = old ? old->array.n : 0; i <= n; i++) {
		if (i == place)
			json_append(a, list, rule);
		if (i < n && i != at)
			json_append(a, list, old->array.items[i]);
	}
	json_set(a, rules, push_kind_names[kind], list);
	json_set(a, json, S("rules"), rules);
	return write_stored(a, json, out);
}

err *push_rules_delete(struct arena *a, str stored, enum push_kind kind, str rule_id, str *out)
{
	struct json *json = NULL, *rules, *list = json_new_array(a);
	const struct json *old;
	size_t at;

	TRY(read_stored(a, stored, &json));
	rules = as_object(a, json_get(json, S("rules")));
	old = json_get_array(rules, push_kind_names[kind]);
	at = rule_index(old, rule_id);
	if (!old || at == old->array.n)
		return err_new(a, ERR_NOT_FOUND, "no such push rule of yours");
	for (size_t i = 0; i < old->array.n; i++)
		if (i != at)
			json_append(a, list, old->array.items[i]);
	json_set(a, rules, push_kind_names[kind], list);
	json_set(a, json, S("rules"), rules);
	return write_stored(a, json, out);
}

/* One member of one rule, the user's own or a default one. */
static err *set_member(struct arena *a, str stored, enum push_kind kind, str rule_id, str member,
		       const struct json *value, str *out)
{
	const struct push_rule *rule = push_rule_find(push_rules_load(a, stored), kind, rule_id);
	struct json *json = NULL;

	if (!rule)
		return err_new(a, ERR_NOT_FOUND, "no such push rule");
	TRY(read_stored(a, stored, &json));
	if (rule->is_default) {
		struct json *changes = as_object(a, json_get(json, S("defaults")));
		struct json *change = as_object(a, json_get(changes, rule_id));

		json_set(a, change, member, value);
		json_set(a, changes, rule_id, change);
		json_set(a, json, S("defaults"), changes);
	} else {
		struct json *rules = as_object(a, json_get(json, S("rules"))), *list = json_new_array(a);
		const struct json *old = json_get_array(rules, push_kind_names[kind]);
		const size_t at = rule_index(old, rule_id);

		JSON_ITEMS (old, i) {
			struct json *copy = json_copy(a, old->array.items[i]);

			if (i == at)
				json_set(a, copy, member, value);
			json_append(a, list, copy);
		}
		json_set(a, rules, push_kind_names[kind], list);
		json_set(a, json, S("rules"), rules);
	}
	return write_stored(a, json, out);
}

err *push_rules_set_enabled(struct arena *a, str stored, enum push_kind kind, str rule_id, bool enabled, str *out)
{
	return set_member(a, stored, kind, rule_id, S("enabled"), json_new_bool(a, enabled), out);
}

err *push_rules_set_actions(struct arena *a, str stored, enum push_kind kind, str rule_id, const struct json *actions,
			    str *out)
{
	TRY(check_actions(a, actions));
	return set_member(a, stored, kind, rule_id, S("actions"), actions, out);
}

/*
 * Rules that name a room
 */
static bool names_room(const struct json *condition, str room_id)
{
	const str kind = json_get_str(condition, S("kind"));

	if (!str_eq(json_get_str(condition, S("key")), S("room_id")))
		return false;
	return (str_eq(kind, S("event_match")) && str_eq(json_get_str(condition, S("pattern")), room_id)) ||
	       (str_eq(kind, S("event_property_is")) && str_eq(json_get_str(condition, S("value")), room_id));
}

static bool rule_names_room(const struct push_rule *rule, str room_id)
{
	if (rule->is_default || !rule->enabled)
		return false;
	JSON_ITEMS (rule->conditions, i)
		if (names_room(rule->conditions->array.items[i], room_id))
			return true;
	return rule->kind == PUSH_ROOM && str_eq(rule->rule_id, room_id);
}

bool push_rules_name_room(struct arena *a, str stored, str room_id)
{
	const struct push_rules *r;

	if (str_is_none(stored))
		return false;
	r = push_rules_load(a, stored);
	for (size_t i = 0; i < r->n; i++)
		if (rule_names_room(&r->rules[i], room_id))
			return true;
	return false;
}

/* The rule as it is stored, for the other room. */
static struct json *rule_for_room(struct arena *a, const struct json *rule, str id, str old_room, str new_room)
{
	struct json *copy = json_copy(a, rule), *conditions;

	json_set(a, copy, S("rule_id"), json_new_str(a, id));
	if (!json_get_array(rule, S("conditions")))
		return copy;
	conditions = json_new_array(a);
	JSON_ITEMS (json_get(rule, S("conditions")), i) {
		const struct json *condition = json_get(rule, S("conditions"))->array.items[i];
		const bool is_match = str_eq(json_get_str(condition, S("kind")), S("event_match"));
		struct json *changed = json_copy(a, condition);

		if (names_room(condition, old_room))
			json_set(a, changed, is_match ? S("pattern") : S("value"), json_new_str(a, new_room));
		json_append(a, conditions, changed);
	}
	json_set(a, copy, S("conditions"), conditions);
	return copy;
}

/* The list of one kind, whose compiled rules begin at *r, with what it has to say of the new room. NULL: nothing. */
static const struct json *list_for_room(struct arena *a, const struct json *old, const struct push_rule *r,
					str old_room, str new_room)
{
	struct json *list = json_new_array(a);
	size_t room_for = old->array.n < PUSH_RULES_MAX ? PUSH_RULES_MAX - old->array.n : 0;
	bool changed = false;

	JSON_ITEMS (old, i) {
		str id = new_room;

		if (!str_eq(r[i].rule_id, old_room))
			id = arena_printf(a, "%.*s %.*s", STR_ARG(r[i].rule_id), STR_ARG(new_room));
		if (room_for > 0 && rule_names_room(&r[i], old_room) && rule_index(old, id) == old->array.n) {
			json_append(a, list, rule_for_room(a, old->array.items[i], id, old_room, new_room));
			room_for--;
			changed = true;
		}
		json_append(a, list, old->array.items[i]);
	}
	return changed ? list : NULL;
}

/* In one go: a thousand rules changed one by one would be read and written a thousand times. */
err *push_rules_follow_room(struct arena *a, str stored, str old_room, str new_room, str *out)
{
	const struct push_rules *r = push_rules_load(a, stored);
	struct json *json = NULL, *rules;
	bool changed = false;
	err *e;

	*out = stored;
	if (str_is_none(stored))
		return NULL;
	TRY(read_stored(a, stored, &json));
	rules = as_object(a, json_get(json, S("rules")));
	for (size_t i = 0; i < r->n; i++) {
		const str kind = push_kind_names[r->rules[i].kind];
		const struct json *old = json_get_array(rules, kind), *list;

		if (r->rules[i].is_default)
			continue;
		list = list_for_room(a, old, &r->rules[i], old_room, new_room);
		if (list)
			json_set(a, rules, kind, list);
		changed = changed || list;
		i += old->array.n - 1; /* a kind's own rules stand side by side, as in the list */
	}
	if (!changed)
		return NULL;
	json_set(a, json, S("rules"), rules);
	e = write_stored(a, json, &stored);
	if (e && e->code != ERR_TOO_LARGE)
		return e;
	*out = stored; /* too much of it: then they stay as they are */
	return NULL;
}
