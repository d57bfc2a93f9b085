/*
 * lazy.c - which membership events a device was sent, so that lazy loading sends each once.
 *
 * An answer may be lost on its way: so an entry counts only for a client that comes back with the token of that answer
 * or a later one. One that asks again from before is sent everything again. What is remembered is a convenience:
 * entries go with the least recently used device when there are too many, and redundant membership events are allowed.
 */
#include "sync/internal_sync.h"

#include "base/lru.h"

struct sent {
	int64_t event, position;
};
struct lazy_room {
	int64_t room;
	struct map members; /* user > struct sent */
};
struct device {
	struct lru_node node;
	struct map rooms; /* struct lazy_room */
	char key[];
};
struct lazy {
	struct lock lock;
	struct lru devices;
};

/* What an entry costs with its place in a map, about. */
enum { ENTRY_COST = sizeof(struct sent) + 64, ROOM_COST = sizeof(struct lazy_room) + 256, DEVICE_COST = 512 };
enum { DEFAULT_BYTES = 32 << 20, KEY_MAX = sizeof(int64_t) + 1024 };

static void forget_rooms(struct device *d)
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
}

static void device_gone(struct lru *devices, void *device)
{
	(void)devices;
	forget_rooms(device);
	mem_free(device);
}

struct lazy *lazy_new(size_t max_bytes)
{
	struct lazy *l = MEM_NEW(struct lazy);

	lock_init(&l->lock, RANK_SERVICE);
	lru_init(&l->devices, max_bytes ? max_bytes : DEFAULT_BYTES, device_gone);
	return l;
}

void lazy_free(struct lazy **lp)
{
	struct lazy *l = *lp;

	if (!l)
		return;
	lru_done(&l->devices);
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

	return lru_get(&l->devices, key_of(ld, buf));
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
	memcpy(d->key, key.p, key.n);
	map_init(&d->rooms, NULL);
	lru_put(&l->devices, (str){ d->key, key.n }, d, DEVICE_COST);
	return d;
}

static void clear(struct lazy *l, struct device *d)
{
	forget_rooms(d);
	map_init(&d->rooms, NULL);
	lru_set_cost(&l->devices, d, DEVICE_COST);
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

void lazy_sent(struct lazy *l, struct lazy_device ld, int64_t room, int64_t member, int64_t event, int64_t position)
{
	size_t more = 0;
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
		more += ROOM_COST;
	}
	s = map_get_i(&r->members, member);
	if (!s) {
		s = MEM_NEW(struct sent);
		(void)map_put_i(&r->members, member, s);
		more += ENTRY_COST;
		s->event = 0;
	}
	/* The same event in two answers: it is known from the first one on. */
	if (s->event != event)
		*s = (struct sent){ event, position };
	lru_set_cost(&l->devices, d, d->node.cost + more);
	if (l->devices.cost > l->devices.max)
		clear(l, d);
}
