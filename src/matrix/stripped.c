#include "matrix/stripped.h"

const str stripped_types[] = {
	STR("m.room.create"),     STR("m.room.name"),
	STR("m.room.avatar"),     STR("m.room.topic"),
	STR("m.room.join_rules"), STR("m.room.canonical_alias"),
	STR("m.room.encryption"), { NULL, 0 },
};

/* "Stripped state events can only have the sender, type, state_key and content properties present." */
void stripped_write(struct jw *w, const struct event *ev)
{
	jw_object(w, NULL);
	jw_json(w, "content", ev->content);
	jw_str(w, "sender", ev->sender);
	jw_str(w, "state_key", ev->state_key);
	jw_str(w, "type", ev->type);
	jw_end(w);
}

/* "Servers cannot pass through what they receive over federation to clients as stripped state. Servers are expected to
 * prune the events into the stripped state schema below before passing the details onto clients." */
void stripped_write_pruned(struct jw *w, const char *key, const struct json *list)
{
	jw_array(w, key);
	JSON_ITEMS (list, i) {
		const struct json *from = list->array.items[i];
		const struct event ev = {
			.type = json_get_str(from, S("type")),
			.sender = json_get_str(from, S("sender")),
			.state_key = json_get_str(from, S("state_key")),
			.content = json_get_object(from, S("content")),
		};

		if (event_is_state(&ev) && !str_is_none(ev.type) && !str_is_none(ev.sender) && ev.content)
			stripped_write(w, &ev);
	}
	jw_end(w);
}

err *stripped_read(struct arena *a, const struct room_version *rv, str room_id, const struct json *list, bool strict,
		   const struct event *const **out, size_t *out_n)
{
	VEC(const struct event *) events = { 0 };
	bool has_create = false;

	if (list && list->kind != JSON_ARRAY)
		return err_new(a, ERR_INVALID_PARAM, "the room's state is no list of events");
	JSON_ITEMS (list, i) {
		struct event *ev;
		const err *e = event_parse_json(a, rv, list->array.items[i], &ev);

		/* "One or more entries in invite_room_state are not formatted according to the room's version." "One or
		 * more events does not reside in the same room as the invite. Note: Some room versions may require
		 * calculating the room ID for an event rather than relying on the presence of room_id." */
		if (!e && event_is_state(ev) && str_eq(ev->room_id, room_id)) {
			has_create = has_create || event_is(ev, S("m.room.create"), S(""));
			vec_push(a, &events, ev);
		} else if (strict) {
			return err_new(a, ERR_INVALID_PARAM,
				       "entry %zu of the room's state is no state event of the room", i);
		}
	}
	/* "The m.room.create event is missing from invite_room_state." */
	if (strict && !has_create)
		return err_new(a, ERR_INVALID_PARAM, "the room's state has no m.room.create");
	*out = events.p;
	*out_n = events.n;
	return NULL;
}
