/* alias.c - names of rooms on other servers, and who may let us in. */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "federation/query.h"

err *remote_alias(struct remote *r, struct arena *a, str alias, str *out_room_id, str **out_servers, size_t *out_n)
{
	str *servers, *all;
	size_t n;
	err *e;

	if (!r->opt.queries)
		return err_new(a, ERR_NOT_FOUND, "Room alias %.*s not found.", STR_ARG(alias));
	e = query_alias(r->opt.queries, a, alias, clock_mono_us() + INT64_C(1000) * REMOTE_MAKE_MS, out_room_id,
			&servers, &n);
	if (e)
		return remote_for_client(a, e);
	/* Who has the name is mostly in the room. */
	all = ARENA_ARRAY(a, str, n + 1);
	for (size_t i = 0; i < n; i++)
		all[i] = servers[i];
	all[n] = id_server(alias);
	*out_servers = all;
	*out_n = n + 1;
	return NULL;
}
