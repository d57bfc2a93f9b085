/* sign.c - Ed25519 by libsodium (twice as fast as OpenSSL's, and what the other servers verify with). */
#include <assert.h>
#include <sodium.h>

#include "base/rand.h"
#include "crypto/crypto.h"

void ed25519_from_seed(struct ed25519_key *k, const uint8_t seed[32])
{
	memmove(k->seed, seed, sizeof(k->seed));
	crypto_sign_ed25519_seed_keypair(k->public_key, k->secret, k->seed);
}

void ed25519_generate(struct ed25519_key *k)
{
	uint8_t seed[32];

	rand_bytes(seed, sizeof(seed));
	ed25519_from_seed(k, seed);
	crypto_wipe(seed, sizeof(seed));
}

void ed25519_sign(const struct ed25519_key *k, str bytes, uint8_t out[64])
{
	const int rc = crypto_sign_ed25519_detached(out, NULL, (const unsigned char *)bytes.p, bytes.n, k->secret);

	assert(rc == 0);
}

bool ed25519_verify(const uint8_t public_key[32], str bytes, const uint8_t signature[64])
{
	return crypto_sign_ed25519_verify_detached(signature, (const unsigned char *)bytes.p, bytes.n, public_key) == 0;
}

void ed25519_verify_all(struct ed25519_claim *claims, size_t n)
{
	for (size_t i = 0; i < n; i++)
		claims[i].good = ed25519_verify(claims[i].public_key, claims[i].bytes, claims[i].signature);
}
