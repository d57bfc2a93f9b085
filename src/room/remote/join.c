/*
 * join.c - joining through other servers: one after the other, until one lets us in.
 *
 * A room is fetched once, however many of our users want it at a time: who comes second waits until the first has
 * ended, and finds the room here. A server that says no, or does not answer, costs its own wait; what it said is
 * remembered, and the most telling of all is what the user hears in the end.
 *
 * Where this server is in the room and only cannot let the user in by itself (a restricted room in which nobody here
 * may vouch for anybody), another one is asked to, and the event comes in as any other does.
 */
#include "room/remote/internal_remote.h"

#include "base/clock.h"
#include "room/receive/inbound.h"
#include "room/receive/internal_outlier.h"
#include "store/joins.h"

enum { SET_MEMORY = 16 << 20, ENTERING_MOST = 5 };

struct busy {
	str room_id;
	unsigned waiting; /* for its end */
	bool ended;
};

/*
 * One at a time
 */

/* False: somebody else was at it, and has ended; or, without patience, is still. */
static bool enter(struct remote *r, str room_id, bool patient)
{
	struct busy *b;

	LOCKED(&r->lock);
	b = map_get(&r->busy, room_id);
	if (!b) {
		b = MEM_NEW(struct busy);
		b->room_id = str_keep(room_id);
		(void)map_put(&r->busy, b->room_id, b);
		return true;
	}
	if (!patient)
		return false;
	b->waiting++;
	while (!b->ended)
		cond_wait(&r->moved, &r->lock);
	if (--b->waiting == 0) {
		mem_free((void *)b->room_id.p);
		mem_free(b);
	}
	return false;
}

static void leave(struct remote *r, str room_id)
{
	struct busy *b;

	LOCKED(&r->lock);
	b = map_del(&r->busy, room_id);
	b->ended = true;
	cond_broadcast(&r->moved);
	if (b->waiting)
		return; /* the last of them frees it */
	mem_free((void *)b->room_id.p);
	mem_free(b);
}

err *remote_entering(struct remote *r, struct arena *a, int64_t user)
{
	LOCKED(&r->lock);
	const uintptr_t n = (uintptr_t)map_get_i(&r->entering, user);
	err *e;

	if (n < ENTERING_MOST) {
		(void)map_put_i(&r->entering, user, (void *)(n + 1));
		return NULL;
	}
	e = err_new(a, ERR_LIMIT_EXCEEDED, "you are at the doors of %d rooms of other servers already", ENTERING_MOST);
	e->extra = S("\"retry_after_ms\":5000");
	return e;
}

void remote_entered(struct remote *r, int64_t user)
{
	LOCKED(&r->lock);
	const uintptr_t n = (uintptr_t)map_get_i(&r->entering, user);

	if (n > 1)
		(void)map_put_i(&r->entering, user, (void *)(n - 1));
	else
		(void)map_del_i(&r->entering, user);
}

/*
 * One server
 */
static err *fetch_and_import(struct remote *r, struct arena *a, const struct made *made, str server)
{
	struct outliers *set = outliers_new(r->rs, r->opt.pool, 0, made->event->room_id, made->rv,
					    spool_new(r->opt.spool_folder, SET_MEMORY));
	struct joined j;
	err *e;

	set->stop = &r->stopping;
	set->pieces.times = r->times;
	set->pieces.each = r->opt.on_piece;
	set->pieces.ctx = r->opt.piece_ctx;
	e = remote_send_join(r, a, made, server, set, &j);
	if (!e)
		e = remote_import(r, a, made->rv, &j, server);
	outliers_free(&set);
	return e;
}

/* From the moment that the others hear of the join they send us what is said, long before the room is here. */
static err *import_answer(struct remote *r, struct arena *a, const struct made *made, str server)
{
	const str room_id = made->event->room_id;
	err *e;

	if (r->opt.inbound)
		TRY(inbound_joining(r->opt.inbound, a, room_id, made->rv));
	e = fetch_and_import(r, a, made, server);
	if (r->opt.inbound)
		inbound_joined(r->opt.inbound, room_id);
	return e;
}

/* Our event comes back signed, and is received as from there. The room's state is here. */
static err *join_inside(struct remote *r, struct arena *a, const struct made *made, str server)
{
	struct outliers *set = outliers_new(r->rs, r->opt.pool, 0, made->event->room_id, made->rv,
					    spool_new(r->opt.spool_folder, SET_MEMORY));
	enum append_outcome outcome;
	struct joined j;
	err *e = remote_send_join(r, a, made, server, set, &j);

	outliers_free(&set);
	TRY(e);
	if (r->opt.inbound)
		TRY(inbound_one(r->opt.inbound, a, j.event, server, &outcome));
	else
		TRY(rooms_append_event(r->rs, a, j.event, &outcome));
	if (outcome == APPEND_ACCEPTED || outcome == APPEND_KNOWN)
		return NULL;
	return err_new(a, ERR_FORBIDDEN, "the room's rules do not let %.*s in", STR_ARG(made->event->sender));
}

static err *join_through(struct remote *r, struct arena *a, const struct making *m, bool inside, str server)
{
	struct made made;

	TRY(remote_make(r, a, m, server, &made));
	return (inside ? join_inside : import_answer)(r, a, &made, server);
}

static err *try_all(struct remote *r, struct arena *a, const struct remote_cmd *cmd, bool inside)
{
	struct making m = { .what = "make_join",
			    .room_id = cmd->room_id,
			    .user_id = cmd->by.user_id,
			    .to = MEMBER_JOIN,
			    .patience = FED_ANYWAY };
	const int64_t until = clock_mono_us() + INT64_C(1000) * REMOTE_JOIN_MS;
	struct server_names servers;
	int64_t room;
	err *worst = NULL;

	TRY(rooms_find(r->rs, a, cmd->room_id, &room, &m.expected));
	TRY(member_content(r->rs, a, cmd->by.user_id, MEMBER_JOIN, cmd->reason, cmd->extra, &m.content));
	TRY(remote_servers(r, a, cmd, &servers));
	for (size_t i = 0; i < servers.n; i++) {
		AUTO_ARENA one = arena_new();
		err *e = join_through(r, one, &m, inside, servers.p[i]);

		if (!e)
			return NULL;
		log_info(r->opt.log, "a server did not let us join", F("room_id", cmd->room_id),
			 F("server", servers.p[i]), F("why", e->msg), F("where", str_c(e->where)));
		worst = remote_telling(worst, err_keep(a, e));
		if (remote_is_final(e) || clock_mono_us() > until)
			break;
	}
	if (!worst)
		return err_new(a, ERR_NOT_FOUND, "no server is known that is in the room");
	return remote_for_client(a, worst);
}

err *remote_enter(struct remote *r, struct arena *a, const struct remote_cmd *cmd, bool inside, bool *out_joined)
{
	err *e = NULL;

	TRY(remote_entering(r, a, cmd->by.user));
	*out_joined = enter(r, cmd->room_id, true);
	if (*out_joined) {
		e = try_all(r, a, cmd, inside);
		leave(r, cmd->room_id);
		if (e)
			chore_kick(r->sweeper);
	}
	remote_entered(r, cmd->by.user);
	return e;
}

err *remote_join(struct remote *r, struct arena *a, const struct remote_cmd *cmd)
{
	const struct member_cmd again = {
		.by = cmd->by,
		.room_id = cmd->room_id,
		.reason = cmd->reason,
		.extra = cmd->extra,
		.via = cmd->via,
		.n_via = cmd->n_via,
	};
	bool joined;
	str room_id;

	TRY(remote_enter(r, a, cmd, false, &joined));
	return joined ? NULL : room_join(r->rs, a, &again, &room_id);
}

/*
 * The service
 */
static err *read_begun(struct remote *r, struct arena *a, int64_t **out_rooms, size_t *out_n)
{
	AUTO_TX tx = NULL;

	TRY(store_read(r->opt.store, a, &tx));
	return store_joins(tx, out_rooms, out_n);
}

static err *drop_if_begun(struct remote *r, struct arena *a, int64_t room)
{
	int64_t *rooms;
	size_t n;

	TRY(read_begun(r, a, &rooms, &n));
	for (size_t i = 0; i < n; i++)
		if (rooms[i] == room)
			return remote_drop(r, a, room);
	return NULL;
}

static err *sweep_one(struct remote *r, struct arena *a, int64_t room)
{
	str room_id;
	err *e;

	TRY(store_intern_text(r->opt.store, a, room, &room_id));
	if (!enter(r, room_id, false))
		return NULL; /* it is being joined, which began with this; if that fails we are called again */
	e = drop_if_begun(r, a, room);
	leave(r, room_id);
	return e;
}

static err *sweep(struct chore *c, void *ctx, struct arena *a)
{
	struct remote *r = ctx;
	int64_t *rooms;
	size_t n;

	TRY(read_begun(r, a, &rooms, &n));
	for (size_t i = 0; i < n && !chore_stopping(c); i++) {
		err *e = sweep_one(r, a, rooms[i]);

		if (e && !atomic_load(&r->stopping))
			return e;
	}
	return NULL;
}

err *remote_new(struct arena *a, const struct remote_options *opt, struct remote **out)
{
	static struct metric *times;
	struct remote *r = MEM_NEW(struct remote);

	(void)a;
	if (!times)
		times = metric_histogram("hearth_room_import_piece_seconds",
					 "How long a piece of a room that comes as a whole held the writer", "");
	r->times = times;
	r->opt = *opt;
	r->rs = opt->rooms;
	lock_init(&r->lock, RANK_SERVICE);
	cond_init(&r->moved);
	map_init(&r->busy, NULL);
	map_init(&r->entering, NULL);
	r->sweeper = chore_new("joins", sweep, r, opt->log, "what is left of joins could not be taken away");
	r->rs->remote = r;
	*out = r;
	return NULL;
}

void remote_stop(struct remote *r) { atomic_store(&r->stopping, true); }

void remote_free(struct remote **remote)
{
	struct remote *r = *remote;

	if (!r)
		return;
	remote_stop(r);
	chore_free(&r->sweeper);
	r->rs->remote = NULL;
	map_done(&r->busy);
	map_done(&r->entering);
	cond_done(&r->moved);
	lock_done(&r->lock);
	mem_free(r);
	*remote = NULL;
}
