/*
 * push_rules.c - a user's rules in order of priority, and which of them an event meets first.
 *
 * The order: .m.rule.master; then, kind by kind (override, content, room, sender, underride), the user's own rules
 * before the default ones. The default set is compiled once and shared; a user with changes gets a set of their own
 * which borrows the default rules' conditions.
 */
#include "matrix/push_rules.h"

#include <assert.h>

#include "matrix/internal_push.h"
#include "matrix/push_defaults.h"

const str push_kind_names[PUSH_KINDS] = { STR("override"), STR("content"), STR("room"), STR("sender"),
					  STR("underride") };
/* What one user's conditions may cost for one event, in bytes and list entries looked at: 60 patterns over the longest
 * body there is, all that are allowed over an ordinary one. */
enum { PUSH_WORK = 4 << 20 };

const struct json_limits push_stored_limits = { PUSH_RULES_BYTES, 32, 100000 };
static struct push_rules defaults;

enum push_kind push_kind_of_text(str s)
{
	enum push_kind k = PUSH_OVERRIDE;

	while (k < PUSH_KINDS && !str_eq(s, push_kind_names[k]))
		k++;
	return k;
}

/* "Clients and homeservers MUST ignore these actions, for instance, by stripping them from actions arrays." */
static const struct json *strip_actions(struct arena *a, const struct json *actions)
{
	struct json *out = json_new_array(a);

	JSON_ITEMS (actions, i) {
		const str s = json_str(actions->array.items[i]);

		if (!str_eq(s, S("dont_notify")) && !str_eq(s, S("coalesce")))
			json_append(a, out, actions->array.items[i]);
	}
	return out;
}

/* room and sender rules: "the rule_id of the rule determines its behaviour"; content rules match their pattern in the
 * body. */
static const struct json *implied_condition(struct arena *a, enum push_kind kind, str rule_id, str pattern)
{
	struct json *c = json_new_object(a);
	const str key = kind == PUSH_ROOM ? S("room_id") : kind == PUSH_SENDER ? S("sender") : S("content.body");

	json_set(a, c, S("kind"), json_new_str(a, kind == PUSH_CONTENT ? S("event_match") : S("event_property_is")));
	json_set(a, c, S("key"), json_new_str(a, key));
	json_set(a, c, kind == PUSH_CONTENT ? S("pattern") : S("value"),
		 json_new_str(a, kind == PUSH_CONTENT ? pattern : rule_id));
	return c;
}

static void compile_one(struct arena *a, struct push_rule *r, const struct json *condition)
{
	if (push_condition_compile(a, condition, r->is_default, &r->compiled[r->n_compiled]))
		r->n_compiled++;
	else
		r->never = true;
}

static struct push_rule rule_of_json(struct arena *a, enum push_kind kind, const struct json *json, bool is_default)
{
	struct push_rule r = {
		.kind = kind,
		.rule_id = json_get_str(json, S("rule_id")),
		.is_default = is_default,
		.enabled = json_get_bool(json, S("enabled"), true),
		.actions = strip_actions(a, json_get_array(json, S("actions"))),
	};

	if (kind == PUSH_OVERRIDE || kind == PUSH_UNDERRIDE) {
		const struct json *list = json_get_array(json, S("conditions"));

		r.conditions = list ? list : json_new_array(a);
		r.compiled = ARENA_ARRAY(a, struct push_condition, r.conditions->array.n);
		JSON_ITEMS (r.conditions, i)
			compile_one(a, &r, r.conditions->array.items[i]);
	} else {
		if (kind == PUSH_CONTENT)
			r.pattern = json_get_str(json, S("pattern"));
		r.compiled = ARENA_ARRAY(a, struct push_condition, 1);
		compile_one(a, &r, implied_condition(a, kind, r.rule_id, r.pattern));
	}
	return r;
}

void push_rules_init(void)
{
	static const struct {
		enum push_kind kind;
		const str *text;
	} parts[] = { { PUSH_OVERRIDE, &push_defaults_override }, { PUSH_UNDERRIDE, &push_defaults_underride } };
	static struct arena *a; /* for the life of the process */
	VEC(struct push_rule) rules = { 0 };

	if (defaults.n)
		return;
	a = arena_new();
	for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
		struct json *list = NULL;
		err *e = json_parse(a, *parts[p].text, &push_stored_limits, &list);

		assert(!e && list);
		JSON_ITEMS (list, i)
			vec_push(a, &rules, rule_of_json(a, parts[p].kind, list->array.items[i], true));
	}
	defaults = (struct push_rules){ rules.p, rules.n };
}

static const struct json *parse_stored(struct arena *a, str stored)
{
	struct json *json = NULL;

	if (str_is_none(stored) || json_parse(a, stored, &push_stored_limits, &json))
		return NULL;
	return json;
}

static struct push_rule changed_default(struct arena *a, const struct push_rule *rule, const struct json *changes)
{
	const struct json *change = json_get_object(changes, rule->rule_id),
			  *actions = json_get_array(change, S("actions"));
	struct push_rule r = *rule;

	r.enabled = json_get_bool(change, S("enabled"), r.enabled);
	if (actions)
		r.actions = strip_actions(a, actions);
	return r;
}

const struct push_rules *push_rules_load(struct arena *a, str stored)
{
	const struct json *json = parse_stored(a, stored), *mine = json_get_object(json, S("rules"));
	const struct json *changes = json_get_object(json, S("defaults"));
	VEC(struct push_rule) rules = { 0 };
	struct push_rules *out;

	assert(defaults.n); /* push_rules_init has run */
	if (!json)
		return &defaults;
	vec_push(a, &rules, changed_default(a, &defaults.rules[0], changes)); /* .m.rule.master: above all others */
	for (enum push_kind k = PUSH_OVERRIDE; k < PUSH_KINDS; k++) {
		const struct json *list = json_get_array(mine, push_kind_names[k]);

		JSON_ITEMS (list, i)
			vec_push(a, &rules, rule_of_json(a, k, list->array.items[i], false));
		for (size_t i = 1; i < defaults.n; i++)
			if (defaults.rules[i].kind == k)
				vec_push(a, &rules, changed_default(a, &defaults.rules[i], changes));
	}
	out = ARENA_NEW(a, struct push_rules);
	*out = (struct push_rules){ rules.p, rules.n };
	return out;
}

const struct push_rule *push_rule_find(const struct push_rules *r, enum push_kind kind, str rule_id)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rules[i].kind == kind && str_eq(r->rules[i].rule_id, rule_id))
			return &r->rules[i];
	return NULL;
}

static void write_condition(struct jw *w, const struct json *c, str user_id)
{
	jw_object(w, NULL);
	JSON_EACH (c, m) {
		jw_key(w, str_eq(m->key, S("pattern_type")) ? S("pattern")
			  : str_eq(m->key, S("value_type")) ? S("value")
							    : m->key);
		if (str_eq(m->key, S("pattern_type")) || str_eq(m->key, S("value_type")))
			jw_str(w, NULL, user_id);
		else
			jw_json(w, NULL, m->value);
	}
	jw_end(w);
}

void push_rule_write(struct jw *w, const char *key, const struct push_rule *rule, str user_id)
{
	jw_object(w, key);
	jw_str(w, "rule_id", rule->rule_id);
	jw_bool(w, "default", rule->is_default);
	jw_bool(w, "enabled", rule->enabled);
	if (rule->conditions) {
		jw_array(w, "conditions");
		JSON_ITEMS (rule->conditions, i) {
			if (rule->is_default)
				write_condition(w, rule->conditions->array.items[i], user_id);
			else
				jw_json(w, NULL, rule->conditions->array.items[i]);
		}
		jw_end(w);
	}
	if (!str_is_none(rule->pattern))
		jw_str(w, "pattern", rule->pattern);
	jw_json(w, "actions", rule->actions);
	jw_end(w);
}

void push_rules_write(struct jw *w, const struct push_rules *r, str user_id)
{
	for (enum push_kind k = PUSH_OVERRIDE; k < PUSH_KINDS; k++) {
		jw_array(w, push_kind_names[k].p);
		for (size_t i = 0; i < r->n; i++)
			if (r->rules[i].kind == k)
				push_rule_write(w, NULL, &r->rules[i], user_id);
		jw_end(w);
	}
}

static bool rule_holds(const struct push_rule *r, const struct push_event *ev, str user_id, str display_name,
		       size_t *work)
{
	if (!r->enabled || r->never)
		return false;
	for (size_t i = 0; i < r->n_compiled; i++)
		if (!push_condition_holds(&r->compiled[i], ev, user_id, display_name, work))
			return false;
	return true;
}

static struct push_result result_of_actions(const struct json *actions)
{
	struct push_result out = { .actions = actions };

	JSON_ITEMS (actions, i) {
		const struct json *action = actions->array.items[i];

		if (str_eq(json_str(action), S("notify")))
			out.notify = true;
		/* "If a highlight tweak is given with no value, its value is defined to be true." */
		if (str_eq(json_get_str(action, S("set_tweak")), S("highlight")))
			out.highlight = json_get_bool(action, S("value"), true);
	}
	out.highlight = out.highlight && out.notify;
	return out;
}

bool push_rules_want_name(const struct push_rules *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; r->rules[i].enabled && k < r->rules[i].n_compiled; k++)
			if (r->rules[i].compiled[k].op == COND_DISPLAY_NAME)
				return true;
	return false;
}

struct push_result push_evaluate(const struct push_rules *r, const struct push_event *ev, str user_id, str display_name)
{
	size_t work = PUSH_WORK;

	for (size_t i = 0; i < r->n; i++)
		if (rule_holds(&r->rules[i], ev, user_id, display_name, &work))
			return result_of_actions(r->rules[i].actions);
	return (struct push_result){ 0 };
}
