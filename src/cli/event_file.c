#include "cli/event_file.h"

#include "matrix/id.h"

/* Ids; pairs of an id and its hashes, as versions 1 and 2 have them, are taken everywhere. */
static err *sketch_ids(struct arena *a, const struct json *json, str key, const str **out, size_t *out_n)
{
	const struct json *list = json_get_array(json, key);
	str *ids = ARENA_ARRAY(a, str, list ? list->array.n : 0);

	JSON_ITEMS (list, i) {
		const struct json *id = list->array.items[i];

		if (json_is(id, JSON_ARRAY) && id->array.n > 0)
			id = id->array.items[0];
		ids[i] = json_str(id);
		if (str_is_none(ids[i]))
			return err_new(a, ERR_BAD_JSON, "%.*s holds something other than event ids", STR_ARG(key));
	}
	*out = ids;
	*out_n = list ? list->array.n : 0;
	return NULL;
}

static err *read_sketch(struct arena *a, const struct room_version *rv, const struct json *json, struct event **out)
{
	struct event *ev = ARENA_NEW(a, struct event);

	ev->event_id = json_get_str(json, S("event_id"));
	ev->room_id = json_get_str(json, S("room_id"));
	ev->sender = json_get_str(json, S("sender"));
	ev->type = json_get_str(json, S("type"));
	ev->state_key = json_get_str(json, S("state_key"));
	ev->content = json_get_object(json, S("content"));
	ev->json = json;
	if (str_is_empty(ev->event_id) || ev->event_id.p[0] != '$')
		return err_new(a, ERR_BAD_JSON, "an event has neither hashes nor an event_id");
	if (!id_user_valid(ev->sender) || str_is_none(ev->type) || !ev->content)
		return err_new(a, ERR_BAD_JSON, "%.*s lacks type, sender or content", STR_ARG(ev->event_id));
	if (rv->room_id_is_create_hash && str_eq(ev->type, S("m.room.create")))
		ev->room_id = arena_join2(a, S("!"), str_from(ev->event_id, 1));
	(void)json_get_int(json, S("origin_server_ts"), &ev->origin_server_ts);
	(void)json_get_int(json, S("depth"), &ev->depth);
	ev->rejected = json_get_bool(json, S("rejected"), false);
	TRY(sketch_ids(a, json, S("prev_events"), &ev->prev_events, &ev->n_prev_events));
	TRY(sketch_ids(a, json, S("auth_events"), &ev->auth_events, &ev->n_auth_events));
	*out = ev;
	return NULL;
}

const struct json *event_file_bare(struct arena *a, const struct room_version *rv, const struct json *json, str *out_id)
{
	const str id = json_get_str(json, S("event_id"));
	struct json *bare;

	*out_id = STR_NONE;
	/* Taking a member out of an object would drop duplicates of others, which must be seen. */
	if (rv->event_format == EVENT_FORMAT_NAMED || str_is_none(id) || json->dup)
		return json;
	bare = json_copy(a, json);
	json_del(bare, S("event_id"));
	*out_id = id;
	return bare;
}

err *event_file_read(struct arena *a, const struct room_version *rv, const struct json *json, struct event **out)
{
	str id;

	if (!json_is(json, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "an event is not an object");
	if (!json_get(json, S("hashes")))
		return read_sketch(a, rv, json, out);
	TRY(event_parse_json(a, rv, event_file_bare(a, rv, json, &id), out));
	if (!str_is_none(id) && !str_eq(id, (*out)->event_id))
		return err_new(a, ERR_BAD_JSON, "%.*s is really %.*s", STR_ARG(id), STR_ARG((*out)->event_id));
	return NULL;
}

str event_file_version(const struct json *json)
{
	const struct json *version = json_get(json_get(json, S("content")), S("room_version"));

	if (!str_eq(json_get_str(json, S("type")), S("m.room.create")))
		return STR_NONE;
	/* m.room.create: "room_version: [...] Defaults to "1" if the key does not exist." */
	return version ? json_str(version) : S("1");
}
