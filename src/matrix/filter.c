#include "matrix/filter.h"

#include "matrix/glob.h"

/* More than any client sends; each entry costs a comparison per event. */
#define LIST_MAX 1000

static err *parse_list(struct arena *a, const struct json *json, str key, char sigil, struct str_list *out)
{
	const struct json *list = json_get(json, key);
	str *items;

	if (!list)
		return NULL;
	if (list->kind != JSON_ARRAY || list->array.n > LIST_MAX)
		return err_new(a, ERR_BAD_JSON, "filter: %.*s is no list of strings, or a very long one", STR_ARG(key));
	items = ARENA_ARRAY(a, str, list->array.n);
	JSON_ITEMS (list, i) {
		items[i] = json_str(list->array.items[i]);
		if (str_is_none(items[i]))
			return err_new(a, ERR_BAD_JSON, "filter: %.*s holds something that is no string", STR_ARG(key));
		if (sigil && (items[i].n == 0 || items[i].p[0] != sigil))
			return err_new(a, ERR_BAD_JSON, "filter: %.*s holds an ill-formed id", STR_ARG(key));
	}
	*out = (struct str_list){ items, list->array.n, true };
	return NULL;
}

static err *parse_bool(struct arena *a, const struct json *json, str key, bool *out)
{
	const struct json *v = json_get(json, key);

	if (!v)
		return NULL;
	if (v->kind != JSON_BOOL)
		return err_new(a, ERR_BAD_JSON, "filter: %.*s is no boolean", STR_ARG(key));
	*out = v->b;
	return NULL;
}

err *event_filter_parse(struct arena *a, const struct json *json, struct event_filter *out)
{
	const struct json *limit, *url;
	struct event_filter f = { 0 };

	*out = f;
	if (!json)
		return NULL;
	if (json->kind != JSON_OBJECT)
		return err_new(a, ERR_BAD_JSON, "filter: a part of it is no object");
	limit = json_get(json, S("limit"));
	if (limit && (limit->kind != JSON_INT || limit->i < 0))
		return err_new(a, ERR_BAD_JSON, "filter: limit is no positive integer");
	f.limit = limit ? limit->i : 0;
	f.limit_is_zero = limit && limit->i == 0;
	TRY(parse_list(a, json, S("types"), 0, &f.types));
	TRY(parse_list(a, json, S("not_types"), 0, &f.not_types));
	TRY(parse_list(a, json, S("senders"), '@', &f.senders));
	TRY(parse_list(a, json, S("not_senders"), '@', &f.not_senders));
	TRY(parse_list(a, json, S("rooms"), '!', &f.rooms));
	TRY(parse_list(a, json, S("not_rooms"), '!', &f.not_rooms));
	url = json_get(json, S("contains_url"));
	if (url && url->kind != JSON_BOOL && url->kind != JSON_NULL)
		return err_new(a, ERR_BAD_JSON, "filter: contains_url is no boolean");
	f.contains_url = !json_is(url, JSON_BOOL) ? URL_ANY : url->b ? URL_WITH : URL_WITHOUT;
	TRY(parse_bool(a, json, S("lazy_load_members"), &f.lazy_load_members));
	TRY(parse_bool(a, json, S("include_redundant_members"), &f.include_redundant_members));
	TRY(parse_bool(a, json, S("unread_thread_notifications"), &f.unread_thread_notifications));
	*out = f;
	return NULL;
}

err *filter_parse(struct arena *a, const struct json *json, struct filter *out)
{
	const struct json *room, *format;
	struct filter f = { 0 };

	*out = f;
	if (!json)
		return NULL;
	if (json->kind != JSON_OBJECT)
		return err_new(a, ERR_BAD_JSON, "the filter is no object");
	TRY(parse_list(a, json, S("event_fields"), 0, &f.event_fields));
	format = json_get(json, S("event_format"));
	if (format && !str_eq(json_str(format), S("client")) && !str_eq(json_str(format), S("federation")))
		return err_new(a, ERR_BAD_JSON, "filter: event_format is neither client nor federation");
	f.federation_format = str_eq(json_str(format), S("federation"));
	TRY(event_filter_parse(a, json_get(json, S("presence")), &f.presence));
	TRY(event_filter_parse(a, json_get(json, S("account_data")), &f.account_data));
	room = json_get(json, S("room"));
	if (room && room->kind != JSON_OBJECT)
		return err_new(a, ERR_BAD_JSON, "filter: room is no object");
	TRY(parse_list(a, room, S("rooms"), '!', &f.rooms));
	TRY(parse_list(a, room, S("not_rooms"), '!', &f.not_rooms));
	TRY(parse_bool(a, room, S("include_leave"), &f.include_leave));
	TRY(event_filter_parse(a, json_get(room, S("state")), &f.state));
	TRY(event_filter_parse(a, json_get(room, S("timeline")), &f.timeline));
	TRY(event_filter_parse(a, json_get(room, S("ephemeral")), &f.ephemeral));
	TRY(event_filter_parse(a, json_get(room, S("account_data")), &f.room_account_data));
	*out = f;
	return NULL;
}

static void keep_list(struct arena *a, struct str_list *l)
{
	str *items;

	if (l->n == 0)
		return;
	items = ARENA_ARRAY(a, str, l->n);
	for (size_t i = 0; i < l->n; i++)
		items[i] = arena_keep(a, l->p[i]);
	l->p = items;
}

static void keep_event_filter(struct arena *a, struct event_filter *f)
{
	struct str_list *lists[] = { &f->types, &f->not_types, &f->senders, &f->not_senders, &f->rooms, &f->not_rooms };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		keep_list(a, lists[i]);
}

void filter_keep(struct arena *a, const struct filter *f, struct filter *out)
{
	*out = *f;
	keep_list(a, &out->event_fields);
	keep_list(a, &out->rooms);
	keep_list(a, &out->not_rooms);
	keep_event_filter(a, &out->presence);
	keep_event_filter(a, &out->account_data);
	keep_event_filter(a, &out->state);
	keep_event_filter(a, &out->timeline);
	keep_event_filter(a, &out->ephemeral);
	keep_event_filter(a, &out->room_account_data);
}

static bool list_has(const struct str_list *l, str s)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->p[i], s))
			return true;
	return false;
}

static bool list_has_glob(const struct str_list *l, str s)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->p[i], s) || (str_find(l->p[i], '*') < l->p[i].n && glob_match_exact(l->p[i], s)))
			return true;
	return false;
}

/* "A matching [item] will be excluded even if it is listed in the [positive] filter." */
static bool passes(const struct str_list *yes, const struct str_list *no, str s)
{
	return !list_has(no, s) && (!yes->present || list_has(yes, s));
}

bool filter_has_room(const struct filter *f, str room_id) { return passes(&f->rooms, &f->not_rooms, room_id); }

bool event_filter_has_room(const struct event_filter *f, str room_id)
{
	return passes(&f->rooms, &f->not_rooms, room_id);
}

bool event_filter_has_sender(const struct event_filter *f, str sender)
{
	return passes(&f->senders, &f->not_senders, sender);
}

bool event_filter_has_type(const struct event_filter *f, str type)
{
	return !list_has_glob(&f->not_types, type) && (!f->types.present || list_has_glob(&f->types, type));
}

bool event_filter_match(const struct event_filter *f, str type, str sender, const struct json *content)
{
	if (!event_filter_has_type(f, type) || !event_filter_has_sender(f, sender))
		return false;
	if (f->contains_url != URL_ANY)
		return (json_get(content, S("url")) != NULL) == (f->contains_url == URL_WITH);
	return true;
}

bool event_filter_is_open(const struct event_filter *f)
{
	return !f->types.present && !f->not_types.present && !f->senders.present && !f->not_senders.present &&
	       !f->rooms.present && !f->not_rooms.present && f->contains_url == URL_ANY;
}

static bool is_escape(str path, size_t i)
{
	return path.p[i] == '\\' && i + 1 < path.n && (path.p[i + 1] == '.' || path.p[i + 1] == '\\');
}

/* A key without its escapes is a piece of the path: paths are long where their author means harm. */
str json_path_key(struct arena *a, str *path)
{
	const str whole = *path;
	size_t i = 0, n = 0;
	char *key;

	for (; i < whole.n && whole.p[i] != '.'; i++, n++)
		if (is_escape(whole, i))
			i++;
	*path = i < whole.n ? str_from(whole, i + 1) : STR_NONE;
	if (n == i)
		return str_head(whole, n);
	key = arena_alloc(a, n);
	for (size_t from = 0, to = 0; from < i; from++) {
		if (is_escape(whole, from))
			from++;
		key[to++] = whole.p[from];
	}
	return (str){ key, n };
}

static const struct json *json_path(struct arena *a, const struct json *value, str path)
{
	while (value && !str_is_none(path))
		value = json_get(value, json_path_key(a, &path));
	return value;
}

/* The object below `key` of `object`, made if it is not there: all of them are ours, none is the event's. */
static struct json *child_object(struct arena *a, struct json *object, str key)
{
	const struct json *child = json_get(object, key);
	struct json *made;

	if (json_is(child, JSON_OBJECT) && str_is_none(child->raw)) {
		JSON_EACH (object, m) {
			if (str_eq(m->key, key))
				return m->value;
		}
	}
	made = json_new_object(a);
	json_set(a, object, key, made);
	return made;
}

const struct json *filter_fields(struct arena *a, const struct json *event, const struct str_list *fields)
{
	struct json *out = json_new_object(a);

	for (size_t i = 0; i < fields->n; i++) {
		const struct json *value = json_path(a, event, fields->p[i]);
		struct json *at = out;
		str path = fields->p[i], key;

		if (!value)
			continue;
		for (key = json_path_key(a, &path); !str_is_none(path); key = json_path_key(a, &path)) {
			const struct json *there = json_get(at, key);

			if (there && !str_is_none(there->raw)) { /* a shorter path took the whole already */
				at = NULL;
				break;
			}
			at = child_object(a, at, key);
		}
		if (at)
			json_set(a, at, key, value);
	}
	return out;
}
