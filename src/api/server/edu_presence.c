/* edu_presence.c - m.presence. Server-Server API, "Presence". */
#include "api/server/edus.h"

#include "matrix/id.h"
#include "presence/presence.h"

/* In one EDU; a server has the next one for more. */
enum { UPDATES_MAX = 1000 };

/* What is ill-formed, or about another server's user, is left out: the others count. */
static bool read_update(const struct edu *edu, const struct json *update, struct presence_elsewhere *out)
{
	const str status = json_get_str(update, S("status_msg"));

	*out = (struct presence_elsewhere){
		.user_id = json_get_str(update, S("user_id")),
		.currently_active = json_get_bool(update, S("currently_active"), false),
		.status_msg = status.n <= PRESENCE_STATUS_MAX ? status : STR_NONE,
	};
	if (!id_user_valid(out->user_id) || !id_is_of(out->user_id, edu->origin) ||
	    !presence_state_read(json_get_str(update, S("presence")), &out->state))
		return false;
	if (!json_get_int(update, S("last_active_ago"), &out->last_active_ago))
		out->last_active_ago = -1;
	return true;
}

err *edu_presence(const struct edu *edu)
{
	const struct json *push = json_get(edu->content, S("push"));
	struct presence_elsewhere *list;
	size_t n = 0;

	if (!json_is(push, JSON_ARRAY))
		return err_new(edu->arena, ERR_BAD_JSON, "push is lacking");
	if (!presence_enabled(edu->services->presence))
		return NULL;
	list = ARENA_ARRAY(edu->arena, struct presence_elsewhere, MIN(push->array.n, (size_t)UPDATES_MAX));
	for (size_t i = 0; i < push->array.n && i < UPDATES_MAX; i++)
		n += read_update(edu, push->array.items[i], &list[n]);
	return presence_told(edu->services->presence, edu->arena, list, n);
}
