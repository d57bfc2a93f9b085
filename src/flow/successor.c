#include "flow/successor.h"

#include "base/log.h"
#include "room/room.h"
#include "user/account_data.h"

static err *find(struct rooms *rs, struct arena *a, str old_room, str new_room, struct room_replaced *out)
{
	*out = (struct room_replaced){ .old_id = old_room, .new_id = new_room };
	TRY(rooms_find(rs, a, old_room, &out->old_room, NULL));
	return rooms_find(rs, a, new_room, &out->new_room, NULL);
}

/* The room is replaced, or entered, all the same. */
static void complain(struct rooms *rs, const struct room_replaced *r, int64_t user, const err *e)
{
	if (e)
		log_warn(rooms_options(rs)->log, "not everything followed into a room's successor", F("user", user),
			 F("old_room", r->old_id), F("new_room", r->new_id), F("error", e->msg));
}

void successor_carry_over(struct users *us, struct rooms *rs, struct arena *a, str old_room, str new_room)
{
	struct room_replaced r;
	const int64_t *local = NULL;
	size_t n = 0;
	err *e = find(rs, a, old_room, new_room, &r);

	if (!e)
		e = room_local_users(rs, a, old_room, &local, &n);
	complain(rs, &r, 0, e);
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA user_arena = arena_new();

		complain(rs, &r, local[i], user_room_replaced(us, user_arena, local[i], &r));
	}
}

void successor_entered(struct users *us, struct rooms *rs, struct arena *a, int64_t user, str room_id)
{
	struct room_replaced r = { .new_id = room_id };
	str old_room = STR_NONE;
	err *e = room_predecessor(rs, a, room_id, &old_room);

	if (!e && str_is_none(old_room))
		return;
	if (!e)
		e = find(rs, a, old_room, room_id, &r);
	if (!e)
		complain(rs, &r, 0, room_names_follow(rs, a, old_room, room_id));
	if (!e)
		e = user_room_replaced(us, a, user, &r);
	complain(rs, &r, user, e);
}
