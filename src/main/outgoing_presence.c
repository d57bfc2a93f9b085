/*
 * outgoing_presence.c - other servers hear who is there.
 *
 * "Servers should only send presence updates for users that the receiving server would be interested in. Such as the
 * receiving server sharing a room with a given user." So of a change hear the servers in any of the user's rooms. Who
 * enters a room hears of no change, and nobody there of one of theirs: a server that comes into a room is told of our
 * users in it, and the servers in a room of a user of ours who comes into it.
 *
 * What it costs is bounded: so many servers are told of a user, and so many times a second anybody is told of anybody;
 * what is beyond that is left out, and the user's next change tells of it.
 */
#include "base/buf.h"
#include "base/chore.h"
#include "base/clock.h"
#include "base/thread.h"
#include "federation/outbox.h"
#include "json/writer.h"
#include "main/server.h"
#include "matrix/id.h"
#include "presence/presence.h"
#include "room/room.h"
#include "store/outbox.h"
#include "store/rooms.h"

enum { SERVERS_MOST = 2000, A_SECOND = 1000, AT_ONCE = 20000, MEETINGS_MOST = 4096, MET_MOST = 500 };

struct meeting { /* somebody came into a room */
	int64_t room, user, stream;
};
struct outgoing_presence {
	struct server *s;
	struct lock lock;
	int64_t allowance, allowed_at;
	struct meeting meetings[MEETINGS_MOST];
	size_t n;
	struct chore *chore; /* NULL: it has ended */
};

static bool may_tell(struct outgoing_presence *o, size_t n)
{
	const int64_t now = clock_mono_ms(), most = INT64_C(1000) * AT_ONCE;

	LOCKED(&o->lock);
	o->allowance = MIN(o->allowance + (now - o->allowed_at) * A_SECOND, most);
	o->allowed_at = now;
	if (o->allowance < (int64_t)n * 1000)
		return false;
	o->allowance -= (int64_t)n * 1000;
	return true;
}

static void tell(struct outgoing_presence *o, const struct presence_view *v, str user_id, const int64_t *servers,
		 size_t n)
{
	AUTO_BUF buf = BUF_INIT(16384);
	struct jw w = jw_to(&buf);

	if (n == 0 || !may_tell(o, n))
		return;
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
	outbox_edu(o->s->services.outbox, servers, n, S("m.presence"), user_id, buf_str(&buf));
}

/*
 * Changes
 */
static err *tell_rooms(struct outgoing_presence *o, struct arena *a, const struct presence_view *v,
		       const int64_t *rooms, size_t n_rooms)
{
	AUTO_TX tx = NULL;
	int64_t *servers;
	str user_id;
	size_t n;

	TRY(store_read(o->s->store, a, &tx));
	TRY(store_servers_of_rooms(tx, rooms, n_rooms, SERVERS_MOST, &servers, &n));
	TRY(store_intern_text(o->s->store, a, v->user, &user_id));
	tell(o, v, user_id, servers, n);
	return NULL;
}

static void on_change(void *ctx, struct arena *a, const struct presence_view *who, const int64_t *rooms, size_t n)
{
	struct outgoing_presence *o = ctx;
	const err *e = tell_rooms(o, a, who, rooms, n);

	if (e)
		log_warn(o->s->log, "other servers were not told of presence", F("error", e->msg));
}

/*
 * Meetings
 */
static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	struct outgoing_presence *o = ctx;

	if (ev->member_after != MEMBER_JOIN || ev->member_before == MEMBER_JOIN)
		return;
	LOCKED(&o->lock);
	if (!o->chore || o->n == MEETINGS_MOST)
		return;
	o->meetings[o->n++] = (struct meeting){ ev->room, ev->row->state_key, ev->row->stream };
	chore_kick(o->chore);
}

/* A server that was not in the room before hears of those of our users in it who are there. */
static err *greet(struct outgoing_presence *o, struct arena *a, const struct meeting *m, str user_id)
{
	const struct presence_ask ask = { .whole = &m->room, .n_whole = 1, .above = INT64_MAX, .most = MET_MOST };
	struct presence_news met;
	int64_t server, since;
	AUTO_TX tx = NULL;

	TRY(store_intern_find(o->s->store, a, id_server(user_id), &server));
	TRY(store_read(o->s->store, a, &tx));
	TRY(store_room_server_since(tx, m->room, server, &since));
	if (since != m->stream)
		return NULL;
	presence_changes(o->s->services.presence, a, &ask, &met);
	for (size_t i = 0; i < met.n; i++) {
		TRY(store_intern_text(o->s->store, a, met.p[i].user, &user_id));
		if (id_is_of(user_id, o->s->config->server_name))
			tell(o, &met.p[i], user_id, &server, 1);
	}
	return NULL;
}

static err *meet(struct outgoing_presence *o, struct arena *a, const struct meeting *m)
{
	struct presence_view v;
	str user_id;

	TRY(store_intern_text(o->s->store, a, m->user, &user_id));
	if (!id_is_of(user_id, o->s->config->server_name))
		return greet(o, a, m, user_id);
	presence_known(o->s->services.presence, a, m->user, &v);
	return v.state == PRESENCE_OFFLINE ? NULL : tell_rooms(o, a, &v, &m->room, 1);
}

static err *meet_one(struct outgoing_presence *o, const struct meeting *m)
{
	AUTO_ARENA a = arena_new();
	const err *e = meet(o, a, m);

	if (e)
		log_warn(o->s->log, "servers in a room were not told who is there", F("error", e->msg));
	return NULL;
}

static err *work(struct chore *c, void *ctx, struct arena *a)
{
	struct outgoing_presence *o = ctx;
	struct meeting *list;
	size_t n;

	lock_take(&o->lock);
	n = o->n;
	list = ARENA_ARRAY(a, struct meeting, n);
	if (n)
		memcpy(list, o->meetings, n * sizeof(*list));
	o->n = 0;
	lock_drop(&o->lock);
	for (size_t i = 0; i < n && !chore_stopping(c); i++)
		TRY(meet_one(o, &list[i]));
	return NULL;
}

void server_tell_of_presence(struct server *s)
{
	struct outgoing_presence *o = MEM_NEW(struct outgoing_presence);

	*o = (struct outgoing_presence){ .s = s, .allowed_at = clock_mono_ms(), .allowance = INT64_C(1000) * AT_ONCE };
	lock_init(&o->lock, RANK_SERVICE);
	s->outgoing_presence = o;
	o->chore = chore_new("presence-meets", work, o, s->log, "servers in a room were not told who is there");
	presence_on_change(s->services.presence, on_change, o);
	if (presence_enabled(s->services.presence))
		rooms_on_stored(s->services.rooms, on_stored, o);
}

void server_tell_no_presence(struct server *s)
{
	struct outgoing_presence *o = s->outgoing_presence;
	struct chore *chore;

	if (!o)
		return;
	lock_take(&o->lock);
	chore = o->chore;
	o->chore = NULL;
	lock_drop(&o->lock);
	chore_free(&chore);
}

void server_close_presence(struct server *s)
{
	if (!s->outgoing_presence)
		return;
	lock_done(&s->outgoing_presence->lock);
	mem_free(s->outgoing_presence);
	s->outgoing_presence = NULL;
}
