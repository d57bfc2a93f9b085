#include "api/internal_api.h"

#include "room/room.h"

err *api_own_user(const struct req *rq, const char *param)
{
	if (!str_eq(req_param(rq, param), rq->user_id))
		return err_new(rq->arena, ERR_FORBIDDEN, "that is another user's");
	return NULL;
}

err *api_room(const struct req *rq, const char *param, int64_t *out_room)
{
	const struct room_version *rv;
	int64_t room = 0;

	TRY(rooms_find(rq->services->rooms, rq->arena, req_param(rq, param), &room, &rv));
	if (!room)
		return err_new(rq->arena, ERR_NOT_FOUND, "no such room");
	*out_room = room;
	return NULL;
}
