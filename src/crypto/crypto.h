/* crypto.h - digests, signatures, password hashes: thin over libsodium, OpenSSL and libxcrypt. Thread-safe. */
#pragma once

#include "base/err.h"

void crypto_init(void);   /* once, before any thread */

void sha256(str bytes, uint8_t out[32]);
void hmac_sha1(str key, str bytes, uint8_t out[20]);
void hmac_sha256(str key, str bytes, uint8_t out[32]);

struct ed25519_key { uint8_t seed[32], public_key[32]; uint8_t secret[64]; };
void ed25519_from_seed(struct ed25519_key *k, const uint8_t seed[32]);
void ed25519_generate(struct ed25519_key *k);
void ed25519_sign(const struct ed25519_key *k, str bytes, uint8_t out[64]);
bool ed25519_verify(const uint8_t public_key[32], str bytes, const uint8_t signature[64]);
void crypto_wipe(void *p, size_t n);

/* argon2id, 19 MiB, t=2 (cheap: the least that libsodium takes). Takes 20-40 ms: slow lane only. */
NODISCARD err *password_hash(struct arena *a, str password, bool cheap, str *out);
/* argon2id ($argon2id$) and bcrypt ($2a$, $2b$, $2y$; `pepper` is appended as Synapse does). An empty hash costs the same
 * time and is false: for unknown users. */
bool password_verify(str hash, str password, str pepper);
bool password_needs_rehash(str hash, bool cheap);
