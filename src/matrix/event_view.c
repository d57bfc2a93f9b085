/*
 * The parsed view of an event: struct event as slices of the tree, and what events of all versions have in common when
 * they are read.
 */
#include "matrix/event.h"

#include <assert.h>

#include "base/b64.h"
#include "matrix/internal_event.h"

enum json_canon event_canon(const struct room_version *rv)
{
	return rv->strict_json ? JSON_CANON_STRICT : JSON_CANON_DOUBLES;
}

str event_id_of(struct arena *a, const struct room_version *rv, str carried, str signed_bytes)
{
	uint8_t hash[32];

	if (rv->event_format == EVENT_FORMAT_NAMED)
		return carried;
	/* "The event ID is the reference hash of the event encoded using [v3: Unpadded Base64; v4: a variation of
	 * Unpadded Base64 which replaces the 62nd and 63rd characters with - and _], prefixed with $." */
	sha256(signed_bytes, hash);
	const str bytes = { (const char *)hash, sizeof(hash) };

	return arena_join2(a, S("$"),
			   rv->event_format == EVENT_FORMAT_HASH ? b64_encode(a, bytes) : b64url_encode(a, bytes));
}

str event_membership(const struct event *member)
{
	return member ? json_get_str(member->content, S("membership")) : STR_NONE;
}

str event_ref_id(const struct room_version *rv, const struct json *ref)
{
	/* pdu_v1: an array of two, the event's id and its hashes. These are looked at by nobody: what the id names is
	 * checked by its own hashes and signatures. */
	if (rv->event_format == EVENT_FORMAT_NAMED) {
		if (!json_is(ref, JSON_ARRAY) || ref->array.n != 2 || !json_is(ref->array.items[1], JSON_OBJECT))
			return STR_NONE;
		ref = ref->array.items[0];
	}
	return json_str(ref);
}

static bool take_refs(struct arena *a, const struct room_version *rv, const struct json *array, const str **out,
		      size_t *out_n)
{
	if (!json_is(array, JSON_ARRAY))
		return false;
	str *ids = ARENA_ARRAY(a, str, array->array.n);

	JSON_ITEMS (array, i) {
		ids[i] = event_ref_id(rv, array->array.items[i]);
		if (str_is_none(ids[i]))
			return false;
	}
	*out = ids;
	*out_n = array->array.n;
	return true;
}

bool event_integer(const struct json *value, int64_t *out)
{
	if (json_is(value, JSON_INT)) {
		*out = value->i;
		return true;
	}
	/* Text of digits alone that 64 bits do not hold; what has a fraction or an exponent is no integer. */
	if (!json_is(value, JSON_NUMBER))
		return false;
	for (size_t i = 0; i < value->raw.n; i++)
		if (memchr(".eE", value->raw.p[i], 3))
			return false;
	*out = value->raw.p[0] == '-' ? INT64_MIN : INT64_MAX;
	return true;
}

/* Walks the members once: a dozen look-ups by name would cost more than the rest of reading an event. */
static bool take_member(struct arena *a, const struct room_version *rv, struct event *ev, const struct json_member *m)
{
	const struct json *v = m->value;

	switch (m->key.n) {
	case 4:
		if (str_eq(m->key, S("type")))
			ev->type = json_str(v);
		return true;
	case 5:
		return !str_eq(m->key, S("depth")) || event_integer(v, &ev->depth);
	case 6:
		if (str_eq(m->key, S("sender")))
			ev->sender = json_str(v);
		return true;
	case 7:
		if (str_eq(m->key, S("content")))
			ev->content = json_is(v, JSON_OBJECT) ? v : NULL;
		else if (str_eq(m->key, S("room_id")))
			ev->room_id = json_str(v);
		else if (str_eq(m->key, S("redacts")))
			ev->redacts = json_str(v);
		return true;
	case 9:
		if (!str_eq(m->key, S("state_key")))
			return true;
		ev->state_key = json_str(v);
		return !str_is_none(ev->state_key);
	case 11:
		if (str_eq(m->key, S("prev_events")))
			return take_refs(a, rv, v, &ev->prev_events, &ev->n_prev_events);
		if (str_eq(m->key, S("auth_events")))
			return take_refs(a, rv, v, &ev->auth_events, &ev->n_auth_events);
		return true;
	case 16:
		return !str_eq(m->key, S("origin_server_ts")) || event_integer(v, &ev->origin_server_ts);
	default:
		return true;
	}
}

/* "Any user IDs contained in the additional_creators array": who sends anything is looked for among them, and there may
 * be thousands. */
static const struct json *creators_by_name(struct arena *a, const struct event *create)
{
	enum { FEW = 8 };
	const struct json *list = json_get_array(create->content, S("additional_creators"));
	struct json *names;

	if (!list || list->array.n <= FEW)
		return NULL;
	names = json_new_object(a);
	JSON_ITEMS (list, i) {
		if (json_is(list->array.items[i], JSON_STR))
			json_set(a, names, json_str(list->array.items[i]), list->array.items[i]);
	}
	return names;
}

err *event_view(struct arena *a, const struct room_version *rv, const struct json *json, str event_id, str bytes,
		struct event **out)
{
	struct event *ev = ARENA_NEW(a, struct event);

	ev->event_id = event_id;
	ev->json = json;
	ev->bytes = bytes;
	JSON_EACH (json, m) {
		if (!take_member(a, rv, ev, m))
			return err_new(a, ERR_BAD_JSON, "Event has a %.*s of the wrong type", STR_ARG(m->key));
	}
	if (str_is_none(ev->type) || str_is_none(ev->sender) || !ev->content || !ev->prev_events || !ev->auth_events)
		return err_new(a, ERR_BAD_JSON, "Event lacks a required member");
	/* v12: "the room ID is the event ID of the event with sigil `!` instead of `$`" */
	if (rv->room_id_is_create_hash && str_eq(ev->type, S("m.room.create")))
		ev->room_id = arena_join2(a, S("!"), str_from(event_id, 1));
	else if (str_is_none(ev->room_id))
		return err_new(a, ERR_BAD_JSON, "Event has no room_id");
	if (rv->creators_above_all && str_eq(ev->type, S("m.room.create")))
		ev->creators = creators_by_name(a, ev);
	/* v11: "The redacts property of m.room.redaction events is moved from a top-level event property to a property
	 * under the event content." */
	if (rv->redacts_in_content)
		ev->redacts = json_get_str(ev->content, S("redacts"));
	if (!str_eq(ev->type, S("m.room.redaction")))
		ev->redacts = STR_NONE;
	*out = ev;
	return NULL;
}

err *event_load(struct arena *a, const struct room_version *rv, str event_id, str bytes, struct event **out)
{
	struct json *json;

	assert(event_id.n > 1);
	TRY(json_parse(a, bytes, &json_limits_event, &json));
	if (rv->event_format == EVENT_FORMAT_NAMED && !str_eq(json_get_str(json, S("event_id")), event_id))
		return err_new(a, ERR_BAD_JSON, "Event carries another event_id");
	return event_view(a, rv, json, event_id, bytes, out);
}
