/*
 * shown_keys.h - internal: what everybody is shown of users' keys, in memory, as it was at the newest change of each.
 *
 * Whatever changes what is shown writes the user's row of device_lists in the same transaction: what was read at or
 * after a row is good as long as the row is the same, whoever writes. Bounded in bytes; who was not asked for longest
 * goes first. Thread-safe.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

struct shown_keys {
	int64_t user, stream; /* the user's row of device_lists; 0: none */
	str devices;          /* an object by device id; STR_NONE: not known */
	str master, self_signing;
};

enum { SHOWN_KEYS_MOST = 16 * 1024 /* bytes of one user; who has more is not kept */ };

struct shown_cache;
struct shown_cache *shown_cache_new(size_t max_bytes);
void shown_cache_free(struct shown_cache **c);
/* Fills in what is known of the users at their streams; copied into the arena. */
void shown_cache_get(struct shown_cache *c, struct arena *a, struct shown_keys *list, size_t n);
/* `stream` was read before the keys, or in the same snapshot. */
void shown_cache_put(struct shown_cache *c, const struct shown_keys *k);
