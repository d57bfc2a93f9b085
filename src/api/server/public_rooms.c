/* public_rooms.c - Server-Server API, "Published Room Directory". */
#include "api/public_rooms.h"

#include "api/services.h"
#include "config/config.h"

static err *check_list(struct req *rq)
{
	if (rq->services->config->rooms.public_to_servers)
		return NULL;
	return err_new(rq->arena, ERR_FORBIDDEN, "this server does not show its list of rooms to others");
}

static err *get_public_rooms(struct req *rq)
{
	TRY(check_list(rq));
	return public_rooms_get(rq);
}

static err *post_public_rooms(struct req *rq)
{
	TRY(check_list(rq));
	return public_rooms_post(rq);
}

const struct route server_public_rooms_routes[] = {
	{ "GET", "/_matrix/federation/v1/publicRooms", get_public_rooms, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "POST", "/_matrix/federation/v1/publicRooms", post_public_rooms, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ 0 },
};
