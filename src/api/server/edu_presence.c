/* edu_presence.c - m.presence. Server-Server API, "Presence". */
#include "api/server/edus.h"

#include "matrix/id.h"
#include "presence/presence.h"

/* In one EDU; a server has the next one for more. */
enum { UPDATES_MAX = 1000 };

static err *take(const struct edu *edu, const struct json *update)
{
	const str status = json_get_str(update, S("status_msg"));
	struct presence_elsewhere e = {
		.user_id = json_get_str(update, S("user_id")),
		.currently_active = json_get_bool(update, S("currently_active"), false),
		.status_msg = status.n <= PRESENCE_STATUS_MAX ? status : STR_NONE,
	};

	/* What is ill-formed, or about another server's user, is left out: the others count. */
	if (!id_user_valid(e.user_id) || !id_is_of(e.user_id, edu->origin) ||
	    !presence_state_read(json_get_str(update, S("presence")), &e.state))
		return NULL;
	if (!json_get_int(update, S("last_active_ago"), &e.last_active_ago))
		e.last_active_ago = -1;
	return presence_told(edu->services->presence, edu->arena, &e);
}

err *edu_presence(const struct edu *edu)
{
	const struct json *push = json_get(edu->content, S("push"));

	if (!json_is(push, JSON_ARRAY))
		return err_new(edu->arena, ERR_BAD_JSON, "push is lacking");
	if (!presence_enabled(edu->services->presence))
		return NULL;
	for (size_t i = 0; i < push->array.n && i < UPDATES_MAX; i++)
		TRY(take(edu, push->array.items[i]));
	return NULL;
}
