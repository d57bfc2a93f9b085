/* query_names.c - what is asked of other servers, and what of their answers is good: see query.h. */
#include "federation/query.h"

#include "base/map.h"
#include "matrix/id.h"

#define MINUTE INT64_C(60000000)
enum {
	PROFILE_BYTES = 128 << 10, /* of an answer: a profile has at most 64 KiB */
	ALIAS_BYTES = 1 << 20,
	ROOMS_BYTES = 4 << 20,
	SERVERS_MOST = 500, /* of an alias */
	TEXT_MOST = 8 << 10,
};

/* The names that every server shows as texts; of others, whatever they hold. */
static bool is_good_field(const struct json_member *m)
{
	if (str_eq(m->key, S("displayname")) || str_eq(m->key, S("avatar_url")))
		return m->value->kind == JSON_STR;
	return m->value->kind != JSON_NULL;
}

err *query_profile(struct queries *q, struct arena *a, str user_id, str field, int64_t deadline_us,
		   const struct json **out)
{
	struct query_ask ask = {
		.destination = id_server(user_id),
		.max_bytes = PROFILE_BYTES,
		.keep_us = 5 * MINUTE,
		.bad_us = MINUTE,
		.deadline_us = deadline_us,
	};
	const struct json *answer;
	struct json *good = json_new_object(a);

	ask.path = fed_query(a, S("/_matrix/federation/v1/query/profile"), "user_id", user_id);
	if (!str_is_none(field))
		ask.path = fed_query(a, ask.path, "field", field);
	TRY(query_get(q, a, &ask, &answer));
	JSON_EACH (answer, m)
		if (is_good_field(m) && (str_is_none(field) || str_eq(m->key, field)))
			json_set(a, good, m->key, m->value);
	*out = good;
	return NULL;
}

/* Not kept: an alias is asked for to join what it names now, and whoever hears that there is none asks again once it
 * was made. */
err *query_alias(struct queries *q, struct arena *a, str alias, int64_t deadline_us, str *out_room_id,
		 str **out_servers, size_t *out_n)
{
	const struct query_ask ask = {
		.destination = id_server(alias),
		.path = fed_query(a, S("/_matrix/federation/v1/query/directory"), "room_alias", alias),
		.max_bytes = ALIAS_BYTES,
		.deadline_us = deadline_us,
	};
	const struct json *answer, *list;
	struct map once;
	size_t n = 0;
	str *servers;

	TRY(query_get(q, a, &ask, &answer));
	*out_room_id = json_get_str(answer, S("room_id"));
	if (!id_room_valid(*out_room_id))
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s names no room", STR_ARG(ask.destination));
	list = json_get_array(answer, S("servers"));
	map_init(&once, a);
	servers = ARENA_ARRAY(a, str, list ? MIN(list->array.n, (size_t)SERVERS_MOST) : 0);
	JSON_ITEMS (list, i) {
		const str name = json_str(list->array.items[i]);

		if (n < SERVERS_MOST && id_server_name_valid(name) && !map_put(&once, name, &once))
			servers[n++] = name;
	}
	*out_servers = servers;
	*out_n = n;
	return NULL;
}

/*
 * Rooms
 */
static void take_str(struct arena *a, struct json *to, const struct json *from, const char *key)
{
	const struct json *v = json_get(from, str_c(key));

	if (json_is(v, JSON_STR) && v->s.n <= TEXT_MOST)
		json_set(a, to, str_c(key), v);
}

static void take_bool(struct arena *a, struct json *to, const struct json *from, const char *key)
{
	json_set(a, to, str_c(key), json_new_bool(a, json_get_bool(from, str_c(key), false)));
}

static void take_rooms(struct arena *a, struct json *to, const struct json *from, const char *key)
{
	const struct json *list = json_get_array(from, str_c(key));
	struct json *good = json_new_array(a);

	if (!list)
		return;
	JSON_ITEMS (list, i)
		if (i < SERVERS_MOST && id_room_valid(json_str(list->array.items[i])))
			json_append(a, good, list->array.items[i]);
	json_set(a, to, str_c(key), good);
}

struct json *query_room_summary(struct arena *a, const struct json *given)
{
	static const char *const texts[] = { "name",      "topic",      "avatar_url",  "join_rule",
					     "room_type", "encryption", "room_version" };
	struct json *room;
	int64_t joined;
	str alias;

	if (!json_is(given, JSON_OBJECT) || !id_room_valid(json_get_str(given, S("room_id"))))
		return NULL;
	room = json_new_object(a);
	take_str(a, room, given, "room_id");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		take_str(a, room, given, texts[i]);
	alias = json_get_str(given, S("canonical_alias"));
	if (id_alias_valid(alias))
		take_str(a, room, given, "canonical_alias");
	take_bool(a, room, given, "world_readable");
	take_bool(a, room, given, "guest_can_join");
	if (!json_get_int(given, S("num_joined_members"), &joined) || joined < 0)
		joined = 0;
	json_set(a, room, S("num_joined_members"), json_new_int(a, joined));
	take_rooms(a, room, given, "allowed_room_ids");
	return room;
}

/* A page as it is shown to our users: nothing but rooms, and the tokens. */
static struct json *good_page(struct arena *a, const struct json *answer)
{
	const struct json *chunk = json_get_array(answer, S("chunk"));
	struct json *page = json_new_object(a), *rooms = json_new_array(a);
	int64_t total;

	JSON_ITEMS (chunk, i) {
		struct json *room = query_room_summary(a, chunk->array.items[i]);

		if (room)
			json_append(a, rooms, room);
	}
	json_set(a, page, S("chunk"), rooms);
	take_str(a, page, answer, "next_batch");
	take_str(a, page, answer, "prev_batch");
	if (json_get_int(answer, S("total_room_count_estimate"), &total) && total >= 0)
		json_set(a, page, S("total_room_count_estimate"), json_new_int(a, total));
	return page;
}

err *query_public_rooms(struct queries *q, struct arena *a, str server_name, const struct json *body,
			int64_t deadline_us, const struct json **out)
{
	const struct query_ask ask = {
		.destination = server_name,
		.path = S("/_matrix/federation/v1/publicRooms"),
		.content = body,
		.max_bytes = ROOMS_BYTES,
		.keep_us = MINUTE,
		.bad_us = MINUTE / 2,
		.deadline_us = deadline_us,
	};
	const struct json *answer;

	TRY(query_get(q, a, &ask, &answer));
	*out = good_page(a, answer);
	return NULL;
}

err *query_hierarchy(struct queries *q, struct arena *a, str server_name, str room_id, bool suggested_only,
		     int64_t deadline_us, const struct json **out)
{
	struct query_ask ask = {
		.destination = server_name,
		.path = fed_path(a, S("/_matrix/federation/v1/hierarchy/"), room_id, STR_NONE),
		.max_bytes = ROOMS_BYTES,
		.keep_us = 5 * MINUTE,
		.bad_us = MINUTE,
		.deadline_us = deadline_us,
	};
	const struct json *answer;

	ask.path = fed_query(a, ask.path, "suggested_only", suggested_only ? S("true") : S("false"));
	TRY(query_get(q, a, &ask, &answer));
	if (!json_get_object(answer, S("room")) || !json_get_array(answer, S("children")))
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s tells of no space", STR_ARG(server_name));
	*out = answer;
	return NULL;
}
