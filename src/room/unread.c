/*
 * unread.c - how much is unread: the rows of `notify` above what was read are counted once, and from then on only what
 * is new.
 *
 * A tally says what stood unread for one user in one room at a stream position, thread by thread. It moves on to a
 * later position by reading the rows in between; by nothing at all where there are none, which the room's group knows:
 * every event that is stored passes unread_note_stored before the bus lets readers see it. What a group cannot know,
 * events that passed before it was made, lies at or below its `known_from`: there the store is asked. The group also
 * remembers the room's newest rows themselves, so that a message that goes to a thousand waiting readers is not read a
 * thousand times.
 *
 * Counted anew is what went out of date: when a receipt of the user moved since (its own position tells; everything
 * that a tally does not count is read, so it need not remember how far), when an event of the room was redacted (its
 * row then notifies nobody), when the user ignores others than before. "When the user updates their read receipt
 * (either by using the API or by sending an event), notifications prior to and including that event MUST be marked as
 * read": an own event's row ends what is unread in its thread.
 *
 * Only threads with something unread are kept, so a tally is as small as what it tells. docs/internals/notify.md.
 */
#include "room/internal_notify.h"
#include "room/internal_room.h"
#include "store/receipts.h"

#include <stdlib.h>

enum { TALLIES_MAX = 100000, PLACES_MAX = 500000, RECENT_MAX = 16, SPECIAL_MAX = 1024 };

struct tally {
	struct list lru;
	struct key {
		int64_t room, user;
	} key;
	int64_t since, upto;
	uint64_t ignored; /* whose events were left out */
	struct unread_thread *places;
	size_t n;
	struct group *group;
};
struct group { /* of one room */
	int64_t room, known_from;
	int64_t last, redacted;    /* the newest position of any event, of a redaction, since it was made */
	size_t n;                  /* tallies */
	struct notify_row *recent; /* room for RECENT_MAX, or NULL; oldest first. Their `special` is owned */
	size_t n_recent;
	int64_t recent_above; /* every row above this position is in `recent` */
};

static str key_of(const struct key *k) { return (str){ (const char *)k, sizeof(*k) }; }

void unread_cache_init(struct unread_cache *c)
{
	*c = (struct unread_cache){ 0 };
	lock_init(&c->lock, RANK_SERVICE);
	map_init(&c->entries, NULL);
	map_init(&c->rooms, NULL);
	list_init(&c->lru);
}

/* The n oldest of the rows in memory go. */
static void forget_recent(struct group *g, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g->recent_above = MAX(g->recent_above, g->recent[i].stream);
		mem_free((void *)g->recent[i].special.p);
	}
	g->n_recent -= n;
	if (g->n_recent)
		memmove(g->recent, g->recent + n, g->n_recent * sizeof(*g->recent));
}

static void remember_row(struct group *g, const struct notify_row *row)
{
	if (row->special.n > SPECIAL_MAX) {
		forget_recent(g, g->n_recent);
		g->recent_above = MAX(g->recent_above, row->stream);
		return;
	}
	if (!g->recent)
		g->recent = mem_alloc(RECENT_MAX * sizeof(*g->recent));
	if (g->n_recent == RECENT_MAX)
		forget_recent(g, RECENT_MAX / 4);
	g->recent[g->n_recent] = *row;
	g->recent[g->n_recent++].special = str_keep(row->special);
}

static void drop(struct unread_cache *c, struct tally *t)
{
	(void)map_del(&c->entries, key_of(&t->key));
	list_del(&t->lru);
	c->n--;
	c->n_places -= t->n;
	if (--t->group->n == 0) {
		(void)map_del_i(&c->rooms, t->group->room);
		forget_recent(t->group, t->group->n_recent);
		mem_free(t->group->recent);
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
	if (!g)
		return;
	g->last = MAX(g->last, ev->row->stream);
	if (!str_is_none(ev->event->redacts))
		g->redacted = MAX(g->redacted, ev->row->stream);
	if (ev->prepared)
		remember_row(g, ev->prepared);
}

/*
 * Counting, outside the lock
 */
struct place {        /* of one thread */
	int64_t read; /* read up to this stream position */
	struct unread_thread t;
};
struct work {
	const struct unread_query *q;
	struct arena *a;
	struct store *store;
	struct tx **tx; /* opened when needed */
	uint64_t ignored;
	int64_t upto;     /* what is counted so far */
	int64_t read_all; /* read by an unthreaded receipt */
	struct map index; /* thread > struct place */
	VEC(struct place *) places;
	VEC(struct notify_row) recent; /* all rows above `upto`, if recent_known */
	bool recent_known;
};

static err *need_tx(struct work *w) { return *w->tx ? NULL : store_read(w->store, w->a, w->tx); }

static struct place *place_of(struct work *w, int64_t thread)
{
	struct place *p = map_get_i(&w->index, thread);

	if (p)
		return p;
	p = ARENA_NEW(w->a, struct place);
	p->t.root = thread;
	(void)map_put_i(&w->index, thread, p);
	vec_push(w->a, &w->places, p);
	return p;
}

/* Reads the user's receipts; true when one moved after what was counted. */
static err *load_receipts(struct work *w, bool *out_moved)
{
	struct receipt_row *rows;
	size_t n;

	*out_moved = false;
	TRY(need_tx(w));
	TRY(store_receipts_of(*w->tx, w->q->room, w->q->user, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		int64_t *read = rows[i].thread == THREAD_NONE ? &w->read_all : &place_of(w, rows[i].thread)->read;

		*read = MAX(*read, rows[i].upto);
		*out_moved = *out_moved || rows[i].stream > w->upto;
	}
	return NULL;
}

static int by_number(const void *x, const void *y)
{
	const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;

	return (p > q) - (p < q);
}

static bool is_ignored(const struct unread_query *q, int64_t sender)
{
	return q->n_ignored && bsearch(&sender, q->ignored, q->n_ignored, sizeof(*q->ignored), by_number);
}

static void count_row(void *arg, const struct notify_row *row)
{
	struct work *w = arg;
	unsigned flags;
	struct place *p;

	if (row->sender == w->q->user) {
		p = map_get_i(&w->index, row->thread);
		if (p)
			p->t.count = (struct unread_count){ 0 };
		return;
	}
	flags = notify_flags_for(row, w->q->user);
	if (!flags || row->stream <= w->q->since || row->stream <= w->read_all || is_ignored(w->q, row->sender))
		return;
	p = place_of(w, row->thread);
	if (row->stream <= p->read)
		return;
	p->t.count.notify += flags & NOTIFY ? 1 : 0;
	p->t.count.highlight += flags & NOTIFY_HIGHLIGHT ? 1 : 0;
}

static err *count(struct work *w, int64_t above)
{
	TRY(need_tx(w));
	return store_notify_each(*w->tx, w->q->room, above, w->q->upto, count_row, w);
}

static err *count_new(struct work *w)
{
	if (!w->recent_known)
		return count(w, w->upto);
	for (size_t i = 0; i < w->recent.n; i++)
		count_row(w, &w->recent.p[i]);
	return NULL;
}

static err *count_anew(struct work *w)
{
	for (size_t i = 0; i < w->places.n; i++)
		w->places.p[i]->t.count = (struct unread_count){ 0 };
	return count(w, MAX(w->q->since, w->read_all));
}

/*
 * The tallies
 */
struct taken {
	bool counted; /* there is a tally to go on from */
	bool rows;    /* there may be rows since */
};

static bool has_any(const struct tally *t) { return t->n > 0; }

/* The rows above the tally, from memory; not when one of them may have been redacted since. */
static void take_recent(struct work *w, const struct group *g)
{
	w->recent_known = w->upto >= g->recent_above && g->redacted <= w->upto;
	for (size_t i = 0; w->recent_known && i < g->n_recent; i++) {
		struct notify_row row = g->recent[i];

		if (row.stream <= w->upto || row.stream > w->q->upto)
			continue;
		row.special = arena_keep(w->a, row.special);
		vec_push(w->a, &w->recent, row);
	}
}

static struct taken take(struct notify *n, struct work *w)
{
	struct unread_cache *c = &n->unread;
	const struct key key = { w->q->room, w->q->user };
	struct tally *t;
	bool unknown;

	LOCKED(&c->lock);
	t = map_get(&c->entries, key_of(&key));
	if (!t || t->since != w->q->since || t->upto > w->q->upto || t->ignored != w->ignored)
		return (struct taken){ 0 };
	unknown = t->upto < t->group->known_from;
	/* What is redacted was counted, if anything was. */
	if (has_any(t) && (unknown || t->group->redacted > t->upto))
		return (struct taken){ 0 };
	list_del(&t->lru);
	list_add_head(&c->lru, &t->lru);
	w->upto = t->upto;
	for (size_t i = 0; i < t->n; i++)
		place_of(w, t->places[i].root)->t = t->places[i];
	take_recent(w, t->group);
	return (struct taken){ .counted = true, .rows = unknown || t->group->last > t->upto };
}

static struct group *group_of(struct unread_cache *c, const struct bus *bus, int64_t room)
{
	struct group *g = map_get_i(&c->rooms, room);

	if (g)
		return g;
	g = MEM_NEW(struct group);
	*g = (struct group){ .room = room, .known_from = MAX(c->newest, bus_position(bus)) };
	g->recent_above = g->known_from;
	(void)map_put_i(&c->rooms, room, g);
	return g;
}

static struct tally *tally_of(struct unread_cache *c, const struct bus *bus, const struct work *w)
{
	const struct key key = { w->q->room, w->q->user };
	struct tally *t = map_get(&c->entries, key_of(&key));

	if (t)
		return t;
	t = MEM_NEW(struct tally);
	t->key = key;
	t->group = group_of(c, bus, w->q->room);
	t->group->n++;
	list_add_head(&c->lru, &t->lru);
	(void)map_put(&c->entries, key_of(&t->key), t);
	c->n++;
	return t;
}

static void keep(struct notify *n, const struct work *w, const struct unread *u)
{
	const size_t kept = u->n_threads + (u->main.notify || u->main.highlight);
	struct unread_cache *c = &n->unread;
	struct tally *t;

	LOCKED(&c->lock);
	t = tally_of(c, rooms_options(n->rooms)->bus, w);
	if (t->since == w->q->since && t->ignored == w->ignored && t->upto > w->q->upto)
		return; /* another request is further */
	c->n_places = c->n_places - t->n + kept;
	t->since = w->q->since;
	t->upto = w->q->upto;
	t->ignored = w->ignored;
	t->n = kept;
	t->places = mem_realloc(t->places, MAX(kept, 1) * sizeof(*t->places));
	if (u->n_threads)
		memcpy(t->places, u->threads, u->n_threads * sizeof(*t->places));
	if (kept > u->n_threads)
		t->places[u->n_threads] = (struct unread_thread){ THREAD_MAIN, u->main };
	while ((c->n > TALLIES_MAX || c->n_places > PLACES_MAX) && c->lru.prev != c->lru.next)
		drop(c, LIST_ITEM(c->lru.prev, struct tally, lru));
}

static void give(const struct work *w, struct unread *out)
{
	VEC(struct unread_thread) threads = { 0 };

	*out = (struct unread){ 0 };
	for (size_t i = 0; i < w->places.n; i++) {
		const struct unread_thread *t = &w->places.p[i]->t;

		out->all.notify += t->count.notify;
		out->all.highlight += t->count.highlight;
		if (t->root == THREAD_MAIN)
			out->main = t->count;
		else if (t->count.notify || t->count.highlight)
			vec_push(w->a, &threads, *t);
	}
	out->threads = threads.p;
	out->n_threads = threads.n;
}

/* May one of the user's receipts in the room have moved since? Never false when one did. */
static bool receipts_may_have_moved(const struct notify *n, const struct work *w)
{
	const struct bus_room_news *news = w->q->news;
	struct bus_known known;

	if (!bus_known(rooms_options(n->rooms)->bus, w->q->user, &known) || known.since > w->upto)
		return true;
	/* The room hears of all but private ones. */
	if (known.own[BUS_RECEIPTS] > w->upto)
		return true;
	return news && news->since <= w->upto ? news->last[BUS_RECEIPTS] > w->upto : known.last[BUS_RECEIPTS] > w->upto;
}

err *notify_unread(struct notify *n, struct arena *a, struct tx **tx, const struct unread_query *q, struct unread *out)
{
	struct work w = { .q = q, .a = a, .store = rooms_options(n->rooms)->store, .tx = tx };
	struct taken taken;
	bool moved = false;

	map_init(&w.index, a);
	for (size_t i = 0; i < q->n_ignored; i++)
		w.ignored = hash_i64((int64_t)w.ignored ^ q->ignored[i]);
	taken = take(n, &w);
	if (!taken.counted || receipts_may_have_moved(n, &w))
		TRY(load_receipts(&w, &moved));
	if (!taken.counted || moved)
		TRY(count_anew(&w));
	else if (taken.rows)
		TRY(count_new(&w));
	give(&w, out);
	keep(n, &w, out);
	return NULL;
}
