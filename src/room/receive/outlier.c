/*
 * outlier.c - outliers into the store: auth events and states that came as answers to our own requests.
 *
 * In one pass (outliers_settle):
 *
 *	1. which of them, and of the events that they name, are stored already (outlier_order.c)
 *	2. an order in which each comes after its auth_events; who stands on nothing, or on itself, is left out
 *	3. level by level of that order: read, judged by its auth_events, on all cores (outlier_judge.c)
 *	4. their texts numbered and their rows written, piece by piece, while the next are judged (outlier_write.c)
 *
 * So that whatever is in the store was judged, and whatever it names is there, too, at every moment.
 */
#include "room/receive/internal_outlier.h"

#include <assert.h>

#include "store/events.h"

enum { TRIES = 3, PIECE_ROWS = 250 };

struct outliers *outliers_new(struct rooms *rs, struct pool *pool, int64_t room, str room_id,
			      const struct room_version *rv, struct spool *spool)
{
	struct outliers *o = MEM_NEW(struct outliers);

	o->rs = rs;
	o->pool = pool;
	o->room = room;
	o->a = arena_new();
	o->room_id = arena_keep(o->a, room_id);
	o->rv = rv;
	o->create_id = rv->create_not_in_auth_events ? arena_join2(o->a, S("$"), str_from(o->room_id, 1)) : STR_NONE;
	o->spool = spool;
	pieces_init(&o->pieces, PIECE_ROWS);
	map_init(&o->by_id, NULL);
	return o;
}

void outliers_free(struct outliers **o)
{
	if (!*o)
		return;
	map_done(&(*o)->by_id);
	spool_free(&(*o)->spool);
	arena_free(&(*o)->readings);
	arena_free(&(*o)->a);
	mem_free(*o);
	*o = NULL;
}

static uint32_t name_of(struct outliers *o, str event_id)
{
	const uint32_t known = (uint32_t)(uintptr_t)map_get(&o->by_id, event_id);

	if (known)
		return known - 1;
	event_id = arena_keep(o->a, event_id);
	vec_push(o->a, &o->names, (struct outlier_name){ .event_id = event_id });
	(void)map_put(&o->by_id, event_id, (void *)(uintptr_t)o->names.n);
	return (uint32_t)o->names.n - 1;
}

err *outliers_add(struct outliers *o, struct arena *a, struct event *ev, bool borrow, uint32_t *out_rec)
{
	const uint32_t name = name_of(o, ev->event_id);
	struct outlier_rec rec = {
		.name = name,
		.auth_at = (uint32_t)o->auth.n,
		.size = (uint32_t)ev->bytes.n,
		.event = borrow ? ev : NULL,
		.is_state = event_is_state(ev),
	};

	if (o->names.p[name].rec) {
		*out_rec = o->names.p[name].rec - 1;
		return NULL;
	}
	if (!borrow)
		TRY(spool_put(o->spool, a, ev->bytes, &rec.at));
	for (size_t i = 0; i < ev->n_auth_events; i++) {
		const uint32_t auth = name_of(o, ev->auth_events[i]);
		bool twice = false;

		for (size_t k = rec.auth_at; k < o->auth.n; k++)
			twice = twice || o->auth.p[k] == auth;
		if (!twice)
			vec_push(o->a, &o->auth, auth);
	}
	rec.n_auth = (uint32_t)o->auth.n - rec.auth_at;
	if (o->rv->create_not_in_auth_events && !str_eq(ev->event_id, o->create_id))
		vec_push(o->a, &o->auth, name_of(o, o->create_id));
	rec.n_needed = (uint32_t)o->auth.n - rec.auth_at;
	vec_push(o->a, &o->recs, rec);
	o->names.p[name].rec = (uint32_t)o->recs.n;
	*out_rec = (uint32_t)o->recs.n - 1;
	return NULL;
}

err *outliers_read(struct outliers *o, struct arena *a, uint32_t rec, struct event **out)
{
	const struct outlier_rec *r = &o->recs.p[rec];
	const struct outlier_name *name = &o->names.p[r->name];
	str bytes;

	if (r->event) {
		*out = r->event;
	} else {
		TRY(spool_get(o->spool, a, r->at, r->size, &bytes));
		TRY(event_load(a, o->rv, name->event_id, bytes, out));
	}
	(*out)->nid = name->nid;
	(*out)->rejected = name->rejected;
	return NULL;
}

/* One slice of a level, at most so many events. */
enum { AT_ONCE = 512 };

static err *settle_some(struct outliers *o, struct outlier_writer *w, struct arena *a, const uint32_t *recs, size_t n)
{
	const size_t n_arenas = (n + OUTLIER_SLICE - 1) / OUTLIER_SLICE;
	struct outlier_ready *list = ARENA_ARRAY(a, struct outlier_ready, n);
	struct arena *arenas[AT_ONCE / OUTLIER_SLICE + 1];
	int64_t first;
	err *e;

	TRY(store_next_id(o->rs->opt.store, a, SEQ_EVENT, n, &first));
	for (size_t i = 0; i < n; i++) {
		list[i].rec = recs[i];
		o->names.p[o->recs.p[recs[i]].name].nid = first + (int64_t)i;
	}
	e = outliers_judge(o, a, list, n, arenas);
	if (!e)
		return outlier_writer_add(w, a, list, n, arenas, n_arenas);
	for (size_t i = 0; i < n_arenas; i++)
		arena_free(&arenas[i]);
	return e;
}

static err *settle_all(struct outliers *o, struct outlier_writer *w, struct arena *a)
{
	AUTO_ARENA scratch = arena_new();
	err *e = NULL;

	for (size_t level = 0, at = 0; !e && level < o->n_levels; level++) {
		for (; !e && at < o->level_end[level]; at += MIN((size_t)AT_ONCE, o->level_end[level] - at)) {
			const size_t n = MIN((size_t)AT_ONCE, o->level_end[level] - at);

			arena_reset(scratch);
			e = settle_some(o, w, scratch, o->order + at, n);
			if (e)
				return err_keep(a, e);
		}
	}
	return e;
}

static err *settle_once(struct outliers *o, struct arena *a)
{
	struct outlier_writer *w;
	err *e;

	o->raced = false;
	for (size_t i = 0; i < o->names.n; i++) {
		struct outlier_name *name = &o->names.p[i];

		*name = (struct outlier_name){ .event_id = name->event_id, .rec = name->rec };
	}
	arena_free(&o->readings);
	o->readings = arena_new();
	TRY(outliers_order(o, a));
	w = outlier_writer_new(o);
	e = settle_all(o, w, a);
	if (!e)
		e = outlier_writer_flush(w, a);
	outlier_writer_free(&w);
	return e;
}

static void count(const struct outliers *o)
{
	size_t rejected = 0, unplaced = 0;

	for (size_t i = 0; i < o->n_order; i++)
		rejected += o->names.p[o->recs.p[o->order[i]].name].rejected;
	for (size_t i = 0; i < o->recs.n; i++)
		unplaced += !o->names.p[o->recs.p[i].name].usable;
	metric_add(o->rs->outliers[OUTLIER_STORED], (int64_t)(o->n_order - rejected));
	metric_add(o->rs->outliers[OUTLIER_REJECTED], (int64_t)rejected);
	metric_add(o->rs->outliers[OUTLIER_UNPLACED], (int64_t)unplaced);
	if (unplaced)
		log_info(o->rs->opt.log, "outliers left out: their auth events are not to be had",
			 F("room_id", o->room_id), F("n", unplaced));
}

err *outliers_settle(struct outliers *o, struct arena *a)
{
	err *e = settle_once(o, a);

	/* Stored by somebody else since we looked: then it is known. */
	for (int i = 1; e && o->raced && i < TRIES; i++) {
		o->none_here = false;
		e = settle_once(o, a);
	}
	if (!e)
		count(o);
	return e;
}

/*
 * The set of a caller's list
 */
err *outliers_find_create(struct outliers *o, struct arena *a)
{
	struct event_row *row = NULL;
	int64_t type, nid = 0;
	AUTO_TX tx = NULL;

	if (!str_is_none(o->create_id))
		return NULL;
	TRY(store_intern_find(o->rs->opt.store, a, S("m.room.create"), &type));
	TRY(store_read(o->rs->opt.store, a, &tx));
	if (type)
		TRY(store_state_get(tx, o->room, type, o->rs->empty, &nid));
	if (nid)
		TRY(store_event_by_nid(tx, nid, &row));
	if (row)
		o->create_id = arena_keep(o->a, row->event_id);
	return NULL;
}

static err *settle_list(struct outliers *o, struct arena *a, struct outlier *list, size_t n)
{
	uint32_t *recs = ARENA_ARRAY(a, uint32_t, n);

	TRY(outliers_find_create(o, a));
	for (size_t i = 0; i < n; i++)
		TRY(outliers_add(o, a, list[i].event, true, &recs[i]));
	TRY(outliers_settle(o, a));
	for (size_t i = 0; i < n; i++) {
		list[i].nid = outliers_nid(o, recs[i]);
		list[i].rejected = o->names.p[o->recs.p[recs[i]].name].rejected;
		list[i].event->nid = list[i].nid;
		list[i].event->rejected = list[i].rejected;
	}
	return NULL;
}

err *outliers_store(struct rooms *rs, struct arena *a, int64_t room, const struct room_version *rv,
		    struct outlier *list, size_t n)
{
	struct outliers *o;
	err *e;

	if (n == 0)
		return NULL;
	assert(!lock_any_held());
	o = outliers_new(rs, rs->opt.pool, room, list[0].event->room_id, rv, NULL);
	e = settle_list(o, a, list, n);
	outliers_free(&o);
	return e;
}
