/*
 * lazy.c - which membership events a device was sent, so that lazy loading sends each once.
 *
 * An answer may be lost on its way: so an entry counts only for a client that comes back with the token of that answer
 * or a later one. One that asks again from before is sent everything again. What is remembered is a convenience:
 * entries go with the least recently used device when there are too many, and redundant membership events are allowed.
 */
#include "sync/internal_sync.h"

struct sent {
	int64_t event, position;
};
struct lazy_room {
	int64_t room;
	struct map members; /* user > struct sent */
};
struct device {
	struct list lru;
	struct map rooms; /* struct lazy_room */
	size_t bytes, key_n;
	char key[];
};
struct lazy {
	struct lock lock;
	struct map devices;
	struct list lru; /* most recently used first */
	size_t bytes, max_bytes;
};

/* What an entry costs with its place in a map, about. */
enum { ENTRY_COST = sizeof(struct sent) + 64, ROOM_COST = sizeof(struct lazy_room) + 256, DEVICE_COST = 512 };
enum { DEFAULT_BYTES = 32 << 20, KEY_MAX = sizeof(int64_t) + 1024 };

struct lazy *lazy_new(size_t max_bytes)
{
	struct lazy *l = MEM_NEW(struct lazy);

	lock_init(&l->lock, RANK_SERVICE);
	map_init(&l->devices, NULL);
	list_init(&l->lru);
	l->max_bytes = max_bytes ? max_bytes : DEFAULT_BYTES;
	return l;
}

static void clear(struct lazy *l, struct device *d)
{
	void *room, *sent;
	int64_t key;

	for (size_t i = 0; map_next_i(&d->rooms, &i, &key, &room);) {
		struct lazy_room *r = room;

		for (size_t k = 0; map_next_i(&r->members, &k, &key, &sent);)
			mem_free(sent);
		map_done(&r->members);
		mem_free(r);
	}
	map_done(&d->rooms);
	map_init(&d->rooms, NULL);
	l->bytes -= d->bytes - DEVICE_COST;
	d->bytes = DEVICE_COST;
}

static void drop(struct lazy *l, struct device *d)
{
	clear(l, d);
	map_done(&d->rooms);
	(void)map_del(&l->devices, (str){ d->key, d->key_n });
	list_del(&d->lru);
	l->bytes -= d->bytes;
	mem_free(d);
}

void lazy_free(struct lazy **lp)
{
	struct lazy *l = *lp;

	if (!l)
		return;
	LIST_EACH_SAFE (&l->lru, it)
		drop(l, LIST_ITEM(it, struct device, lru));
	map_done(&l->devices);
	lock_done(&l->lock);
	mem_free(l);
	*lp = NULL;
}

/* A user's number and a device id: device ids of users may be alike. */
static str key_of(struct lazy_device d, char buf[KEY_MAX])
{
	const size_t n = MIN(d.device_id.n, KEY_MAX - sizeof(d.user));

	memcpy(buf, &d.user, sizeof(d.user));
	if (n)
		memcpy(buf + sizeof(d.user), d.device_id.p, n);
	return (str){ buf, sizeof(d.user) + n };
}

static struct device *find(struct lazy *l, struct lazy_device ld)
{
	char buf[KEY_MAX];
	struct device *d = map_get(&l->devices, key_of(ld, buf));

	if (d) {
		list_del(&d->lru);
		list_add_head(&l->lru, &d->lru);
	}
	return d;
}

static struct device *find_or_make(struct lazy *l, struct lazy_device ld)
{
	struct device *d = find(l, ld);
	char buf[KEY_MAX];
	str key;

	if (d)
		return d;
	key = key_of(ld, buf);
	d = mem_zalloc(sizeof(*d) + key.n);
	d->key_n = key.n;
	memcpy(d->key, key.p, key.n);
	d->bytes = DEVICE_COST;
	l->bytes += d->bytes;
	map_init(&d->rooms, NULL);
	(void)map_put(&l->devices, (str){ d->key, d->key_n }, d);
	list_add_head(&l->lru, &d->lru);
	return d;
}

void lazy_forget(struct lazy *l, struct lazy_device ld)
{
	struct device *d;

	LOCKED(&l->lock);
	d = find(l, ld);
	if (d)
		clear(l, d);
}

bool lazy_has(struct lazy *l, struct lazy_device ld, int64_t room, int64_t member, int64_t event, int64_t since)
{
	const struct lazy_room *r;
	const struct sent *s;
	struct device *d;

	LOCKED(&l->lock);
	d = find(l, ld);
	r = d ? map_get_i(&d->rooms, room) : NULL;
	s = r ? map_get_i(&r->members, member) : NULL;
	return s && s->position <= since && (event == 0 || s->event == event);
}

static void grow(struct lazy *l, struct device *d, size_t bytes)
{
	d->bytes += bytes;
	l->bytes += bytes;
}

void lazy_sent(struct lazy *l, struct lazy_device ld, int64_t room, int64_t member, int64_t event, int64_t position)
{
	struct lazy_room *r;
	struct device *d;
	struct sent *s;

	LOCKED(&l->lock);
	d = find_or_make(l, ld);
	r = map_get_i(&d->rooms, room);
	if (!r) {
		r = MEM_NEW(struct lazy_room);
		r->room = room;
		map_init(&r->members, NULL);
		(void)map_put_i(&d->rooms, room, r);
		grow(l, d, ROOM_COST);
	}
	s = map_get_i(&r->members, member);
	if (!s) {
		s = MEM_NEW(struct sent);
		(void)map_put_i(&r->members, member, s);
		grow(l, d, ENTRY_COST);
		s->event = 0;
	}
	/* The same event in two answers: it is known from the first one on. */
	if (s->event != event)
		*s = (struct sent){ event, position };
	while (l->bytes > l->max_bytes && l->lru.prev != &d->lru)
		drop(l, LIST_ITEM(l->lru.prev, struct device, lru));
	if (l->bytes > l->max_bytes)
		clear(l, d);
}
