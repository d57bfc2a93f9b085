/*
 * outlier_order.c - which outliers are known, and an order for the others in which parents come first.
 *
 * Levels: an event stands one above the highest of its auth_events. What is on one level can be judged at the same
 * time. An event that never gets a level names what nobody has, or itself by a detour (room versions 1 and 2 allow a
 * server to make such circles).
 */
#include "room/receive/internal_outlier.h"

#include "store/events.h"

enum { LOOK_UP = 500, POPULAR = 8 };

static err *look_up(struct outliers *o, struct tx *tx, struct arena *a, size_t from, size_t n)
{
	str *ids = ARENA_ARRAY(a, str, n);
	struct event_mark *marks;
	size_t n_marks;

	for (size_t i = 0; i < n; i++)
		ids[i] = o->names.p[from + i].event_id;
	TRY(store_event_marks(tx, ids, n, &marks, &n_marks));
	for (size_t i = 0; i < n_marks; i++) {
		struct outlier_name *name = &o->names.p[(uint32_t)(uintptr_t)map_get(&o->by_id, marks[i].event_id) - 1];

		name->nid = marks[i].nid;
		name->elsewhere = marks[i].room != o->room;
		name->stored = name->usable = !name->elsewhere && marks[i].flags & EVENT_STATE;
		name->rejected = marks[i].flags & EVENT_REJECTED;
		if (name->stored && name->rec) {
			o->recs.p[name->rec - 1].type = marks[i].type;
			o->recs.p[name->rec - 1].key = marks[i].state_key;
		}
	}
	return NULL;
}

static err *look_up_some(struct outliers *o, struct arena *a, size_t from)
{
	AUTO_TX tx = NULL;

	TRY(store_read(o->rs->opt.store, a, &tx));
	return look_up(o, tx, a, from, MIN((size_t)LOOK_UP, o->names.n - from));
}

static err *look_up_all(struct outliers *o, struct arena *a)
{
	AUTO_ARENA scratch = arena_new();

	for (size_t from = 0; from < o->names.n; from += LOOK_UP) {
		const err *e;

		arena_reset(scratch);
		e = look_up_some(o, scratch, from);
		if (e)
			return err_keep(a, e);
	}
	return NULL;
}

struct ordering {
	uint32_t *waits; /* a rec: how many of its auth_events have no level yet */
	uint32_t *first; /* a name: where its children begin in `children` */
	uint32_t *children;
};

static bool is_new(const struct outliers *o, const struct outlier_rec *r)
{
	const struct outlier_name *name = &o->names.p[r->name];

	return r->is_state && !name->stored && !name->elsewhere;
}

/* Who names whom. */
static void link_children(struct outliers *o, struct ordering *x)
{
	uint32_t *next, at = 0;

	for (size_t i = 0; i < o->auth.n; i++)
		x->first[o->auth.p[i]]++;
	for (size_t i = 0; i <= o->names.n; i++) {
		const uint32_t n = x->first[i];

		if (i < o->names.n)
			o->names.p[i].popular = n >= POPULAR || str_eq(o->names.p[i].event_id, o->create_id);
		x->first[i] = at;
		at += n;
	}
	next = mem_alloc((o->names.n + 1) * sizeof(*next));
	memcpy(next, x->first, (o->names.n + 1) * sizeof(*next));
	for (size_t rec = 0; rec < o->recs.n; rec++)
		for (size_t k = 0; k < o->recs.p[rec].n_needed; k++)
			x->children[next[o->auth.p[o->recs.p[rec].auth_at + k]]++] = (uint32_t)rec;
	mem_free(next);
}

/* Who names another room's event is rejected for it, whatever else there is. */
static bool waits_for(const struct outlier_name *name) { return !name->usable && !name->elsewhere; }

/* The lowest level: those that stand on what is stored alone. */
static void begin_levels(struct outliers *o, struct ordering *x)
{
	for (size_t rec = 0; rec < o->recs.n; rec++) {
		const struct outlier_rec *r = &o->recs.p[rec];

		if (!is_new(o, r))
			continue;
		for (size_t k = 0; k < r->n_needed; k++)
			x->waits[rec] += waits_for(&o->names.p[o->auth.p[r->auth_at + k]]);
		if (x->waits[rec] == 0)
			o->order[o->n_order++] = (uint32_t)rec;
	}
}

static void climb(struct outliers *o, struct ordering *x)
{
	VEC(size_t) ends = { 0 };
	size_t at = 0;

	while (at < o->n_order) {
		const size_t end = o->n_order;

		vec_push(o->a, &ends, end);
		for (; at < end; at++) {
			const uint32_t name = o->recs.p[o->order[at]].name;

			for (uint32_t c = x->first[name]; c < x->first[name + 1]; c++) {
				const uint32_t child = x->children[c];

				if (is_new(o, &o->recs.p[child]) && --x->waits[child] == 0)
					o->order[o->n_order++] = child;
			}
		}
	}
	o->level_end = ends.p;
	o->n_levels = ends.n;
}

err *outliers_order(struct outliers *o, struct arena *a)
{
	struct ordering x;

	if (!o->none_here)
		TRY(look_up_all(o, a));
	o->order = ARENA_ARRAY(o->a, uint32_t, o->recs.n);
	o->n_order = 0;
	x.waits = mem_zalloc((o->recs.n + 1) * sizeof(*x.waits));
	x.first = mem_zalloc((o->names.n + 1) * sizeof(*x.first));
	x.children = mem_zalloc((o->auth.n + 1) * sizeof(*x.children));
	link_children(o, &x);
	begin_levels(o, &x);
	climb(o, &x);
	mem_free(x.waits);
	mem_free(x.first);
	mem_free(x.children);
	return NULL;
}
