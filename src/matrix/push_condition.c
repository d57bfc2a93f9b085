/* push_condition.c - one condition of a push rule against one event. */
#include "matrix/internal_push.h"

#include "matrix/filter.h"
#include "matrix/glob.h"
#include "matrix/id.h"

static void compile_path(struct arena *a, str key, struct push_condition *out)
{
	VEC(str) parts = { 0 };

	while (!str_is_none(key))
		vec_push(a, &parts, json_path_key(a, &key));
	out->path = parts.p;
	out->n_path = parts.n;
	out->is_body = parts.n == 2 && str_eq(parts.p[0], S("content")) && str_eq(parts.p[1], S("body"));
}

/* canonical JSON's integers: "in the range of [-(2**53)+1, (2**53)-1]" */
#define INT_MOST ((INT64_C(1) << 53) - 1)

/* "A decimal integer optionally prefixed by one of ==, <, >, >= or <=." */
static bool compile_count(str is, struct push_condition *out)
{
	static const struct {
		str prefix;
		unsigned compare;
	} prefixes[] = { { STR("=="), COUNT_EQ },
			 { STR("<="), COUNT_LE },
			 { STR(">="), COUNT_GE },
			 { STR("<"), COUNT_LT },
			 { STR(">"), COUNT_GT } };

	out->compare = COUNT_EQ;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (str_starts(is, prefixes[i].prefix)) {
			out->compare = prefixes[i].compare;
			is = str_from(is, prefixes[i].prefix.n);
			break;
		}
	}
	return str_to_i64(is, &out->count);
}

/* "only supports non-compound canonical JSON values: strings, integers [...], booleans, and null" */
static bool is_plain(const struct json *v)
{
	if (json_is(v, JSON_INT))
		return v->i >= -INT_MOST && v->i <= INT_MOST;
	return json_is(v, JSON_STR) || json_is(v, JSON_BOOL) || json_is(v, JSON_NULL);
}

bool push_condition_compile(struct arena *a, const struct json *json, bool is_default, struct push_condition *out)
{
	const str kind = json_get_str(json, S("kind")), key = json_get_str(json, S("key"));

	*out = (struct push_condition){ 0 };
	if (str_eq(kind, S("contains_display_name"))) {
		out->op = COND_DISPLAY_NAME;
		return true;
	}
	if (str_eq(kind, S("room_member_count"))) {
		out->op = COND_MEMBER_COUNT;
		return compile_count(json_get_str(json, S("is")), out);
	}
	if (str_is_none(key))
		return false;
	compile_path(a, key, out);
	out->pattern = json_get_str(json, S("pattern"));
	out->value = json_get(json, S("value"));
	out->is_user = is_default && (str_eq(json_get_str(json, S("pattern_type")), S("user_id")) ||
				      str_eq(json_get_str(json, S("value_type")), S("user_id")));
	if (str_eq(kind, S("event_match"))) {
		out->op = COND_MATCH;
		out->is_wild = glob_is_wild(out->pattern);
		return out->is_user || !str_is_none(out->pattern);
	}
	if (str_eq(kind, S("event_property_is")) || str_eq(kind, S("event_property_contains"))) {
		out->op = str_eq(kind, S("event_property_is")) ? COND_IS : COND_CONTAINS;
		return out->is_user || is_plain(out->value);
	}
	if (str_eq(kind, S("sender_notification_permission"))) {
		out->op = COND_PERMISSION;
		out->pattern = key;
		return true;
	}
	return false;
}

static const struct json *property(const struct push_condition *c, const struct push_event *ev)
{
	const struct json *at = ev->event->json;

	for (size_t i = 0; at && i < c->n_path; i++)
		at = json_get(at, c->path[i]);
	return at;
}

/* Events have ids for clients that are not always written in them: event_id from room version 3 on, and the room_id of
 * a version 12 create event. STR_NONE: the condition is on something else. */
static str id_property(const struct push_condition *c, const struct push_event *ev)
{
	if (c->n_path != 1)
		return STR_NONE;
	if (str_eq(c->path[0], S("room_id")))
		return ev->event->room_id;
	return str_eq(c->path[0], S("event_id")) ? ev->event->event_id : STR_NONE;
}

/* A thousand patterns of one user against a body of 60 KB would take a second, for every event of the room. */
static bool may_cost(size_t cost, size_t *work)
{
	const bool may = cost <= *work;

	*work -= may ? cost : *work; /* once it is used up, the order of the rules decides, not their length */
	return may;
}

/* Plain text in a short value, as a type is, costs nothing worth counting. */
static size_t cost_of_text(str value) { return value.n > ID_MAX ? value.n / 4 : 0; }

/* A pass over the value for each 64 states. */
static size_t cost_of_pattern(str pattern, str value) { return value.n * (pattern.n / 64 + 1); }

/* The user's own id; nobody's is no text that an event could hold. */
static bool is_own(str value, str user_id) { return !str_is_empty(user_id) && str_eq(value, user_id); }

/* "If the property specified by key is completely absent from the event, or does not have a string value, then the
 * condition will not match, even if pattern is *." */
static bool holds_match(const struct push_condition *c, const struct push_event *ev, str user_id, size_t *work)
{
	str value = id_property(c, ev);

	if (str_is_none(value))
		value = json_str(property(c, ev));
	if (str_is_none(value))
		return false;
	if (c->is_user)
		return is_own(value, user_id);
	if (!may_cost(c->is_wild ? cost_of_pattern(c->pattern, value) : cost_of_text(value), work))
		return false;
	return c->is_body ? glob_match_word(c->pattern, value) : glob_match(c->pattern, value);
}

static bool same(const struct push_condition *c, const struct json *v, str user_id)
{
	if (c->is_user)
		return json_is(v, JSON_STR) && is_own(v->s, user_id);
	return is_plain(v) && json_equal(v, c->value);
}

static bool holds_is(const struct push_condition *c, const struct push_event *ev, str user_id)
{
	const str id = id_property(c, ev);

	return str_is_none(id) ? same(c, property(c, ev), user_id) : str_eq(json_str(c->value), id);
}

static bool holds_contains(const struct push_condition *c, const struct push_event *ev, str user_id, size_t *work)
{
	const struct json *list;

	/* Of the default rules, that is of mentions: the only one that looks for the user in a list. */
	if (c->is_user && ev->mentioned)
		return map_get(ev->mentioned, user_id) != NULL;
	list = property(c, ev);
	if (!json_is(list, JSON_ARRAY) || !may_cost(list->array.n, work))
		return false;
	JSON_ITEMS (list, i) {
		if (same(c, list->array.items[i], user_id))
			return true;
	}
	return false;
}

static bool holds_count(const struct push_condition *c, int64_t members)
{
	switch (c->compare) {
	case COUNT_EQ:
		return members == c->count;
	case COUNT_LT:
		return members < c->count;
	case COUNT_GT:
		return members > c->count;
	case COUNT_LE:
		return members <= c->count;
	case COUNT_GE:
		return members >= c->count;
	}
	return false;
}

/* A display name is no pattern: stars and question marks in it stand for themselves. */
static bool holds_display_name(const struct push_event *ev, str name, size_t *work)
{
	const str body = json_get_str(ev->event->content, S("body"));

	return !str_is_none(body) && may_cost(cost_of_text(body), work) && glob_has_words(body, name);
}

bool push_condition_holds(const struct push_condition *c, const struct push_event *ev, str user_id, str display_name,
			  size_t *work)
{
	switch (c->op) {
	case COND_MATCH:
		return holds_match(c, ev, user_id, work);
	case COND_IS:
		return holds_is(c, ev, user_id);
	case COND_CONTAINS:
		return holds_contains(c, ev, user_id, work);
	case COND_DISPLAY_NAME:
		return holds_display_name(ev, display_name, work);
	case COND_MEMBER_COUNT:
		return holds_count(c, ev->joined_members);
	case COND_PERMISSION:
		return power_of_user(ev->levels, ev->event->sender) >= power_for_notification(ev->levels, c->pattern);
	}
	return false;
}
