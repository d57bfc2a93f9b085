/* edu_typing.c - m.typing. Server-Server API, "Typing Notifications". */
#include "api/server/edus.h"
#include "room/typing.h"

err *edu_typing(const struct edu *edu)
{
	const str room_id = json_get_str(edu->content, S("room_id")),
		  user_id = json_get_str(edu->content, S("user_id"));

	if (str_is_none(room_id) || str_is_none(user_id))
		return err_new(edu->arena, ERR_BAD_JSON, "no room_id or user_id");
	/* "Typing notifications for remote users [...] if the user is not in the room, this EDU is to be ignored." */
	return typing_told(edu->services->typing, edu->services->rooms, edu->arena, edu->origin, room_id, user_id,
			   json_get_bool(edu->content, S("typing"), false));
}
