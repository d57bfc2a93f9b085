/*
 * inbound_queue.c - who has what waiting: rooms in turn, each with what is ready and what waits for other events.
 *
 * Everything here is bounded. An origin that has enough waiting is told to come again (nothing is lost); of a room that
 * has enough what comes is dropped, which is found out and fetched when a later event names it. What waits for others
 * may do so for days; of that, the oldest goes, of the origin that has the most. Rooms are served in turn, a batch
 * each, so that a flood in one delays no other.
 */
#include "room/receive/internal_inbound.h"

#include <assert.h>

#include "base/clock.h"
#include "base/rand.h"

static const struct bound most_of_origin = { 10000, (size_t)128 << 20 }, most_of_room = { 5000, (size_t)64 << 20 };
/* Of what waits. One origin may have a fifth of a room's; a fifth of what it may have staged; and all, of all. */
enum { WAITING_ROOM = 500, WAITING_ROOM_ORIGIN = 100, WAITING_ORIGIN = 2000, WAITING_MOST = 10000 };

static bool is_beyond(struct bound b, struct bound most) { return b.n >= most.n || b.bytes >= most.bytes; }

static void grow(struct bound *b, size_t bytes)
{
	b->n++;
	b->bytes += bytes;
}

static void shrink(struct bound *b, size_t bytes)
{
	assert(b->n > 0 && b->bytes >= bytes);
	b->n--;
	b->bytes -= bytes;
}

static struct bound most_at_all(const struct inbound *in)
{
	const size_t n = in->opt.max_waiting ? in->opt.max_waiting : 50000;

	return (struct bound){ n, (size_t)512 << 20 };
}

bool inbound_has_enough(const struct inbound *in, const struct inbound_origin *origin)
{
	struct bound most = most_of_origin;

	if (in->opt.max_waiting_origin)
		most.n = in->opt.max_waiting_origin;
	return is_beyond(origin->staged, most) || is_beyond(in->staged, most_at_all(in));
}

static bool room_has_enough(const struct inbound *in, const struct inbound_room *room)
{
	struct bound most = most_of_room;

	if (in->opt.max_waiting_room)
		most.n = in->opt.max_waiting_room;
	return is_beyond(room->staged, most);
}

/* A struct with a text behind it. */
static void *new_named(size_t size, str text, str *out)
{
	char *p = mem_zalloc(size + text.n);

	memcpy(p + size, text.p, text.n);
	*out = (str){ p + size, text.n };
	return p;
}

struct inbound_room *inbound_room(struct inbound *in, str room_id, int64_t nid, const struct room_version *rv)
{
	struct inbound_room *room = map_get(&in->rooms, room_id);
	str text;

	lock_assert_held(&in->lock);
	if (room)
		return room;
	room = new_named(sizeof(*room), room_id, &text);
	room->room_id = text;
	room->nid = nid;
	room->rv = rv;
	list_init(&room->runnable);
	list_init(&room->napping);
	list_init(&room->ready);
	list_init(&room->waiting);
	map_init(&room->by_event_id, NULL);
	map_init(&room->awaited, NULL);
	(void)map_put(&in->rooms, room->room_id, room);
	(void)map_put_i(&in->rooms_by_nid, nid, room);
	return room;
}

void inbound_room_done(struct inbound *in, struct inbound_room *room)
{
	if (room->staged.n || room->busy || room->joining)
		return;
	list_del(&room->runnable);
	list_del(&room->napping);
	(void)map_del(&in->rooms, room->room_id);
	(void)map_del_i(&in->rooms_by_nid, room->nid);
	map_done(&room->by_event_id);
	map_done(&room->awaited);
	mem_free(room);
}

struct inbound_origin *inbound_origin(struct inbound *in, str name, int64_t nid)
{
	struct inbound_origin *o = map_get(&in->origins, name);
	str text;

	lock_assert_held(&in->lock);
	if (o)
		return o;
	o = new_named(sizeof(*o), name, &text);
	o->name = text;
	o->nid = nid;
	list_init(&o->waiting);
	(void)map_put(&in->origins, o->name, o);
	return o;
}

void inbound_origin_done(struct inbound *in, struct inbound_origin *o)
{
	if (o->staged.n || o->under_way)
		return;
	(void)map_del(&in->origins, o->name);
	mem_free(o);
}

struct staged *staged_new(struct inbound *in, struct inbound_room *room, struct inbound_origin *origin, int64_t id,
			  str event_id, size_t size, int64_t received, bool anyhow)
{
	struct staged *s;
	str text;

	if (!anyhow && (room_has_enough(in, room) || inbound_has_enough(in, origin)))
		return NULL;
	s = new_named(sizeof(*s), event_id, &text);
	s->event_id = text;
	s->room = room;
	s->origin = origin;
	s->id = id;
	s->size = size;
	s->received = received;
	list_init(&s->node);
	list_init(&s->by_origin);
	grow(&in->staged, size);
	grow(&room->staged, size);
	grow(&origin->staged, size);
	(void)map_put_i(&in->by_id, id, s);
	if (!map_get(&room->by_event_id, s->event_id))
		(void)map_put(&room->by_event_id, s->event_id, s);
	inbound_tell_size(in);
	return s;
}

/* Who waits for it is one further; `look`: they are looked at anew in any case. */
static void pass_by(struct inbound *in, struct inbound_room *room, str event_id, bool look)
{
	struct awaited *what = map_del(&room->awaited, event_id);
	struct list *it;

	while (what && (it = list_pop(&what->refs))) {
		struct ref *ref = LIST_ITEM(it, struct ref, node);
		struct staged *who = ref->who;

		ref->what = NULL;
		who->lacking--;
		if (!look && who->lacking > 0)
			continue;
		staged_unwait(in, who);
		staged_ready(in, who);
	}
	mem_free(what);
}

void staged_free(struct inbound *in, struct staged *s)
{
	struct inbound_room *room = s->room;
	struct inbound_origin *origin = s->origin;

	lock_assert_held(&in->lock);
	staged_unwait(in, s);
	list_del(&s->node);
	(void)map_del_i(&in->by_id, s->id);
	if (map_get(&room->by_event_id, s->event_id) == s)
		(void)map_del(&room->by_event_id, s->event_id);
	shrink(&in->staged, s->size);
	shrink(&room->staged, s->size);
	shrink(&origin->staged, s->size);
	pass_by(in, room, s->event_id, true);
	mem_free(s);
	inbound_origin_done(in, origin);
	inbound_tell_size(in);
}

void staged_ready(struct inbound *in, struct staged *s)
{
	lock_assert_held(&in->lock);
	assert(!s->waits);
	list_del(&s->node);
	list_add_tail(&s->room->ready, &s->node);
	inbound_run(in, s->room);
}

void inbound_run(struct inbound *in, struct inbound_room *room)
{
	if (room->busy || room->joining || list_is_empty(&room->ready) || !list_is_empty(&room->runnable))
		return;
	if (room->again_us > clock_mono_us()) {
		inbound_nap(in, room, room->again_us);
		return;
	}
	list_add_tail(&in->runnable, &room->runnable);
	cond_signal(&in->work);
}

void inbound_nap(struct inbound *in, struct inbound_room *room, int64_t until_us)
{
	if (list_is_empty(&room->napping))
		list_add_tail(&in->napping, &room->napping);
	if (until_us >= in->nap_until_us)
		return;
	in->nap_until_us = until_us;
	cond_signal(&in->work);
}

/*
 * Rooms with many extremities: a while later, by chance, so that servers do not all merge at once. A newcomer waits
 * for less, while it takes in what it was told, and only we know of it: the next to say something spares us that.
 */
enum { CROWDED_MOST = 1000 };
#define CROWDED_US  INT64_C(60000000)
#define NEWCOMER_US INT64_C(3000000)

static struct crowded *add_crowded(struct inbound *in, str room_id)
{
	struct crowded *c;
	str text;

	if (in->crowded.n >= CROWDED_MOST)
		return NULL;
	c = new_named(sizeof(*c), room_id, &text);
	c->room_id = text;
	c->due_us = INT64_MAX;
	c->newcomer = false;
	(void)map_put(&in->crowded, c->room_id, c);
	list_add_tail(&in->crowds, &c->node);
	return c;
}

void inbound_note_crowded(void *ctx, str room_id, bool newcomer)
{
	const int64_t pause = newcomer ? NEWCOMER_US : CROWDED_US + (int64_t)(rand_u64() % (uint64_t)CROWDED_US);
	struct inbound *in = ctx;
	struct crowded *c;

	LOCKED(&in->lock);
	c = map_get(&in->crowded, room_id);
	if (c && (c->newcomer || !newcomer))
		return;
	if (!c)
		c = add_crowded(in, room_id);
	if (!c)
		return;
	c->newcomer = newcomer;
	c->due_us = MIN(c->due_us, clock_mono_us() + pause);
	in->nap_until_us = MIN(in->nap_until_us, c->due_us);
	cond_signal(&in->work);
}

struct crowded *inbound_crowded_due(struct inbound *in, int64_t now)
{
	LIST_EACH (&in->crowds, it) {
		struct crowded *c = LIST_ITEM(it, struct crowded, node);

		if (c->due_us > now) {
			in->nap_until_us = MIN(in->nap_until_us, c->due_us);
			continue;
		}
		list_del(it);
		(void)map_del(&in->crowded, c->room_id);
		return c;
	}
	return NULL;
}

/*
 * Waiting
 */
static struct staged *older(struct staged *s, struct staged *than) { return !than || s->id < than->id ? s : than; }

static struct staged *oldest_of(struct inbound_origin *o)
{
	struct staged *oldest = NULL;

	LIST_EACH (&o->waiting, it)
		oldest = older(LIST_ITEM(it, struct staged, by_origin), oldest);
	return oldest;
}

static struct inbound_origin *with_most(struct inbound *in)
{
	struct inbound_origin *most = NULL;
	void *o;
	str name;

	for (size_t i = 0; map_next(&in->origins, &i, &name, &o);)
		if (!most || ((struct inbound_origin *)o)->n_waiting > most->n_waiting)
			most = o;
	return most;
}

/* Of those that have the most waiting in a room; `mine` is one of them where it has its share. */
static struct staged *oldest_in(struct inbound_room *room, struct inbound_origin *mine)
{
	struct inbound_origin *most = mine;
	struct staged *oldest = NULL;

	mine->n_here = 0;
	LIST_EACH (&room->waiting, it)
		LIST_ITEM(it, struct staged, node)->origin->n_here = 0;
	LIST_EACH (&room->waiting, it) {
		struct inbound_origin *o = LIST_ITEM(it, struct staged, node)->origin;

		if (++o->n_here > most->n_here)
			most = o;
	}
	if (mine->n_here >= WAITING_ROOM_ORIGIN)
		most = mine;
	else if (room->n_waiting < WAITING_ROOM)
		return NULL;
	LIST_EACH (&room->waiting, it)
		if (LIST_ITEM(it, struct staged, node)->origin == most)
			oldest = older(LIST_ITEM(it, struct staged, node), oldest);
	return oldest;
}

struct staged *staged_too_many(struct inbound *in, const struct staged *s)
{
	lock_assert_held(&in->lock);
	if (s->origin->n_waiting >= WAITING_ORIGIN)
		return oldest_of(s->origin);
	if (atomic_load(&in->n_waiting) >= WAITING_MOST)
		return oldest_of(with_most(in));
	return s->room->n_waiting >= WAITING_ROOM_ORIGIN ? oldest_in(s->room, s->origin) : NULL;
}

#define WAKE_PAUSE_US (INT64_C(600) * 1000000)
#define SOON_US       (INT64_C(60) * 1000000) /* then it is asked for anyway */

void inbound_origin_talks(struct inbound *in, struct inbound_origin *o)
{
	const int64_t now = clock_mono_us();

	lock_assert_held(&in->lock);
	if (!o->n_waiting || (o->woken_us && now < o->woken_us + WAKE_PAUSE_US))
		return;
	o->woken_us = now;
	LIST_EACH_SAFE (&o->waiting, it) {
		struct staged *s = LIST_ITEM(it, struct staged, by_origin);

		if (s->again_us <= now + SOON_US)
			continue;
		s->rest_us = 0;
		staged_unwait(in, s);
		staged_ready(in, s);
	}
}

static struct awaited *await(struct inbound_room *room, str event_id)
{
	struct awaited *what = map_get(&room->awaited, event_id);
	str text;

	if (what)
		return what;
	what = new_named(sizeof(*what), event_id, &text);
	what->event_id = text;
	list_init(&what->refs);
	(void)map_put(&room->awaited, what->event_id, what);
	return what;
}

/* An event may be named twice: as a prev_event and an auth_event. */
static void add_ref(struct staged *s, struct awaited *what)
{
	struct ref *ref = &s->refs[s->n_refs];

	for (size_t i = 0; i < s->n_refs; i++)
		if (s->refs[i].what == what)
			return;
	*ref = (struct ref){ .who = s, .what = what };
	list_add_tail(&what->refs, &ref->node);
	s->n_refs++;
}

void staged_wait(struct inbound *in, struct staged *s, const str *missing, size_t n)
{
	struct inbound_room *room = s->room;

	lock_assert_held(&in->lock);
	assert(!s->waits && n > 0);
	s->waits = true;
	s->refs = mem_zalloc(n * sizeof(*s->refs));
	for (size_t i = 0; i < n; i++)
		add_ref(s, await(room, missing[i]));
	s->lacking = s->n_refs;
	list_del(&s->node);
	list_add_tail(&room->waiting, &s->node);
	list_add_tail(&s->origin->waiting, &s->by_origin);
	room->n_waiting++;
	s->origin->n_waiting++;
	atomic_fetch_add(&in->n_waiting, 1);
	inbound_tell_size(in);
}

void staged_unwait(struct inbound *in, struct staged *s)
{
	struct inbound_room *room = s->room;

	if (!s->waits)
		return;
	for (size_t i = 0; i < s->n_refs; i++) {
		struct awaited *what = s->refs[i].what;

		if (!what)
			continue;
		list_del(&s->refs[i].node);
		if (!list_is_empty(&what->refs))
			continue;
		(void)map_del(&room->awaited, what->event_id);
		mem_free(what);
	}
	mem_free(s->refs);
	s->refs = NULL;
	s->n_refs = s->lacking = 0;
	s->waits = s->hopes = false;
	s->again_us = 0;
	list_del(&s->node);
	list_del(&s->by_origin);
	room->n_waiting--;
	s->origin->n_waiting--;
	atomic_fetch_sub(&in->n_waiting, 1);
}

/* Does it hope, in the end, for this one? Where senders name events, these may name each other. */
static bool hopes_for(struct inbound *in, struct staged *who, const struct staged *s)
{
	if (who == s)
		return true;
	if (!who->hopes || who->looked_at == in->looks)
		return false;
	who->looked_at = in->looks;
	for (size_t i = 0; i < who->n_refs; i++) {
		const struct awaited *what = who->refs[i].what;
		struct staged *it = what ? map_get(&who->room->by_event_id, what->event_id) : NULL;

		if (it && hopes_for(in, it, s))
			return true;
	}
	return false;
}

bool staged_is_coming(struct inbound *in, const struct staged *s)
{
	lock_assert_held(&in->lock);
	in->looks++;
	for (size_t i = 0; i < s->n_refs; i++) {
		const struct awaited *what = s->refs[i].what;
		struct staged *it = what ? map_get(&s->room->by_event_id, what->event_id) : NULL;

		if (what && (!it || (it->waits && !it->fetching && !it->hopes) || hopes_for(in, it, s)))
			return false;
	}
	return true;
}

void inbound_on_stored(void *ctx, const struct rooms_stored *ev)
{
	struct inbound *in = ctx;
	struct inbound_room *room;

	if (atomic_load(&in->n_waiting) == 0)
		return;
	LOCKED(&in->lock);
	room = map_get_i(&in->rooms_by_nid, ev->room);
	if (room)
		pass_by(in, room, ev->row->event_id, false);
}
