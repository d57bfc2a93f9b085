/* crypto.h - digests, signatures, password hashes: thin over libsodium, OpenSSL and libxcrypt. Thread-safe. */
#pragma once

#include "base/err.h"

void crypto_init(void); /* before anything else here and before any thread; again is fine */

void sha256(str bytes, uint8_t out[32]);
/* The same of bytes that come in pieces. sha256_end frees it; out NULL: the digest is not wanted any more. */
struct sha256;
struct sha256 *sha256_begin(void);
void sha256_add(struct sha256 *d, str bytes);
void sha256_end(struct sha256 **d, uint8_t *out);
/* SHA-1 only where a protocol demands it: the order of events in state resolution of room version 1. */
void sha1(str bytes, uint8_t out[20]);
/* RFC 2104, with a key of any length. SHA-1 only where a protocol demands it (shared-secret registration). */
void hmac_sha1(str key, str bytes, uint8_t out[20]);
void hmac_sha256(str key, str bytes, uint8_t out[32]);

/* A pair of keys. Verification refuses what libsodium refuses: small-order keys, S not below
 * the group's order. */
struct ed25519_key {
	uint8_t seed[32], public_key[32];
	uint8_t secret[64];
};
void ed25519_from_seed(struct ed25519_key *k, const uint8_t seed[32]);
void ed25519_generate(struct ed25519_key *k);
void ed25519_sign(const struct ed25519_key *k, str bytes, uint8_t out[64]);
bool ed25519_verify(const uint8_t public_key[32], str bytes, const uint8_t signature[64]);
/* Many: each claim is answered in its `good`. Any part of an array of them can be given to another thread (pool_each).
 * There is no cheaper way to verify many at once that agrees with the single one about every signature. */
struct ed25519_claim {
	const uint8_t *public_key; /* borrowed, as are the bytes */
	str bytes;
	uint8_t signature[64];
	bool good;
};
void ed25519_verify_all(struct ed25519_claim *claims, size_t n);

/* Zeroes secrets: never optimised away. */
void crypto_wipe(void *p, size_t n);

/* argon2id, 19 MiB, t=2 (cheap: the least that libsodium takes). Takes 20-40 ms: slow lane only. */
NODISCARD err *password_hash(struct arena *a, str password, bool cheap, str *out);
/* argon2id ($argon2id$) and bcrypt ($2a$, $2b$, $2y$; `pepper` is appended and the whole cut to 72 bytes, as Synapse
 * does; it is not used for argon2id). An empty hash costs the same time as argon2id and is false: for unknown users. */
bool password_verify(str hash, str password, str pepper);
/* Is it not what password_hash would make today? */
bool password_needs_rehash(str hash, bool cheap);
