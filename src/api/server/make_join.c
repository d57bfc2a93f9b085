/* make_join.c - GET make_join: Server-Server API, "Joining Rooms". */
#include "api/server/room_door.h"

enum { VERSIONS_MOST = 64 };

static err *get_make_join(struct req *rq)
{
	str versions[VERSIONS_MOST];
	size_t n = req_query_all(rq, "ver", versions, VERSIONS_MOST);

	/* "The room versions the sending server has support for. Defaults to [1]." */
	if (n == 0)
		versions[n++] = S("1");
	return door_make(rq, MEMBER_JOIN, versions, n);
}

const struct route server_make_join_routes[] = {
	{ "GET", "/_matrix/federation/v1/make_join/{roomId}/{userId}", get_make_join, AUTH_SERVER, RATE_NONE,
	  LANE_FEDERATION },
	{ 0 },
};
