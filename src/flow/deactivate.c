#include "flow/deactivate.h"

#include "room/room.h"

err *deactivate_rooms(struct rooms *rs, const struct log *log, struct arena *a, int64_t user, str user_id)
{
	str *ids;
	size_t n;

	TRY(rooms_of_user(rs, a, user,
			  MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE) | MEMBER_MASK(MEMBER_KNOCK), &ids, &n));
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA room_arena = arena_new();
		const struct member_cmd cmd = { .by = { .user = user, .user_id = user_id },
						.room_id = ids[i],
						.hasty = true };
		const err *e = room_leave(rs, room_arena, &cmd);

		if (e)
			log_warn(log, "a deactivated user could not leave a room", F("user_id", user_id),
				 F("room_id", ids[i]), F("error", e->msg));
	}
	return NULL;
}
