/*
 * outgoing.c - what happens here and goes to other servers: each kind in the form that the specification gives it.
 *
 * The outbox knows no rooms, and rooms know no outbox: here is who hears of what. Events say themselves to whom they
 * go; news of users goes to the servers in the room (typing, receipts), or in any of their rooms (outgoing_presence.c).
 */
#include "base/buf.h"
#include "federation/outbox.h"
#include "json/writer.h"
#include "main/server.h"
#include "room/receipt.h"
#include "room/typing.h"

err *server_open_outbox(struct server *s)
{
	const struct outbox_options opt = {
		.fed = s->services.fed,
		.store = s->store,
		.log = s->log,
		.server_name = s->config->server_name,
	};

	return outbox_new(s->a, &opt, &s->services.outbox);
}

static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	if (ev->n_servers)
		outbox_event(ctx, ev->room, ev->row->stream, ev->row->nid, ev->servers, ev->n_servers);
}

/* A key of what is about a room and a user. */
static str key_of(struct arena *a, str room_id, str user_id, str more)
{
	return arena_printf(a, "%.*s %.*s %.*s", STR_ARG(room_id), STR_ARG(user_id), STR_ARG(more));
}

/*
 * Typing
 */
static err *tell_typing(struct server *s, struct arena *a, int64_t room, int64_t user, bool typing)
{
	AUTO_BUF buf = BUF_INIT(4096);
	struct jw w = jw_to(&buf);
	const int64_t *servers;
	str room_id, user_id;
	size_t n;

	TRY(store_intern_text(s->store, a, room, &room_id));
	TRY(room_other_servers(s->services.rooms, a, room_id, &servers, &n));
	if (n == 0)
		return NULL;
	TRY(store_intern_text(s->store, a, user, &user_id));
	jw_object(&w, NULL);
	jw_str(&w, "room_id", room_id);
	jw_str(&w, "user_id", user_id);
	jw_bool(&w, "typing", typing);
	jw_end(&w);
	outbox_edu(s->services.outbox, servers, n, S("m.typing"), key_of(a, room_id, user_id, S("")), buf_str(&buf));
	return NULL;
}

static void on_typing(void *ctx, int64_t room, int64_t user, bool typing)
{
	struct server *s = ctx;
	AUTO_ARENA a = arena_new();
	const err *e = tell_typing(s, a, room, user, typing);

	if (e)
		log_warn(s->log, "other servers were not told of who types", F("error", e->msg));
}

/*
 * Receipts
 */
static err *tell_receipt(struct server *s, struct arena *a, const struct receipt_cmd *cmd, int64_t ts)
{
	AUTO_BUF buf = BUF_INIT(4096);
	struct jw w = jw_to(&buf);
	const int64_t *servers;
	size_t n;

	TRY(room_other_servers(s->services.rooms, a, cmd->room_id, &servers, &n));
	if (n == 0)
		return NULL;
	jw_object(&w, NULL);
	jw_key(&w, cmd->room_id);
	jw_object(&w, NULL);
	jw_object(&w, "m.read");
	jw_key(&w, cmd->by.user_id);
	jw_object(&w, NULL);
	jw_array(&w, "event_ids");
	jw_str(&w, NULL, cmd->event_id);
	jw_end(&w);
	jw_object(&w, "data");
	jw_int(&w, "ts", ts);
	if (!str_is_none(cmd->thread_id))
		jw_str(&w, "thread_id", cmd->thread_id);
	while (w.depth)
		jw_end(&w);
	outbox_edu(s->services.outbox, servers, n, S("m.receipt"),
		   key_of(a, cmd->room_id, cmd->by.user_id, str_is_none(cmd->thread_id) ? S("") : cmd->thread_id),
		   buf_str(&buf));
	return NULL;
}

static void on_receipt(void *ctx, const struct receipt_cmd *cmd, int64_t ts)
{
	struct server *s = ctx;
	AUTO_ARENA a = arena_new();
	const err *e = tell_receipt(s, a, cmd, ts);

	if (e)
		log_warn(s->log, "other servers were not told of a receipt", F("error", e->msg));
}

/*
 * In the order of the server's life
 */
void server_tell_of_events(struct server *s)
{
	rooms_on_stored(s->services.rooms, on_stored, s->services.outbox);
	rooms_on_receipt(s->services.rooms, on_receipt, s);
}

void server_tell_of_users(struct server *s)
{
	typing_on_change(s->services.typing, on_typing, s);
	server_tell_of_presence(s);
}
