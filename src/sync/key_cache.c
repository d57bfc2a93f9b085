/*
 * key_cache.c - devices' counts of one-time keys, in memory.
 *
 * Every answer of /sync has them, also one with no news, which asks nothing of the store. Whatever changes them touches
 * the user with BUS_TO_DEVICE, or, where the keys went with their device, with BUS_DEVICE_LISTS: another may be called
 * so by now. Counts are believed that were read at or above the last such touch. An entry packs them: a byte for the
 * list, the algorithm's length and name, and the count.
 */
#include "base/buf.h"
#include "base/lru.h"
#include "e2ee/one_time_keys.h"
#include "sync/internal_sync.h"

enum { DEVICES_MAX = 50000, KEY_MOST = 8 + 255, PACKED_MOST = 4096 };
enum { ONE_TIME = 1, FALLBACK = 2 };

struct entry {
	struct lru_node node;
	int64_t as_of;
	str packed;
	char text[]; /* the key and this */
};
struct key_cache {
	struct lock lock;
	struct lru devices;
};

struct key_cache *key_cache_new(void)
{
	struct key_cache *c = MEM_NEW(struct key_cache);

	lock_init(&c->lock, RANK_SERVICE);
	lru_init(&c->devices, DEVICES_MAX, NULL);
	return c;
}

void key_cache_free(struct key_cache **cp)
{
	struct key_cache *c = *cp;

	if (!c)
		return;
	lru_done(&c->devices);
	lock_done(&c->lock);
	mem_free(c);
	*cp = NULL;
}

/* STR_NONE: too long to be kept. */
static str key_of(char buf[KEY_MOST], int64_t user, str device_id)
{
	if (sizeof(user) + device_id.n > KEY_MOST)
		return STR_NONE;
	memcpy(buf, &user, sizeof(user));
	if (device_id.n)
		memcpy(buf + sizeof(user), device_id.p, device_id.n);
	return (str){ buf, sizeof(user) + device_id.n };
}

static void pack_one(struct buf *b, char list, str algorithm, int64_t n)
{
	const uint16_t length = (uint16_t)MIN(algorithm.n, UINT16_MAX);

	buf_byte(b, list);
	buf_add(b, (str){ (const char *)&length, sizeof(length) });
	buf_add(b, str_head(algorithm, length));
	buf_add(b, (str){ (const char *)&n, sizeof(n) });
}

static void pack(struct buf *b, const struct key_counts *c)
{
	for (size_t i = 0; i < c->n_one_time; i++)
		pack_one(b, ONE_TIME, c->one_time[i].algorithm, c->one_time[i].n);
	for (size_t i = 0; i < c->n_unused_fallback; i++)
		pack_one(b, FALLBACK, c->unused_fallback[i], 1);
}

static void unpack(struct arena *a, str packed, struct key_counts *out)
{
	VEC(struct key_count) one_time = { 0 };
	VEC(str) fallback = { 0 };

	for (str at = arena_keep(a, packed); at.n;) {
		struct key_count c;
		uint16_t length;

		memcpy(&length, at.p + 1, sizeof(length));
		c.algorithm = str_head(str_from(at, 1 + sizeof(length)), length);
		memcpy(&c.n, c.algorithm.p + length, sizeof(c.n));
		if (at.p[0] == ONE_TIME)
			vec_push(a, &one_time, c);
		else
			vec_push(a, &fallback, c.algorithm);
		at = str_from(at, 1 + sizeof(length) + length + sizeof(c.n));
	}
	*out = (struct key_counts){
		.one_time = one_time.p,
		.n_one_time = one_time.n,
		.unused_fallback = fallback.p,
		.n_unused_fallback = fallback.n,
	};
}

bool key_cache_get(struct key_cache *c, struct arena *a, int64_t user, str device_id, const struct bus_known *known,
		   struct key_counts *out)
{
	char buf[KEY_MOST];
	const str key = key_of(buf, user, device_id);
	struct entry *e;

	LOCKED(&c->lock);
	e = str_is_none(key) ? NULL : lru_get(&c->devices, key);
	if (!e || e->as_of < known->since || e->as_of < known->own[BUS_TO_DEVICE] ||
	    e->as_of < known->own[BUS_DEVICE_LISTS])
		return false;
	unpack(a, e->packed, out);
	return true;
}

static struct entry *entry_new(str key, str packed)
{
	struct entry *e = mem_zalloc(sizeof(*e) + key.n + packed.n);

	memcpy(e->text, key.p, key.n);
	if (packed.n)
		memcpy(e->text + key.n, packed.p, packed.n);
	e->packed = (str){ e->text + key.n, packed.n };
	return e;
}

bool key_cache_keep(struct key_cache *c, int64_t user, str device_id, const struct bus_known *known,
		    const struct key_counts *counts)
{
	char buf[KEY_MOST];
	const str key = key_of(buf, user, device_id);
	AUTO_BUF b = BUF_INIT(PACKED_MOST);
	struct entry *e, *old;
	bool changed;

	pack(&b, counts);
	if (str_is_none(key) || b.overflow)
		return false;
	e = entry_new(key, buf_str(&b));
	e->as_of = known->position;

	LOCKED(&c->lock);
	old = lru_get(&c->devices, key);
	changed = old && !str_eq(old->packed, e->packed);
	lru_put(&c->devices, (str){ e->text, key.n }, e, 1);
	return changed;
}
