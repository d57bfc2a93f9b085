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
