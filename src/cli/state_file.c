/* state_file.c - events and states out of files. */
#include "cli/state_file.h"

#include "cli/event_file.h"
#include "matrix/id.h"

/* Far above any room that is known; a tree takes some hundred bytes a value. */
static const struct json_limits file_limits = { .max_bytes = 1u << 30, .max_depth = 1000, .max_values = 1u << 27 };

/* The arrays of events of a file, in the order they are read. */
static const str event_lists[] = { STR("events"), STR("pdus"), STR("auth_chain") };

/*
 * The room version
 */
static str version_of_create(const struct json *file)
{
	str version = STR_NONE;

	for (size_t l = 0; l < ARRAY_LEN(event_lists); l++) {
		const struct json *list = json_get_array(file, event_lists[l]);

		for (size_t i = 0; list && i < list->array.n && str_is_none(version); i++)
			version = event_file_version(list->array.items[i]);
	}
	return version;
}

static err *find_version(struct arena *a, str wanted, struct json *const *files, size_t n, struct state_file *f)
{
	for (size_t i = 0; i < n && str_is_none(wanted); i++)
		wanted = json_get_str(files[i], S("room_version"));
	for (size_t i = 0; i < n && str_is_none(wanted); i++)
		wanted = version_of_create(files[i]);
	if (str_is_none(wanted))
		return err_new(a, ERR_BAD_JSON, "there is no room_version, and no create event to take it from");
	f->rv = room_version_find(wanted);
	if (!f->rv)
		return err_new(a, ERR_UNSUPPORTED_ROOM_VERSION, "no room version %.*s is known", STR_ARG(wanted));
	return NULL;
}

/*
 * Events
 */

static err *add_event(struct arena *a, struct state_file *f, const struct json *json, struct event **out)
{
	struct event *known;

	TRY(event_file_read(a, f->rv, json, out));
	if (!json_get(json, S("hashes")) && (!event_is_state(*out) || !json_get_array(json, S("auth_events"))))
		return err_new(a, ERR_BAD_JSON, "%.*s lacks state_key or auth_events", STR_ARG((*out)->event_id));
	known = map_get(&f->by_id, (*out)->event_id);
	if (known) {
		*out = known;
		return NULL;
	}
	if ((*out)->n_auth_events > EVENT_MAX_AUTH)
		return err_new(a, ERR_BAD_JSON, "%.*s has too many auth_events", STR_ARG((*out)->event_id));
	vec_push(a, &f->events, *out);
	(*out)->nid = (int64_t)f->events.n;
	map_put(&f->by_id, (*out)->event_id, *out);
	return NULL;
}

/* Sketches that do not say their room are all of the same, and so are the room of the create event. */
static void name_room(struct arena *a, struct state_file *f)
{
	str room = STR_NONE;

	for (size_t i = 0; i < f->events.n; i++) {
		struct event *ev = f->events.p[i];
		const bool create = str_eq(ev->type, S("m.room.create"));

		if (create && str_is_none(ev->room_id))
			ev->room_id = arena_join2(a, S("!room:"), id_server(ev->sender));
		if (str_is_none(room) || create)
			room = ev->room_id;
	}
	for (size_t i = 0; i < f->events.n; i++)
		if (str_is_none(f->events.p[i]->room_id))
			f->events.p[i]->room_id = room;
}

static err *check_auth_events(struct arena *a, const struct state_file *f)
{
	for (size_t i = 0; i < f->events.n; i++) {
		const struct event *ev = f->events.p[i];

		for (size_t k = 0; k < ev->n_auth_events; k++)
			if (!map_get(&f->by_id, ev->auth_events[k]))
				return err_new(a, ERR_BAD_JSON,
					       "%.*s has %.*s among its auth_events, which no file has",
					       STR_ARG(ev->event_id), STR_ARG(ev->auth_events[k]));
	}
	return NULL;
}

/*
 * States
 */
static err *add_to_state(struct arena *a, const struct event *ev, struct map *keys, struct state_ids *s)
{
	str key;

	if (!event_is_state(ev))
		return err_new(a, ERR_BAD_JSON, "%.*s is in a state, and no state event", STR_ARG(ev->event_id));
	key = arena_printf(a, "%zu %.*s%.*s", ev->type.n, STR_ARG(ev->type), STR_ARG(ev->state_key));
	if (map_put(keys, key, (void *)ev))
		return err_new(a, ERR_BAD_JSON, "a state has two events under %.*s \"%.*s\"", STR_ARG(ev->type),
			       STR_ARG(ev->state_key));
	s->nids[s->n++] = ev->nid;
	return NULL;
}

static err *add_state(struct arena *a, struct state_file *f, const struct json *ids)
{
	struct state_ids s = { 0 };
	struct map keys;

	if (!json_is(ids, JSON_ARRAY))
		return err_new(a, ERR_BAD_JSON, "states holds something other than arrays of event ids");
	s.nids = ARENA_ARRAY(a, int64_t, ids->array.n);
	map_init(&keys, a);
	JSON_ITEMS (ids, i) {
		const str id = json_str(ids->array.items[i]);
		const struct event *ev = str_is_none(id) ? NULL : map_get(&f->by_id, id);

		if (!ev)
			return err_new(a, ERR_BAD_JSON, "a state has %.*s, which no file has", STR_ARG(id));
		TRY(add_to_state(a, ev, &keys, &s));
	}
	vec_push(a, &f->states, s);
	return NULL;
}

static err *read_file(struct arena *a, struct state_file *f, const struct json *file)
{
	const struct json *pdus = json_get_array(file, S("pdus"));
	struct state_ids of_pdus = { .nids = ARENA_ARRAY(a, int64_t, pdus ? pdus->array.n : 0) };
	struct map keys;

	map_init(&keys, a);
	for (size_t l = 0; l < ARRAY_LEN(event_lists); l++) {
		const struct json *list = json_get_array(file, event_lists[l]);

		JSON_ITEMS (list, i) {
			struct event *ev;

			TRY(add_event(a, f, list->array.items[i], &ev));
			if (list == pdus)
				TRY(add_to_state(a, ev, &keys, &of_pdus));
		}
	}
	if (pdus)
		vec_push(a, &f->states, of_pdus);
	return NULL;
}

err *state_file_read(struct arena *a, str room_version, const str *texts, size_t n, struct state_file *out)
{
	struct json **files = ARENA_ARRAY(a, struct json *, n);

	*out = (struct state_file){ 0 };
	map_init(&out->by_id, a);
	for (size_t i = 0; i < n; i++) {
		TRY(json_parse(a, texts[i], &file_limits, &files[i]));
		if (!json_is(files[i], JSON_OBJECT))
			return err_new(a, ERR_BAD_JSON, "a file holds something other than an object");
	}
	TRY(find_version(a, room_version, files, n, out));
	for (size_t i = 0; i < n; i++)
		TRY(read_file(a, out, files[i]));
	for (size_t i = 0; i < n; i++) {
		const struct json *states = json_get_array(files[i], S("states"));

		JSON_ITEMS (states, k)
			TRY(add_state(a, out, states->array.items[k]));
	}
	name_room(a, out);
	return check_auth_events(a, out);
}
