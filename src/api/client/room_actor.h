/* room_actor.h - who acts, for the files of this folder that write to rooms. */
#pragma once

#include "http/http.h"
#include "room/room.h"

/* For out_elsewhere of the doors in room.h: on its first run a request goes no further than this server, and where that
 * is not enough it goes on (req_move) in the lane where others are waited for. */
static inline bool *req_elsewhere(const struct req *rq, bool *flag)
{
	return req_lane(rq) == LANE_REMOTE ? NULL : flag;
}

static inline struct actor req_actor(const struct req *rq)
{
	return (struct actor){ .user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id };
}
