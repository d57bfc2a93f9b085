/*
 * unread.c - how much is unread: counting `notify` rows above what was read, once, and then only what is new.
 *
 * A tally says, for one user in one room, what stood unread at a stream position. It moves on to a later one by reading the rows in
 * between, and by nothing at all when there are none: the group of a room knows the newest row position since it was made, for every
 * event that is stored passes unread_note_stored before the bus lets readers see it. What a group cannot know, events that passed
 * before it was made, lies at or below its `known_from`: there the store is asked.
 *
 * A receipt is a change of kind BUS_RECEIPTS of its user; when the bus knows of none since the tally, none is read. "When the user
 * updates their read receipt (either by using the API or by sending an event), notifications prior to and including that event MUST be
 * marked as read": an own event counts like a receipt of its thread.
 */
#include "bus/bus.h"
#include "room/internal_notify.h"
#include "room/internal_room.h"
#include "store/receipts.h"

enum { TALLIES_MAX = 20000, PAGE = 2000 };

struct place {          /* of one thread */
	int64_t thread; /* THREAD_MAIN, or the root's number */
	int64_t read;   /* read up to this stream position */
	struct unread_count count;
};
struct tally {
	struct list lru, in_room;
	struct key {
		int64_t room, user;
	} key;
	int64_t since, upto;
	int64_t read_all; /* read by an unthreaded receipt */
	struct place *places;
	size_t n, cap;
	struct group *group;
};
struct group { /* of one room */
	int64_t room, known_from, last;
	struct list tallies;
};

static str key_of(const struct key *k) { return (str){ (const char *)k, sizeof(*k) }; }

void unread_cache_init(struct unread_cache *c)
{
	lock_init(&c->lock, RANK_SERVICE);
	map_init(&c->entries, NULL);
	map_init(&c->rooms, NULL);
	list_init(&c->lru);
}

static void drop(struct unread_cache *c, struct tally *t)
{
	(void)map_del(&c->entries, key_of(&t->key));
	list_del(&t->lru);
	list_del(&t->in_room);
	c->n--;
	if (list_is_empty(&t->group->tallies)) {
		(void)map_del_i(&c->rooms, t->group->room);
		mem_free(t->group);
	}
	mem_free(t->places);
	mem_free(t);
}

void unread_cache_done(struct unread_cache *c)
{
	while (!list_is_empty(&c->lru))
		drop(c, LIST_ITEM(c->lru.next, struct tally, lru));
	map_done(&c->entries);
	map_done(&c->rooms);
	lock_done(&c->lock);
}

void unread_note_stored(void *ctx, const struct rooms_stored *ev)
{
	struct unread_cache *c = &((struct notify *)ctx)->unread;
	struct group *g;

	if (!ev->row->stream)
		return;
	LOCKED(&c->lock);
	c->newest = MAX(c->newest, ev->row->stream);
	g = map_get_i(&c->rooms, ev->room);
	if (g)
		g->last = MAX(g->last, ev->row->stream);
}

/* A tally as it is worked with, outside the lock: places in an arena. */
struct work {
	int64_t room, user, since, upto, read_all;
	VEC(struct place) places;
};

static struct place *place_of(struct arena *a, struct work *w, int64_t thread)
{
	for (size_t i = 0; i < w->places.n; i++)
		if (w->places.p[i].thread == thread)
			return &w->places.p[i];
	vec_push(a, &w->places, (struct place){ .thread = thread });
	return &w->places.p[w->places.n - 1];
}

/* Reads the user's receipts; true when they differ from those that the work was counted with. */
static err *load_receipts(struct arena *a, struct tx *tx, struct work *w, bool *out_changed)
{
	struct receipt_row *rows;
	size_t n;

	*out_changed = false;
	TRY(store_receipts_of(tx, w->room, w->user, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		int64_t *read = rows[i].thread == THREAD_NONE ? &w->read_all : &place_of(a, w, rows[i].thread)->read;

		if (rows[i].stream > w->upto && w->upto)
			*out_changed = true;
		if (rows[i].upto > *read) {
			*read = rows[i].upto;
			*out_changed = true;
		}
	}
	return NULL;
}

static void count_row(struct arena *a, struct work *w, const struct notify_row *row)
{
	const unsigned flags = notify_flags_for(row, w->user);
	struct place *p = place_of(a, w, row->thread);

	if (row->sender == w->user) {
		p->read = MAX(p->read, row->stream);
		p->count = (struct unread_count){ 0 };
		return;
	}
	if (row->stream <= w->since || row->stream <= w->read_all || row->stream <= p->read)
		return;
	p->count.notify += flags & NOTIFY ? 1 : 0;
	p->count.highlight += flags & NOTIFY_HIGHLIGHT ? 1 : 0;
}

static err *count_rows(struct arena *a, struct tx *tx, struct work *w, int64_t above, int64_t upto)
{
	struct notify_row *rows;
	size_t n = PAGE;

	while (n == PAGE && above < upto) {
		TRY(store_notify_rows(tx, w->room, above, upto, PAGE, &rows, &n));
		for (size_t i = 0; i < n; i++)
			count_row(a, w, &rows[i]);
		if (n)
			above = rows[n - 1].stream;
	}
	return NULL;
}

static err *count_anew(struct arena *a, struct tx *tx, struct work *w, int64_t upto)
{
	for (size_t i = 0; i < w->places.n; i++)
		w->places.p[i].count = (struct unread_count){ 0 };
	TRY(count_rows(a, tx, w, MAX(w->since, w->read_all), upto));
	w->upto = upto;
	return NULL;
}

/* Copies a fitting tally out; says what may have changed since it was made. False: there is none. */
static bool take(struct notify *n, struct arena *a, int64_t upto, struct work *w, bool *out_rows_changed)
{
	struct unread_cache *c = &n->unread;
	const struct key key = { w->room, w->user };
	struct tally *t;

	LOCKED(&c->lock);
	t = map_get(&c->entries, key_of(&key));
	if (!t || t->since != w->since || t->upto > upto)
		return false;
	list_del(&t->lru);
	list_add_head(&c->lru, &t->lru);
	w->upto = t->upto;
	w->read_all = t->read_all;
	for (size_t i = 0; i < t->n; i++)
		vec_push(a, &w->places, t->places[i]);
	*out_rows_changed = t->upto < t->group->known_from || t->group->last > t->upto;
	return true;
}

static struct group *group_of(struct unread_cache *c, const struct bus *bus, int64_t room)
{
	struct group *g = map_get_i(&c->rooms, room);

	if (g)
		return g;
	g = MEM_NEW(struct group);
	*g = (struct group){ .room = room, .known_from = MAX(c->newest, bus_position(bus)) };
	list_init(&g->tallies);
	(void)map_put_i(&c->rooms, room, g);
	return g;
}

static struct tally *tally_of(struct unread_cache *c, const struct bus *bus, const struct work *w)
{
	const struct key key = { w->room, w->user };
	struct tally *t = map_get(&c->entries, key_of(&key));

	if (t)
		return t;
	if (c->n >= TALLIES_MAX)
		drop(c, LIST_ITEM(c->lru.prev, struct tally, lru));
	t = MEM_NEW(struct tally);
	t->key = key;
	t->group = group_of(c, bus, w->room);
	list_add_head(&c->lru, &t->lru);
	list_add_head(&t->group->tallies, &t->in_room);
	(void)map_put(&c->entries, key_of(&t->key), t);
	c->n++;
	return t;
}

static void keep(struct notify *n, const struct work *w)
{
	struct unread_cache *c = &n->unread;
	struct tally *t;

	LOCKED(&c->lock);
	t = tally_of(c, rooms_options(n->rooms)->bus, w);
	if (t->since == w->since && t->upto > w->upto)
		return; /* another request is further */
	t->since = w->since;
	t->upto = w->upto;
	t->read_all = w->read_all;
	if (w->places.n > t->cap) {
		t->cap = w->places.n;
		t->places = mem_realloc(t->places, t->cap * sizeof(*t->places));
	}
	t->n = w->places.n;
	if (t->n)
		memcpy(t->places, w->places.p, t->n * sizeof(*t->places));
}

static void give(struct arena *a, const struct work *w, struct unread *out)
{
	VEC(struct unread_thread) threads = { 0 };

	*out = (struct unread){ 0 };
	for (size_t i = 0; i < w->places.n; i++) {
		const struct place *p = &w->places.p[i];

		out->all.notify += p->count.notify;
		out->all.highlight += p->count.highlight;
		if (p->thread == THREAD_MAIN)
			out->main = p->count;
		else if (p->count.notify)
			vec_push(a, &threads, (struct unread_thread){ p->thread, p->count });
	}
	out->threads = threads.p;
	out->n_threads = threads.n;
}

err *notify_unread(struct notify *n, struct arena *a, struct tx *tx, int64_t room, int64_t user, int64_t since,
		   int64_t upto, struct unread *out)
{
	struct work w = { .room = room, .user = user, .since = since };
	bool known, rows_changed = true, receipts_changed = true, anew;
	struct bus_known bk;

	known = take(n, a, upto, &w, &rows_changed);
	if (known && bus_known(rooms_options(n->rooms)->bus, user, &bk) && bk.since <= w.upto)
		receipts_changed = bk.last[BUS_RECEIPTS] > w.upto;
	anew = !known;
	if (receipts_changed) {
		bool different;

		TRY(load_receipts(a, tx, &w, &different));
		anew = anew || different;
	}
	if (anew)
		TRY(count_anew(a, tx, &w, upto));
	else if (rows_changed)
		TRY(count_rows(a, tx, &w, w.upto, upto));
	w.upto = upto;
	keep(n, &w);
	give(a, &w, out);
	return NULL;
}
