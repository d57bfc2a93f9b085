/*
 * purge.c - forgetting: what is ordered, and its pieces.
 *
 * A purge of history goes through steps, each of which leaves a room that is whole: whatever is in the timeline has its
 * state, and every event of that state.
 *
 *	1. the horizon is set (in memory): nothing new is built upon what is below it
 *	2. what stays is found out (purge_plan.c)
 *	3. below the horizon, messages are deleted, state events and redactions leave the timeline: oldest first
 *	4. of those, the ones that nothing refers to are deleted, and the older part of the journal
 *	5. rows of nodes are packed or deleted
 *
 * After a restart it begins anew, with less to do. Every piece is a transaction of its own among those of the room's
 * events, as large as takes about PIECE_US; the writer is never held for longer than one of them.
 *
 * A purge of a room first makes it a room that is not there, in memory and in one small transaction, then deletes its
 * rows.
 */
#include "room/purge.h"

#include <assert.h>

#include "base/chore.h"
#include "base/clock.h"
#include "room/internal_purge.h"
#include "store/gaps.h"
#include "store/tx.h"

enum { PIECE_US = 5000, PIECE_LEAST = 8, PIECE_MOST = 1000 };
#define KEPT_MS INT64_C(86400000) /* transaction ids, and the outcome of a purge */

/*
 * Pieces
 */
struct piece_of {
	struct purge *p;
	err *(*work)(struct tx *tx, struct piece_of *x);
	size_t limit;   /* rows, about; follows the time they take */
	int64_t at, to; /* where the piece begins; where the next one does */
	bool more;
};

static err *piece_run(struct tx *tx, void *arg)
{
	struct piece_of *x = arg;
	const int64_t start = clock_mono_us();

	x->to = x->at;
	x->more = false;
	TRY(x->work(tx, x));
	if (clock_mono_us() - start > 2 * (int64_t)PIECE_US)
		x->limit = MAX(x->limit / 2, (size_t)PIECE_LEAST);
	else if (clock_mono_us() - start < PIECE_US / 2)
		x->limit = MIN(x->limit * 2, (size_t)PIECE_MOST);
	return NULL;
}

static err *write_piece(struct purge *p, store_fn *run, void *arg)
{
	const struct piece piece = { .run = run, .arg = arg, .shard = p->room->nid };
	struct ticket *t;

	arena_reset(p->scratch);
	TRY(store_write(p->room->rs->opt.store, p->scratch, &piece, &t));
	return store_wait(p->scratch, t);
}

struct stopper {
	bool (*stop)(void *ctx);
	void *ctx;
};
static bool stopped(const struct stopper *s) { return s->stop && s->stop(s->ctx); }

/* Piece after piece, until the work is done or somebody says stop. */
static err *work(struct purge *p, const struct stopper *s, err *(*fn)(struct tx *tx, struct piece_of *x), int64_t from)
{
	struct piece_of x = { .p = p, .work = fn, .limit = 32, .to = from, .more = true };

	while (x.more && !stopped(s)) {
		x.at = x.to;
		TRY(write_piece(p, piece_run, &x));
	}
	return NULL;
}

/* Step 3. Kept aside although nothing refers to it: what may be the only copy, and what a client may send once more. */
static err *is_kept(const struct purge *p, const struct purge_event *ev, bool *out)
{
	const struct rooms *rs = p->room->rs;
	str sender;

	*out = purge_may_be_needed(p, ev) || (ev->has_txn && ev->ts > clock_ms() - KEPT_MS);
	if (*out || p->row.with_local)
		return NULL;
	TRY(store_intern_text(rs->opt.store, p->scratch, ev->sender, &sender));
	*out = id_is_of(sender, rs->opt.signer.server_name);
	return NULL;
}

static err *take_from_timeline(struct tx *tx, struct piece_of *x)
{
	VEC(struct purge_event) demoted = { 0 }, deleted = { 0 };
	struct arena *a = x->p->scratch;
	struct purge_event *ev;
	size_t n;

	TRY(store_purge_placed(tx, x->p->room->nid, x->at, x->p->horizon, x->limit, &ev, &n));
	for (size_t i = 0; i < n; i++) {
		bool kept;

		x->to = ev[i].timeline;
		if (!purge_is_past(x->p, &ev[i]))
			continue;
		TRY(is_kept(x->p, &ev[i], &kept));
		if (kept)
			vec_push(a, &demoted, ev[i]);
		else
			vec_push(a, &deleted, ev[i]);
	}
	x->more = n == x->limit;
	TRY(store_purge_demote(tx, x->p->room->nid, demoted.p, demoted.n));
	return store_purge_delete(tx, x->p->room->nid, deleted.p, deleted.n);
}

/* The candidates from x->at on in the list that `want` picks, at most x->limit; as they are stored now. */
static err *pick(struct tx *tx, struct piece_of *x, bool (*want)(const struct candidate *c), struct purge_event **out,
		 size_t *out_n)
{
	const struct purge *p = x->p;
	VEC(int64_t) nids = { 0 };
	size_t i = (size_t)x->at;

	for (; i < p->list.n && nids.n < x->limit; i++)
		if (want(&p->list.p[i]))
			vec_push(p->scratch, &nids, p->list.p[i].nid);
	x->to = (int64_t)i;
	x->more = i < p->list.n;
	*out_n = 0;
	return nids.n ? store_purge_events_of(tx, nids.p, nids.n, out, out_n) : NULL;
}

static bool has_no_place(const struct candidate *c) { return c->unplaced; }
static bool nobody_needs(const struct candidate *c) { return !c->needed; }

/* Rejected and soft-failed ones are not to keep states alive, either. */
static err *take_states(struct tx *tx, struct piece_of *x)
{
	struct purge_event *ev;
	size_t n, kept = 0;

	TRY(pick(tx, x, has_no_place, &ev, &n));
	for (size_t i = 0; i < n; i++)
		if (!(ev[i].flags & EVENT_PURGED))
			ev[kept++] = ev[i];
	return store_purge_demote(tx, x->p->room->nid, ev, kept);
}

static err *delete_unneeded(struct tx *tx, struct piece_of *x)
{
	struct purge_event *ev;
	size_t n, kept = 0;

	TRY(pick(tx, x, nobody_needs, &ev, &n));
	for (size_t i = 0; i < n; i++) /* another one has a place again */
		if (ev[i].flags & EVENT_PURGED)
			ev[kept++] = ev[i];
	return store_purge_delete(tx, x->p->room->nid, ev, kept);
}

static err *cut_journal(struct tx *tx, struct piece_of *x)
{
	return store_journal_purge(tx, x->p->room->nid, x->p->journal_from, x->limit, &x->more);
}

static err *sweep(struct tx *tx, struct piece_of *x)
{
	const struct purge *p = x->p;
	struct state_packed packed;
	struct node_row *rows;
	size_t n;

	TRY(store_nodes_up(tx, p->room->nid, x->at, p->sweep_below, x->limit, &rows, &n));
	x->more = n == x->limit;
	if (n == 0)
		return NULL;
	x->to = rows[n - 1].first + 1;
	TRY(state_pack(&p->marks, p->scratch, rows, n, &packed));
	return store_nodes_replace(tx, p->room->nid, &packed);
}

/*
 * A purge of history
 */

/* Step 1. *out_gone: the event is not there any more, or has no place. */
static err *set_horizon(struct purge *p, bool *out_gone)
{
	AUTO_ROOM room = NULL;
	struct event_row *row;
	struct tx *tx;

	*out_gone = true;
	TRY(room_hold(p->room->rs, p->scratch, p->room->room_id, &room));
	if (!room)
		return NULL;
	assert(room == p->room && !room->purge);
	TRY(room_tx(room, &tx));
	TRY(store_event_by_nid(tx, p->row.before, &row));
	if (!row || !row->timeline)
		return NULL;
	*out_gone = false;
	p->horizon = row->timeline;
	for (size_t i = 0; i < room->tip.n_ext; i++)
		vec_push(p->a, &p->stay, room->tip.ext[i].nid);
	p->noted_in = arena_new();
	room->purge = p;
	return NULL;
}

static void clear_horizon(struct purge *p)
{
	LOCKED(&p->room->lock);
	p->room->purge = NULL;
	arena_free(&p->noted_in);
}

static err *nothing(struct tx *tx, void *arg)
{
	(void)tx, (void)arg;
	return NULL;
}

/* What was queued when the horizon was set may have failed: then the room goes on from older extremities, those that
 * are stored. */
static err *keep_stored_extremities(struct purge *p)
{
	struct room_head_row *head;
	AUTO_TX tx = NULL;
	int64_t *nids;
	size_t n;

	TRY(store_read(p->room->rs->opt.store, p->scratch, &tx));
	TRY(store_head_load(tx, p->room->nid, &head));
	n = head ? store_nids_unpack(p->scratch, head->extremities, &nids) : 0;
	store_read_end(&tx);
	LOCKED(&p->room->lock);
	for (size_t i = 0; i < n; i++)
		vec_push(p->a, &p->stay, nids[i]);
	return NULL;
}

/* What goes here, other servers of the room may have: whoever reads on comes to a gap (store/gaps.h). */
static err *open_gap(struct tx *tx, void *arg)
{
	const struct purge *p = arg;
	bool others = false;
	int64_t *servers;
	size_t n;

	TRY(store_room_servers_top(tx, p->room->nid, 2, &servers, &n));
	for (size_t i = 0; i < n; i++)
		others = others || servers[i] != p->room->rs->server;
	return others ? store_gap_open(tx, p->room->nid, p->row.before) : NULL;
}

static err *decide(struct purge *p)
{
	LOCKED(&p->room->lock);
	return purge_decide(p);
}

static err *purge_steps(struct purge *p, const struct stopper *s)
{
	bool stopped_early;

	/* A room's pieces commit in order: what was queued before the horizon was set is stored, or has failed. */
	TRY(write_piece(p, nothing, NULL));
	TRY(keep_stored_extremities(p));
	TRY(purge_plan(p, s->stop, s->ctx, &stopped_early));
	if (stopped_early)
		return NULL;
	TRY(work(p, s, take_from_timeline, INT64_MIN));
	TRY(work(p, s, take_states, 0));
	TRY(write_piece(p, open_gap, p));
	recent_reset(&p->room->recent);
	if (stopped(s))
		return NULL;
	TRY(decide(p));
	TRY(work(p, s, delete_unneeded, 0));
	TRY(work(p, s, cut_journal, 0));
	return work(p, s, sweep, 0);
}

static err *purge_history(struct purge *p, const struct stopper *s)
{
	bool gone;
	err *e;

	TRY(set_horizon(p, &gone));
	if (gone)
		return NULL;
	e = purge_steps(p, s);
	clear_horizon(p);
	state_marks_done(&p->marks);
	return e;
}

/*
 * A purge of a room
 */
static err *room_piece(struct tx *tx, struct piece_of *x)
{
	return store_purge_room_piece(tx, x->p->room->nid, x->limit, &x->more);
}

static err *write_end(struct tx *tx, void *arg)
{
	const struct purge_row *row = arg;

	return store_purge_end(tx, row->purge, row->status, clock_ms(), row->error);
}

/* An error that another try would not heal is the purge's outcome; the store's own trouble is passed up. */
static err *carry_out(struct purge *p, const struct stopper *s)
{
	err *e = p->row.kind == PURGE_ROOM ? work(p, s, room_piece, 0) : purge_history(p, s);

	if (stopped(s) || (e && e->code != ERR_INTERNAL))
		return e;
	p->row.status = e ? PURGE_FAILED : PURGE_COMPLETE;
	p->row.error = e ? arena_keep(p->a, e->msg) : S("");
	if (e)
		log_error(p->room->rs->opt.log, "a purge failed", F("room_id", p->room->room_id),
			  F("error", p->row.error));
	return write_piece(p, write_end, &p->row);
}

/* The room's entry, which after a restart there is none of for one whose purge has begun. */
static err *enter_room(struct rooms *rs, struct arena *a, const struct purge_row *row, struct room **out)
{
	str room_id;

	TRY(store_intern_text(rs->opt.store, a, row->room, &room_id));
	TRY(rooms_enter(rs, a, room_id, out));
	if (*out)
		return NULL;
	*out = rooms_enter_new(rs, row->room, room_id, rs->opt.default_version, 0);
	if (*out)
		(*out)->gone = true;
	return NULL;
}

static err *run_one(struct rooms *rs, struct arena *keep, const struct purge_row *row, const struct stopper *s)
{
	AUTO_ARENA a = arena_new();
	AUTO_ARENA scratch = arena_new();
	struct purge p = { .a = a, .scratch = scratch, .row = *row };
	err *e = enter_room(rs, scratch, row, &p.room);

	if (!e && !p.room)
		return err_new(keep, ERR_BUSY, "a room of this id is being made");
	if (!e) {
		e = carry_out(&p, s);
		rooms_unref(rs, p.room);
	}
	return e ? err_keep(keep, e) : NULL;
}

err *rooms_purge_run(struct rooms *rs, struct arena *a, bool (*stop)(void *ctx), void *ctx)
{
	const struct stopper s = { stop, ctx };

	for (;;) {
		AUTO_TX tx = NULL;
		struct purge_row *rows, row;
		size_t n;

		TRY(store_read(rs->opt.store, a, &tx));
		TRY(store_purges_active(tx, &rows, &n));
		if (n == 0 || stopped(&s))
			return NULL;
		row = rows[0];
		store_read_end(&tx);
		TRY(run_one(rs, a, &row, &s));
	}
}

/*
 * Orders
 */
struct order {
	struct purge_row row;
	bool begin_room; /* its first piece, too */
};

static err *write_order(struct tx *tx, void *arg)
{
	const struct order *o = arg;
	struct purge_row *rows;
	size_t n;

	TRY(store_purges_prune(tx, o->row.began - KEPT_MS));
	TRY(store_purges_active(tx, &rows, &n));
	for (size_t i = 0; i < n; i++)
		if (rows[i].room == o->row.room)
			return err_new(tx_arena(tx), ERR_UNKNOWN, "a purge of this room is already in progress");
	TRY(store_purge_insert(tx, &o->row));
	return o->begin_room ? store_purge_room_begin(tx, o->row.room) : NULL;
}

static err *give_order(struct rooms *rs, struct arena *a, struct order *o, int64_t *out_purge)
{
	const struct piece piece = { .run = write_order, .arg = o, .shard = o->row.room };
	struct ticket *t;

	o->row.began = clock_ms();
	TRY(store_next_id(rs->opt.store, a, SEQ_MISC, 1, &o->row.purge));
	TRY(store_write(rs->opt.store, a, &piece, &t));
	TRY(store_wait(a, t));
	*out_purge = o->row.purge;
	LOCKED(&rs->lock);
	if (rs->purging)
		chore_kick(rs->purging);
	return NULL;
}

static err *find_first(struct rooms *rs, struct arena *a, const struct purge_cmd *cmd, struct purge_row *out)
{
	struct event_row *row;
	AUTO_TX tx = NULL;

	TRY(rooms_find(rs, a, cmd->room_id, &out->room, NULL));
	if (!out->room)
		return err_new(a, ERR_NOT_FOUND, "no such room");
	TRY(store_read(rs->opt.store, a, &tx));
	if (str_is_none(cmd->before_event)) {
		TRY(store_purge_first_since(tx, out->room, cmd->before_ts, &out->before));
		return out->before ? NULL
				   : err_new(a, ERR_NOT_FOUND, "the room has no event since then, which would stay");
	}
	TRY(store_event_by_id(tx, cmd->before_event, &row));
	if (!row || row->room != out->room)
		return err_new(a, ERR_NOT_FOUND, "the room has no such event");
	if (!row->timeline)
		return err_new(a, ERR_INVALID_PARAM, "the event has no place in the room's timeline");
	out->before = row->nid;
	return NULL;
}

err *rooms_purge_history(struct rooms *rs, struct arena *a, const struct purge_cmd *cmd, int64_t *out_purge)
{
	struct order o = { .row = { .kind = PURGE_HISTORY, .with_local = cmd->with_local } };

	TRY(find_first(rs, a, cmd, &o.row));
	return give_order(rs, a, &o, out_purge);
}

/* Nobody comes in any more: whoever holds the room next finds none. */
static err *close_room(struct rooms *rs, struct arena *a, str room_id, bool force, struct room **out)
{
	AUTO_ROOM room = NULL;
	const struct map *locals;

	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "no such room");
	if (room->purge)
		return err_new(a, ERR_UNKNOWN, "a purge of this room is already in progress");
	TRY(room_locals(room, &locals));
	if (locals->n > 0 && !force)
		return err_new(a, ERR_UNKNOWN, "users of this server are in the room");
	room->gone = true;
	TRY(rooms_enter(rs, a, room_id, out)); /* a reference beyond the hold */
	return NULL;
}

err *rooms_purge(struct rooms *rs, struct arena *a, str room_id, bool force, int64_t *out_purge)
{
	struct order o = { .row = { .kind = PURGE_ROOM }, .begin_room = true };
	struct room *room;
	err *e;

	TRY(close_room(rs, a, room_id, force, &room));
	o.row.room = room->nid;
	e = give_order(rs, a, &o, out_purge);
	if (e) { /* it is there still */
		LOCKED(&room->lock);
		room->gone = false;
		room->loaded = false;
	}
	recent_reset(&room->recent);
	rooms_unref(rs, room);
	return e;
}

err *rooms_purge_status(struct rooms *rs, struct arena *a, int64_t purge, struct purge_outcome *out)
{
	struct purge_row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(store_purge_find(tx, purge, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "no such purge");
	*out = (struct purge_outcome){
		.state = row->status == PURGE_ACTIVE   ? PURGE_IS_ACTIVE
			 : row->status == PURGE_FAILED ? PURGE_HAS_FAILED
						       : PURGE_IS_COMPLETE,
		.error = row->error,
	};
	return NULL;
}
