/*
 * map.c - a hash map under a secret key.
 *
 * Open addressing with linear probing in a power of two of slots, at most three quarters full. A deleted slot leaves a
 * mark (no value, hash GONE), so that probes go on past it; marks are swept when the table is rebuilt. A slot that was
 * never used is all zero. The hash is kept in the slot: a rebuild touches no key, and a look-up compares a key only
 * when 64 bits already agree.
 */
#include <assert.h>

#include "base/map.h"
#include "base/rand.h"

#define MIN_CAP 8
#define GONE    1u

struct map_slot {
	uint64_t hash;
	union {
		str s;
		int64_t i;
	} key;
	void *value;
};

static uint8_t process_key[16];

/* Before main(), so that no look-up has to ask whether there is a key already. */
static __attribute__((constructor)) void draw_process_key(void) { rand_bytes(process_key, sizeof(process_key)); }

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                                       \
	do {                                                                                                           \
		v0 += v1;                                                                                              \
		v1 = ROTL(v1, 13) ^ v0;                                                                                \
		v0 = ROTL(v0, 32);                                                                                     \
		v2 += v3;                                                                                              \
		v3 = ROTL(v3, 16) ^ v2;                                                                                \
		v0 += v3;                                                                                              \
		v3 = ROTL(v3, 21) ^ v0;                                                                                \
		v2 += v1;                                                                                              \
		v1 = ROTL(v1, 17) ^ v2;                                                                                \
		v2 = ROTL(v2, 32);                                                                                     \
	} while (0)

static uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

uint64_t siphash(const uint8_t key[16], const void *data, size_t n)
{
	const uint8_t *p = data;
	const uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
	uint64_t v0 = k0 ^ 0x736f6d6570736575u, v1 = k1 ^ 0x646f72616e646f6du;
	uint64_t v2 = k0 ^ 0x6c7967656e657261u, v3 = k1 ^ 0x7465646279746573u;
	uint64_t last = (uint64_t)n << 56;

	for (size_t words = n / 8; words; words--, p += 8) {
		const uint64_t m = load_le64(p);

		v3 ^= m;
		SIPROUND;
		SIPROUND;
		v0 ^= m;
	}
	for (size_t i = 0; i < n % 8; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v3 ^= last;
	SIPROUND;
	SIPROUND;
	v0 ^= last;
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t hash_str(str s) { return siphash(process_key, s.p, s.n); }

/* Numbers are the server's own: whoever could choose some would still have to know the key to make them meet. Both
 * halves of a 128-bit product depend on all bits of both factors. */
uint64_t hash_i64(int64_t v)
{
	uint64_t k0, k1;
	__extension__ unsigned __int128 product;

	memcpy(&k0, process_key, 8);
	memcpy(&k1, process_key + 8, 8);
	product = (uint64_t)v ^ k0;
	product *= k1 | 1;
	k0 = (uint64_t)product ^ (uint64_t)(product >> 64);
	return k0 ^ k0 >> 32;
}

void map_init(struct map *m, struct arena *a) { *m = (struct map){ .arena = a }; }

void map_done(struct map *m)
{
	if (!m->arena)
		mem_free(m->slots);
	*m = (struct map){ .arena = m->arena };
}

static void rebuild(struct map *m)
{
	struct map_slot *const old = m->slots;
	const size_t old_cap = m->cap;
	size_t cap = MIN_CAP;

	while (cap < 2 * (m->n + 1))
		cap *= 2;
	m->slots = m->arena ? ARENA_ARRAY(m->arena, struct map_slot, cap) : mem_zalloc(cap * sizeof(*m->slots));
	m->cap = cap;
	m->gone = 0;
	for (size_t i = 0; i < old_cap; i++) {
		size_t at = (size_t)old[i].hash & (cap - 1);

		if (!old[i].value)
			continue;
		while (m->slots[at].value)
			at = (at + 1) & (cap - 1);
		m->slots[at] = old[i];
	}
	if (!m->arena)
		mem_free(old);
}

static bool same_str(const struct map_slot *s, const void *key) { return str_eq(s->key.s, *(const str *)key); }

static bool same_i(const struct map_slot *s, const void *key) { return s->key.i == *(const int64_t *)key; }

typedef bool same_fn(const struct map_slot *, const void *key);

static inline struct map_slot *find(const struct map *m, uint64_t hash, same_fn *same, const void *key)
{
	if (m->n == 0)
		return NULL;
	for (size_t at = (size_t)hash & (m->cap - 1);; at = (at + 1) & (m->cap - 1)) {
		struct map_slot *s = &m->slots[at];

		if (s->value) {
			if (s->hash == hash && same(s, key))
				return s;
		} else if (s->hash != GONE) {
			return NULL;
		}
	}
}

/* A free slot for a key that is not there. */
static struct map_slot *add(struct map *m, uint64_t hash)
{
	size_t at;

	if ((m->n + m->gone + 1) * 4 > m->cap * 3)
		rebuild(m);
	at = (size_t)hash & (m->cap - 1);
	while (m->slots[at].value)
		at = (at + 1) & (m->cap - 1);
	if (m->slots[at].hash == GONE)
		m->gone--;
	m->n++;
	m->slots[at].hash = hash;
	return &m->slots[at];
}

static void *del(struct map *m, struct map_slot *s)
{
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	*s = (struct map_slot){ .hash = GONE };
	m->n--;
	m->gone++;
	return value;
}

static struct map_slot *next(const struct map *m, size_t *i)
{
	while (*i < m->cap) {
		struct map_slot *s = &m->slots[(*i)++];

		if (s->value)
			return s;
	}
	return NULL;
}

void *map_get(const struct map *m, str key)
{
	const struct map_slot *s = m->n ? find(m, hash_str(key), same_str, &key) : NULL;

	return s ? s->value : NULL;
}

void *map_put(struct map *m, str key, void *value)
{
	const uint64_t hash = hash_str(key);
	struct map_slot *s = find(m, hash, same_str, &key);
	void *before;

	assert(value);
	if (!s)
		s = add(m, hash);
	before = s->value;
	s->key.s = key; /* also when it was there: the old key may live in the old value */
	s->value = value;
	return before;
}

void *map_del(struct map *m, str key) { return m->n ? del(m, find(m, hash_str(key), same_str, &key)) : NULL; }

bool map_next(const struct map *m, size_t *i, str *out_key, void **out_value)
{
	const struct map_slot *s = next(m, i);

	if (!s)
		return false;
	*out_key = s->key.s;
	*out_value = s->value;
	return true;
}

void *map_get_i(const struct map *m, int64_t key)
{
	const struct map_slot *s = m->n ? find(m, hash_i64(key), same_i, &key) : NULL;

	return s ? s->value : NULL;
}

void *map_put_i(struct map *m, int64_t key, void *value)
{
	const uint64_t hash = hash_i64(key);
	struct map_slot *s = find(m, hash, same_i, &key);
	void *before;

	assert(value);
	if (!s)
		s = add(m, hash);
	before = s->value;
	s->key.i = key;
	s->value = value;
	return before;
}

void *map_del_i(struct map *m, int64_t key) { return m->n ? del(m, find(m, hash_i64(key), same_i, &key)) : NULL; }

bool map_next_i(const struct map *m, size_t *i, int64_t *out_key, void **out_value)
{
	const struct map_slot *s = next(m, i);

	if (!s)
		return false;
	*out_key = s->key.i;
	*out_value = s->value;
	return true;
}
