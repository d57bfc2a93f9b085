/*
 * outlier_judge.c - outliers by the authorisation rules: each against its own auth_events, many at a time.
 *
 * Parents that many name (the room's create event, power levels, join rules) are read once; others, a member's earlier
 * event mostly, on the thread that judges the child.
 */
#include "room/receive/internal_outlier.h"

#include <assert.h>

#include "store/events.h"

enum { READINGS_MOST = 32 << 20 };

struct judging {
	struct outliers *o;
	struct outlier_ready *list;
	struct arena **arenas; /* of each slice */
	err **errors;          /* in those */
};

static err *from_store(struct outliers *o, struct tx *tx, struct arena *a, int64_t nid, struct event **out)
{
	struct event_row *row;

	TRY(store_event_by_nid(tx, nid, &row));
	if (!row)
		return err_new(a, ERR_STORE, "event %" PRId64 " is gone", nid);
	TRY(event_load(a, o->rv, arena_keep(a, row->event_id), arena_keep(a, row->json), out));
	(*out)->nid = nid;
	(*out)->rejected = row->flags & EVENT_REJECTED;
	return NULL;
}

/* Before the threads begin: what several of them will want, and what is in the store alone. */
static err *read_shared(struct outliers *o, struct arena *a, uint32_t name_i, struct tx **tx)
{
	struct outlier_name *name = &o->names.p[name_i];

	if (name->read || name->elsewhere || (!name->popular && name->rec))
		return NULL;
	if (name->rec)
		return outliers_read(o, o->readings, name->rec - 1, &name->read);
	if (!*tx)
		TRY(store_read(o->rs->opt.store, a, tx));
	return from_store(o, *tx, o->readings, name->nid, &name->read);
}

static void forget_readings(struct outliers *o)
{
	for (size_t i = 0; i < o->names.n; i++)
		o->names.p[i].read = NULL;
	arena_reset(o->readings);
}

static err *read_all_shared(struct outliers *o, struct arena *a, const struct outlier_ready *list, size_t n)
{
	AUTO_TX tx = NULL;

	if (arena_used(o->readings) > READINGS_MOST)
		forget_readings(o);
	for (size_t i = 0; i < n; i++) {
		const struct outlier_rec *r = &o->recs.p[list[i].rec];

		for (size_t k = 0; k < r->n_needed; k++)
			TRY(read_shared(o, a, o->auth.p[r->auth_at + k], &tx));
	}
	return NULL;
}

/* Those of this room. */
static err *parents_of(struct outliers *o, struct arena *a, const struct outlier_rec *r, const struct event **out,
		       size_t *out_n)
{
	size_t n = 0;

	for (size_t k = 0; k < r->n_auth; k++) {
		const struct outlier_name *name = &o->names.p[o->auth.p[r->auth_at + k]];
		struct event *ev = name->read;

		if (name->elsewhere)
			continue;
		assert(name->usable);
		if (!ev)
			TRY(outliers_read(o, a, name->rec - 1, &ev));
		out[n++] = ev;
	}
	*out_n = n;
	return NULL;
}

/* "Passes authorisation rules based on the event's auth events", with the create event, which the room's id names where
 * they do not. */
static err *check(const struct outliers *o, struct arena *a, const struct event *ev, const struct event *create,
		  const struct event **auth, size_t n)
{
	struct state_list list = { auth, n };

	TRY(auth_check_auth_events(a, o->rv, ev, auth, n));
	if (create)
		auth[list.n++] = create;
	TRY(auth_check(a, o->rv, ev, state_list_lookup, &list));
	/* The rules let every m.room.create pass that is one by itself. */
	if (str_eq(ev->type, S("m.room.create")) && !str_is_none(o->create_id) && !str_eq(ev->event_id, o->create_id))
		return err_new(a, ERR_FORBIDDEN, "the room has another create event");
	return NULL;
}

static err *judge(struct outliers *o, struct arena *a, struct outlier_ready *x)
{
	const struct outlier_rec *r = &o->recs.p[x->rec];
	const struct event **auth = ARENA_ARRAY(a, const struct event *, r->n_auth + 1);
	int64_t *nids = ARENA_ARRAY(a, int64_t, r->n_auth);
	const struct event *create;
	size_t n;
	err *e;

	TRY(outliers_read(o, a, x->rec, &x->ev));
	TRY(parents_of(o, a, r, auth, &n));
	for (size_t k = 0; k < n; k++)
		nids[k] = auth[k]->nid;
	x->auths = store_nids_pack(a, nids, n);
	x->entry = (struct auth_entry){
		.event = x->ev->nid,
		.parents = auth_parents(a, x->ev, auth, n),
		.n_parents = n,
	};
	create = r->n_needed > r->n_auth ? o->names.p[o->auth.p[r->auth_at + r->n_auth]].read : NULL;
	e = n < r->n_auth ? err_new(a, ERR_FORBIDDEN, "auth_events has an event of another room")
			  : check(o, a, x->ev, create, auth, n);
	if (e && e->code != ERR_FORBIDDEN)
		return e;
	x->ev->rejected = e != NULL;
	if (e)
		log_info(o->rs->opt.log, "outlier rejected", F("room_id", o->room_id), F("event_id", x->ev->event_id),
			 F("why", e->msg), F("rule", auth_rule_text(a, o->rv, auth_rule_of(e))));
	return NULL;
}

static void judge_slice(void *ctx, size_t from, size_t to)
{
	const struct judging *j = ctx;
	const size_t slice = from / OUTLIER_SLICE;

	for (size_t i = from; i < to && !j->errors[slice]; i++)
		j->errors[slice] = judge(j->o, j->arenas[slice], &j->list[i]);
}

err *outliers_judge(struct outliers *o, struct arena *a, struct outlier_ready *list, size_t n, struct arena **arenas)
{
	const size_t slices = (n + OUTLIER_SLICE - 1) / OUTLIER_SLICE;
	struct judging j = { o, list, arenas, ARENA_ARRAY(a, err *, slices) };

	for (size_t i = 0; i < slices; i++)
		arenas[i] = arena_new();
	TRY(read_all_shared(o, a, list, n));
	if (o->pool) {
		pool_each(o->pool, n, OUTLIER_SLICE, judge_slice, &j);
	} else {
		for (size_t from = 0; from < n; from += OUTLIER_SLICE)
			judge_slice(&j, from, MIN(n, from + OUTLIER_SLICE));
	}
	for (size_t i = 0; i < slices; i++)
		if (j.errors[i])
			return err_keep(a, j.errors[i]);
	for (size_t i = 0; i < n; i++) {
		struct outlier_name *name = &o->names.p[o->recs.p[list[i].rec].name];

		name->rejected = list[i].ev->rejected;
		name->usable = true;
	}
	return NULL;
}
