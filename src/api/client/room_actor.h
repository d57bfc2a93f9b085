/* room_actor.h - who acts, for the files of this folder that write to rooms. */
#pragma once

#include "http/http.h"
#include "room/room.h"

static inline struct actor req_actor(const struct req *rq)
{
	return (struct actor){ .user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id };
}
