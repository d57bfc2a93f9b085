/*
 * outgoing.c - what happens here and goes to other servers: each kind in the form that the specification gives it.
 *
 * The outbox knows no rooms, and rooms know no outbox: here is who hears of what. Events say themselves to whom they
 * go; news of users goes to the servers in the room (typing, receipts), or in any of their rooms (presence).
 */
#include "base/buf.h"
#include "base/clock.h"
#include "federation/outbox.h"
#include "json/writer.h"
#include "main/server.h"
#include "matrix/id.h"
#include "presence/presence.h"
#include "room/receipt.h"
#include "room/typing.h"
#include "store/outbox.h"

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
 * Presence. What it costs is bounded: so many servers are told of a user, and so many times a second anybody is told
 * of anybody; what is beyond that is left out, and the user's next change tells of it.
 */
enum { PRESENCE_SERVERS = 2000, PRESENCE_A_SECOND = 1000, PRESENCE_AT_ONCE = 20000 };

static bool may_tell(struct server *s, size_t n)
{
	const int64_t now = clock_mono_ms(), most = INT64_C(1000) * PRESENCE_AT_ONCE;

	s->presence_allowance = MIN(s->presence_allowance + (now - s->presence_allowed_at) * PRESENCE_A_SECOND, most);
	s->presence_allowed_at = now;
	if (s->presence_allowance < (int64_t)n * 1000)
		return false;
	s->presence_allowance -= (int64_t)n * 1000;
	return true;
}

static err *tell_presence(struct server *s, struct arena *a, const struct presence_view *v, const int64_t *rooms,
			  size_t n_rooms)
{
	AUTO_BUF buf = BUF_INIT(16384);
	struct jw w = jw_to(&buf);
	AUTO_TX tx = NULL;
	int64_t *servers;
	str user_id;
	size_t n;

	TRY(store_read(s->store, a, &tx));
	TRY(store_servers_of_rooms(tx, rooms, n_rooms, PRESENCE_SERVERS, &servers, &n));
	if (n == 0 || !may_tell(s, n))
		return NULL;
	TRY(store_intern_text(s->store, a, v->user, &user_id));
	jw_object(&w, NULL);
	jw_array(&w, "push");
	jw_object(&w, NULL);
	jw_str(&w, "user_id", user_id);
	jw_str(&w, "presence", presence_state_text(v->state));
	jw_int(&w, "last_active_ago", MAX(v->last_active_ago, 0));
	if (v->state == PRESENCE_ONLINE)
		jw_bool(&w, "currently_active", v->currently_active);
	if (!str_is_empty(v->status_msg))
		jw_str(&w, "status_msg", v->status_msg);
	while (w.depth)
		jw_end(&w);
	outbox_edu(s->services.outbox, servers, n, S("m.presence"), user_id, buf_str(&buf));
	return NULL;
}

static void on_presence(void *ctx, struct arena *a, const struct presence_view *who, const int64_t *rooms, size_t n)
{
	struct server *s = ctx;
	const err *e = tell_presence(s, a, who, rooms, n);

	if (e)
		log_warn(s->log, "other servers were not told of presence", F("error", e->msg));
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
	s->presence_allowed_at = clock_mono_ms();
	s->presence_allowance = INT64_C(1000) * PRESENCE_AT_ONCE;
	typing_on_change(s->services.typing, on_typing, s);
	presence_on_change(s->services.presence, on_presence, s);
}
