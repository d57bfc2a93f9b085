/*
 * outlier_write.c - outliers' rows, in pieces that hold the writer for a few milliseconds each.
 *
 * One piece is in the store's queue while the next events are judged; it is waited for when there is more to write.
 * Other rooms' writes get in between.
 *
 * A room that is there takes events of its own meanwhile. So that none of them is stored by both, which would cost the
 * room all that was queued upon it, a piece's ids stand in room->storing while it is in the queue: who receives one of
 * them comes again later; and what the room has queued itself is not written, but looked up once it is stored.
 */
#include "room/receive/internal_outlier.h"

#include <assert.h>

#include "store/auth_index.h"
#include "store/events.h"
#include "store/tx.h"

enum { LATE_EDGES = 200 };

struct batch { /* what lives until its last piece is on disk */
	struct arena *a;
	struct arena **arenas;
	size_t n_arenas;
};
struct outlier_writer {
	struct outliers *o;
	struct batch now, before;
	struct ticket *flight;
	struct room *room; /* referenced, while the piece's ids stand there */
	/* the piece in flight */
	struct event_row *rows;
	struct auth_entry *entries;
	str *ids;
	size_t n;
	struct piece_run run;
	bool raced, late_more;
};

struct outlier_writer *outlier_writer_new(struct outliers *o)
{
	struct outlier_writer *w = MEM_NEW(struct outlier_writer);

	w->o = o;
	return w;
}

static void batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n_arenas; i++)
		arena_free(&b->arenas[i]);
	arena_free(&b->a);
	*b = (struct batch){ 0 };
}

static void take_ids_back(struct outlier_writer *w)
{
	struct room *room = w->room;

	if (!room)
		return;
	w->room = NULL;
	lock_take(&room->lock);
	for (size_t i = 0; i < w->n; i++)
		map_del(&room->storing, w->ids[i]);
	lock_drop(&room->lock);
	rooms_unref(w->o->rs, room);
}

/* False in *out: the room is about to store one of them itself. */
static err *hang_out_ids(struct outlier_writer *w, struct arena *a, bool *out)
{
	AUTO_ROOM room = NULL;

	*out = true;
	if (w->o->none_here)
		return NULL;
	TRY(room_hold(w->o->rs, a, w->o->room_id, &room));
	if (!room)
		return NULL;
	for (size_t i = 0; i < w->n && *out; i++)
		*out = !map_get(&room->pending_ids, w->ids[i]) && !map_get(&room->storing, w->ids[i]);
	if (!*out)
		return NULL;
	TRY(rooms_enter(w->o->rs, a, w->o->room_id, &w->room));
	for (size_t i = 0; i < w->n && w->room; i++)
		(void)map_put(&room->storing, w->ids[i], w);
	return NULL;
}

static err *land(struct outlier_writer *w, struct arena *a)
{
	err *e;

	if (!w->flight)
		return NULL;
	e = store_wait(a, w->flight);
	w->flight = NULL;
	take_ids_back(w);
	if (e) {
		w->o->raced = w->raced;
		return e;
	}
	if (w->late_more)
		store_auth_catch_up(w->o->rs->opt.store);
	pieces_learn(&w->o->pieces, &w->run, w->n);
	return NULL;
}

void outlier_writer_free(struct outlier_writer **w)
{
	AUTO_ARENA a = arena_new();
	const err *e = land(*w, a);

	(void)e; /* who flushed has been told */
	batch_free(&(*w)->before);
	batch_free(&(*w)->now);
	mem_free(*w);
	*w = NULL;
}

static err *write_piece(struct tx *tx, void *arg)
{
	struct outlier_writer *w = arg;
	struct event_mark *marks;
	size_t n_marks;

	piece_begin(&w->run);
	w->late_more = w->raced = false;
	TRY(store_event_marks(tx, w->ids, w->n, &marks, &n_marks));
	if (n_marks > 0) {
		w->raced = true;
		return err_new(tx_arena(tx), ERR_STORE, "an event was stored twice at the same time");
	}
	for (size_t i = 0; i < w->n; i++)
		TRY(store_event_insert(tx, &w->rows[i]));
	TRY(store_auth_add(tx, w->entries, w->n));
	TRY(store_auth_late(tx, w->ids, w->n, LATE_EDGES, &w->late_more));
	piece_end(&w->o->pieces, &w->run);
	return NULL;
}

static err *nothing(struct tx *tx, void *arg)
{
	(void)tx, (void)arg;
	return NULL;
}

/* Until what the room has queued is stored, or has failed. */
static err *wait_for_queue(struct outlier_writer *w, struct arena *a)
{
	const struct piece piece = { .run = nothing, .shard = w->o->room };
	struct ticket *t;

	TRY(store_write(w->o->rs->opt.store, a, &piece, &t));
	return store_wait(a, t);
}

static err *queue_piece(struct outlier_writer *w, struct arena *a, struct event_row *rows, struct auth_entry *entries,
			str *ids, size_t n)
{
	const struct piece piece = { .run = write_piece, .arg = w, .shard = w->o->room };

	bool free;
	err *e;

	TRY(land(w, a));
	if (w->o->stop && atomic_load(w->o->stop))
		return err_new(a, ERR_BUSY, "the server stops");
	w->rows = rows;
	w->entries = entries;
	w->ids = ids;
	w->n = n;
	TRY(hang_out_ids(w, a, &free));
	if (!free) {
		w->o->raced = true;
		TRY(wait_for_queue(w, a));
		return err_new(a, ERR_BUSY, "an event of the set is just being stored");
	}
	e = store_write(w->o->rs->opt.store, a, &piece, &w->flight);
	if (e)
		take_ids_back(w);
	return e;
}

/* Numbers for the texts of all of them: those that are new wait for one commit. */
static err *number_texts(struct outlier_writer *w, struct arena *a, const struct outlier_ready *list, size_t n)
{
	struct store_text *texts = ARENA_ARRAY(a, struct store_text, 4 * n);
	int64_t server;
	size_t t = 0;

	for (size_t i = 0; i < n; i++) {
		struct outlier_rec *r = &w->o->recs.p[list[i].rec];
		const struct event *ev = list[i].ev;

		texts[t++] = (struct store_text){ ev->type, &r->type };
		texts[t++] = (struct store_text){ ev->state_key, &r->key };
		texts[t++] = (struct store_text){ ev->sender, &r->sender };
		/* The flat tables ask for it. */
		if (str_eq(ev->type, S("m.room.member")) && id_user_valid(ev->state_key))
			texts[t++] = (struct store_text){ id_server(ev->state_key), &server };
	}
	return store_intern_all(w->o->rs->opt.store, a, texts, t);
}

static struct event_row row_of(const struct outliers *o, struct arena *a, const struct outlier_ready *x)
{
	const struct outlier_rec *r = &o->recs.p[x->rec];
	const int64_t *unknown = ARENA_ARRAY(a, int64_t, x->ev->n_prev_events);

	return (struct event_row){
		.nid = x->ev->nid,
		.room = o->room,
		.type = r->type,
		.state_key = r->key,
		.sender = r->sender,
		.depth = x->ev->depth,
		.origin_server_ts = x->ev->origin_server_ts,
		.flags = EVENT_OUTLIER | EVENT_STATE | (x->ev->rejected ? EVENT_REJECTED : 0),
		.event_id = x->ev->event_id,
		.json = x->ev->bytes,
		.txn_device = STR_NONE,
		.txn_id = STR_NONE,
		.prevs = store_nids_pack(a, unknown, x->ev->n_prev_events),
		.auths = x->auths,
	};
}

err *outlier_writer_add(struct outlier_writer *w, struct arena *a, const struct outlier_ready *list, size_t n,
			struct arena **arenas, size_t n_arenas)
{
	struct arena *keep = arena_new();
	struct event_row *rows = ARENA_ARRAY(keep, struct event_row, n);
	struct auth_entry *entries = ARENA_ARRAY(keep, struct auth_entry, n);
	str *ids = ARENA_ARRAY(keep, str, n);
	err *e;

	/* At most one piece is in flight, so of two batches ago nothing is. */
	batch_free(&w->before);
	w->before = w->now;
	w->now = (struct batch){ keep, ARENA_ARRAY(keep, struct arena *, n_arenas), n_arenas };
	memcpy(w->now.arenas, arenas, n_arenas * sizeof(*arenas));
	e = number_texts(w, a, list, n);
	if (e)
		return e;
	for (size_t i = 0; i < n; i++) {
		rows[i] = row_of(w->o, keep, &list[i]);
		entries[i] = list[i].entry;
		ids[i] = rows[i].event_id;
	}
	for (size_t at = 0; at < n;) {
		size_t some = 0, bytes = 0;

		while (some < MIN(w->o->pieces.rows, n - at) && bytes < PIECE_BYTES)
			bytes += rows[at + some++].json.n;
		TRY(queue_piece(w, a, rows + at, entries + at, ids + at, some));
		at += some;
	}
	return NULL;
}

err *outlier_writer_flush(struct outlier_writer *w, struct arena *a) { return land(w, a); }
