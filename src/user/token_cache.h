/*
 * token_cache.h - access tokens that were seen lately, so that an authenticated request asks no database.
 *
 * Keyed by the token's SHA-256. Bounded: the least recently used goes. Whatever changes what a token means (logout,
 * another password, a lock) drops the user's entries after its commit. A look-up that read the store before such a
 * change must not put its answer in after it: cache_mark before the read, cache_put with that mark.
 */
#pragma once

#include "user/user.h"

struct token_cache;

struct token_cache *token_cache_new(size_t max); /* of at most so many tokens */
void token_cache_free(struct token_cache **c);

struct cached_token {
	struct identity id; /* strings are copied in and out */
	int64_t expires_at; /* ms; 0: never */
	int64_t read_ms;    /* when the store said so, clock_mono_ms */
	int64_t seen_ms;    /* when its use was last noted, clock_mono_ms */
};
/* Strings in arena a. *out_seen (or NULL): this use should be noted, for the last note is older than seen_every_ms; it
 * is said to one caller only. */
bool token_cache_get(struct token_cache *c, struct arena *a, const uint8_t hash[32], int64_t now_ms,
		     int64_t seen_every_ms, struct cached_token *out, bool *out_seen);
uint64_t token_cache_mark(struct token_cache *c);
void token_cache_put(struct token_cache *c, const uint8_t hash[32], const struct cached_token *t, uint64_t mark);
/* Every token of the user; or of one device. */
void token_cache_drop_user(struct token_cache *c, int64_t user);
void token_cache_drop_device(struct token_cache *c, int64_t user, str device_id);
size_t token_cache_count(struct token_cache *c);
