/* version.c - which server this is, and where others reach it: Server-Server API, "Server implementation" and "Server
 * discovery". */
#include "api/services.h"
#include "base/arena.h"
#include "config/config.h"

static err *get_version(struct req *rq)
{
	struct jw *w = reply_json(rq, 200);

	jw_object(w, "server");
	jw_str(w, "name", S("Hearth"));
	jw_str(w, "version", S(HEARTH_VERSION));
	jw_end(w);
	return NULL;
}

/* "The server name to delegate server-server communications to, with optional port." */
static err *get_delegation(struct req *rq)
{
	const struct config *c = rq->services->config;
	const size_t colon = str_rfind(c->server_name, ':');
	const str port = str_from(c->server_name, colon);

	if (!c->federation.serve_well_known)
		return err_new(rq->arena, ERR_NOT_FOUND, "nothing is configured to be told here");
	/* A name with a port is no place that anybody would ask at; an IPv6 address has colons of its own. */
	jw_str(reply_json(rq, 200), "m.server",
	       port.n > 0 && str_find(port, ']') == port.n ? c->server_name
							   : arena_join2(rq->arena, c->server_name, S(":443")));
	return NULL;
}

const struct route server_version_routes[] = {
	{ "GET", "/_matrix/federation/v1/version", get_version, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ "GET", "/.well-known/matrix/server", get_delegation, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ 0 },
};
