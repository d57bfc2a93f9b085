/*
 * facts.c - what /sync asks of a room again and again, in memory: its current root, its counts, its first members.
 *
 * A fact says as of which position it was read. It is believed as long as the bus has listened to the room since, and
 * heard of no event in it. So it is nobody's duty to take it out, and a room that nobody watches has none that is
 * believed.
 */
#include "sync/internal_sync.h"

struct entry {
	struct list lru;
	int64_t room;
	struct room_facts facts;
};
struct facts {
	struct lock lock;
	struct map rooms;
	struct list lru;
};
enum { ENTRIES_MAX = 50000 };

struct facts *facts_new(void)
{
	struct facts *f = MEM_NEW(struct facts);

	lock_init(&f->lock, RANK_SERVICE);
	map_init(&f->rooms, NULL);
	list_init(&f->lru);
	return f;
}

static void drop(struct facts *f, struct entry *e)
{
	(void)map_del_i(&f->rooms, e->room);
	list_del(&e->lru);
	mem_free(e);
}

void facts_free(struct facts **fp)
{
	struct facts *f = *fp;

	if (!f)
		return;
	LIST_EACH_SAFE (&f->lru, it)
		drop(f, LIST_ITEM(it, struct entry, lru));
	map_done(&f->rooms);
	lock_done(&f->lock);
	mem_free(f);
	*fp = NULL;
}

bool facts_known(struct facts *f, int64_t room, const struct bus_room_news *news, int64_t position,
		 struct room_facts *out)
{
	struct entry *e;

	if (!news)
		return false;
	LOCKED(&f->lock);
	e = map_get_i(&f->rooms, room);
	if (!e || e->facts.as_of > position || e->facts.as_of < news->since || e->facts.as_of < news->last[BUS_EVENTS])
		return false;
	list_del(&e->lru);
	list_add_head(&f->lru, &e->lru);
	*out = e->facts;
	return true;
}

void facts_keep(struct facts *f, int64_t room, const struct room_facts *facts)
{
	struct entry *e;

	LOCKED(&f->lock);
	e = map_get_i(&f->rooms, room);
	if (!e) {
		e = MEM_NEW(struct entry);
		e->room = room;
		(void)map_put_i(&f->rooms, room, e);
		list_init(&e->lru);
	} else if (e->facts.as_of > facts->as_of) {
		return;
	}
	list_del(&e->lru);
	list_add_head(&f->lru, &e->lru);
	e->facts = *facts;
	while (f->rooms.n > ENTRIES_MAX)
		drop(f, LIST_ITEM(f->lru.prev, struct entry, lru));
}
