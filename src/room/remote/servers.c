/* servers.c - which servers are asked to let us in, and what is told of those that did not. */
#include "room/remote/internal_remote.h"

#include "room/outsider.h"

static void add(struct remote *r, struct server_names *list, str server)
{
	if (list->n == REMOTE_SERVERS_MOST || str_is_empty(server) || !id_server_name_valid(server) ||
	    fed_is_own(r->opt.fed, server) || !fed_allowed(r->opt.fed, server))
		return;
	for (size_t i = 0; i < list->n; i++)
		if (str_eq_nocase(list->p[i], server))
			return;
	list->p[list->n++] = server;
}

/* The servers that were in the room when this one was. */
static err *add_known(struct remote *r, struct arena *a, str room_id, struct server_names *list)
{
	struct store *st = r->opt.store;
	int64_t room, *servers;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_intern_find(st, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(store_read(st, a, &tx));
	TRY(store_room_servers_top(tx, room, REMOTE_SERVERS_MOST, &servers, &n));
	for (size_t i = 0; i < n; i++) {
		str name;

		TRY(store_intern_text(st, a, servers[i], &name));
		add(r, list, name);
	}
	return NULL;
}

err *remote_servers(struct remote *r, struct arena *a, const struct remote_cmd *cmd, struct server_names *out)
{
	struct outsider *o;

	out->n = 0;
	for (size_t i = 0; i < cmd->n_via; i++)
		add(r, out, cmd->via[i]);
	TRY(outsider_find(r->rs, a, cmd->room_id, cmd->by.user, &o));
	if (o) {
		add(r, out, id_server(o->event->sender));
		add(r, out, o->server);
	}
	TRY(add_known(r, a, cmd->room_id, out));
	add(r, out, id_server(cmd->room_id));
	return NULL;
}

static int weight(const err *e)
{
	switch (e->code) {
	case ERR_FORBIDDEN:
		return e->detail == FED_NOT_ALLOWED ? 1 : 9;
	case ERR_INVITE_BLOCKED:
	case ERR_BAD_STATE:
	case ERR_RESOURCE_LIMIT:
		return 9;
	case ERR_INCOMPATIBLE_ROOM_VERSION:
	case ERR_UNSUPPORTED_ROOM_VERSION:
		return 8;
	case ERR_UNABLE_TO_AUTHORISE_JOIN:
	case ERR_UNABLE_TO_GRANT_JOIN:
		return 7;
	case ERR_CONNECTION_FAILED:
	case ERR_CONNECTION_TIMEOUT:
		return 2;
	case ERR_UNRECOGNIZED:
		return 3;
	case ERR_NOT_FOUND:
		return 4;
	case ERR_STORE:
	case ERR_BUSY:
	case ERR_DISK_FULL:
		return 10; /* our own */
	default:
		return 5;
	}
}

bool remote_is_final(const struct err *e)
{
	return e->code == ERR_STORE || e->code == ERR_DISK_FULL || e->code == ERR_BUSY || e->code == ERR_INTERNAL;
}

err *remote_go_on(struct remote *r, struct arena *a)
{
	return atomic_load(&r->stopping) ? err_new(a, ERR_BUSY, "the server stops") : NULL;
}

err *remote_telling(err *before, err *now)
{
	if (!before || !now)
		return before ? before : now;
	return weight(now) > weight(before) ? now : before;
}

err *remote_for_client(struct arena *a, err *e)
{
	switch (e->code) {
	case ERR_MISSING_PARAM:
	case ERR_INVALID_PARAM:
	case ERR_BAD_JSON:
	case ERR_NOT_JSON:
	case ERR_UNRECOGNIZED:
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s", STR_ARG(e->msg));
	case ERR_TOO_LARGE: /* what it said, not what was asked of us */
		return err_new(a, ERR_REMOTE_TOO_LARGE, "%.*s", STR_ARG(e->msg));
	default:
		return e;
	}
}
