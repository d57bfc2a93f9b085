/*
 * facts.c - what /sync asks of a room again and again, in memory: its current root, its counts, its first members.
 *
 * A fact says as of which position it was read. It is believed as long as the bus has listened to the room since, and
 * heard of no event in it. So it is nobody's duty to take it out, and a room that nobody watches has none that is
 * believed.
 */
#include "sync/internal_sync.h"

#include "base/lru.h"

struct entry {
	struct lru_node node;
	struct room_facts facts;
};
struct facts {
	struct lock lock;
	struct lru rooms;
};
enum { ENTRIES_MAX = 50000 };

struct facts *facts_new(void)
{
	struct facts *f = MEM_NEW(struct facts);

	lock_init(&f->lock, RANK_SERVICE);
	lru_init(&f->rooms, ENTRIES_MAX, NULL);
	return f;
}

void facts_free(struct facts **fp)
{
	struct facts *f = *fp;

	if (!f)
		return;
	lru_done(&f->rooms);
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
	e = lru_get_i(&f->rooms, room);
	if (!e || e->facts.as_of > position || e->facts.as_of < news->since || e->facts.as_of < news->last[BUS_EVENTS])
		return false;
	*out = e->facts;
	return true;
}

void facts_keep(struct facts *f, int64_t room, const struct room_facts *facts)
{
	struct entry *e;

	LOCKED(&f->lock);
	e = lru_get_i(&f->rooms, room);
	if (e && e->facts.as_of > facts->as_of)
		return;
	if (!e) {
		e = MEM_NEW(struct entry);
		lru_put_i(&f->rooms, room, e, 1);
	}
	e->facts = *facts;
}
