/*
 * map.h - a hash map from text, or from a 64-bit number, to a pointer.
 *
 * Text is hashed with SipHash under a key drawn at start-up: peers choose keys, and must not choose collisions.
 * Numbers, which the server gives, are multiplied with that key, at a tenth of the cost. Open addressing. With an
 * arena, nothing is freed and keys are borrowed (they must live as long as the map); without one (NULL), map_done frees
 * the table, and keys are still borrowed: they usually live in the value.
 */
#pragma once

#include "base/arena.h"

struct map {
	struct map_slot *slots;
	size_t n, cap, gone;
	struct arena *arena;
};

void map_init(struct map *m, struct arena *a);
void map_done(struct map *m);
void *map_get(const struct map *m, str key); /* NULL: not there */
/* Sets; gives the value that was there before, or NULL. The value must not be NULL. */
void *map_put(struct map *m, str key, void *value);
void *map_del(struct map *m, str key); /* gives the removed value, or NULL */
/* Walks in no particular order: for (size_t i = 0; map_next(m, &i, &key, &value); ). Deleting the current key while
 * walking is allowed, adding is not. */
bool map_next(const struct map *m, size_t *i, str *out_key, void **out_value);

/* The same by number; a map holds either kind, never both. */
void *map_get_i(const struct map *m, int64_t key);
void *map_put_i(struct map *m, int64_t key, void *value);
void *map_del_i(struct map *m, int64_t key);
bool map_next_i(const struct map *m, size_t *i, int64_t *out_key, void **out_value);

/* SipHash-2-4 under the given 16-byte key. */
uint64_t siphash(const uint8_t key[16], const void *p, size_t n);
/* Under the process's own key, random at start. */
uint64_t hash_str(str s);
uint64_t hash_i64(int64_t v);
