/*
 * content.c - what a client's event must say beyond what the authorisation rules ask of it.
 *
 * Some rules are looser than their event's description, for the sake of what stands in old rooms. What is written new
 * keeps to the description, as with other servers.
 */
#include "room/internal_job.h"

/* A room that says it was replaced says by which; not by itself. */
static err *check_tombstone(struct arena *a, const struct proposal *p, str room_id)
{
	const str successor = json_get_str(p->content, S("replacement_room"));

	if (str_is_none(p->state_key))
		return err_new(a, ERR_BAD_JSON, "m.room.tombstone is a state event");
	if (str_is_none(successor))
		return err_new(a, ERR_BAD_JSON, "m.room.tombstone names the room's successor in replacement_room");
	return str_eq(successor, room_id)
		       ? err_new(a, ERR_INVALID_PARAM, "Tombstone cannot reference the room it was sent in")
		       : NULL;
}

/* From version 11 on, `redacts` stands in the content, where any client's door puts what it likes. A redaction is a
 * message: only that way is it asked who may redact what (send.c). */
static err *check_redaction(struct arena *a, const struct proposal *p)
{
	return str_is_none(p->state_key) ? NULL : err_new(a, ERR_BAD_JSON, "m.room.redaction is not a state event");
}

static err *check_level(struct arena *a, str key, const struct json *v)
{
	return v->kind == JSON_INT ? NULL : err_new(a, ERR_BAD_JSON, "%.*s is not an integer", STR_ARG(key));
}

static err *check_level_list(struct arena *a, str key, const struct json *v)
{
	if (v->kind != JSON_OBJECT)
		return err_new(a, ERR_BAD_JSON, "%.*s is not an object", STR_ARG(key));
	JSON_EACH (v, m)
		TRY(check_level(a, m->key, m->value));
	return NULL;
}

/* Up to room version 9 the authorisation rules let strings stand for integers, up to version 5 floats. Nobody is to
 * write them any more. */
static err *check_power(struct arena *a, const struct proposal *p)
{
	static const str levels[] = { STR("ban"),    STR("events_default"), STR("invite"),       STR("kick"),
				      STR("redact"), STR("state_default"),  STR("users_default") };
	static const str lists[] = { STR("events"), STR("notifications"), STR("users") };

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		const struct json *v = json_get(p->content, levels[i]);

		if (v)
			TRY(check_level(a, levels[i], v));
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct json *v = json_get(p->content, lists[i]);

		if (v)
			TRY(check_level_list(a, lists[i], v));
	}
	return NULL;
}

err *content_check(struct arena *a, const struct proposal *p, str room_id)
{
	if (str_eq(p->type, S("m.room.tombstone")))
		return check_tombstone(a, p, room_id);
	if (str_eq(p->type, S("m.room.redaction")))
		return check_redaction(a, p);
	if (str_eq(p->type, S("m.room.power_levels")) && !str_is_none(p->state_key))
		return check_power(a, p);
	return NULL;
}
