/*
 * digest.c - SHA-256, SHA-1 and HMAC by OpenSSL.
 *
 * OpenSSL 3 looks an algorithm up by name, under locks, whenever it is named: that costs more than hashing an event. So
 * each is fetched once at start, and a thread keeps the one context it hashes with.
 */
#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>

#include "crypto/crypto.h"

static EVP_MD *md_sha256, *md_sha1;
static EVP_MAC *mac_hmac;
static pthread_key_t contexts;

static void context_free(void *ctx) { EVP_MD_CTX_free(ctx); }

void crypto_init(void)
{
	int rc;

	if (md_sha256)
		return;
	rc = sodium_init();
	assert(rc >= 0);
	rc = pthread_key_create(&contexts, context_free);
	assert(rc == 0);
	mac_hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	assert(mac_hmac && md_sha256 && md_sha1);
}

static EVP_MD_CTX *context(void)
{
	EVP_MD_CTX *ctx = pthread_getspecific(contexts);

	if (!ctx) {
		ctx = EVP_MD_CTX_new();
		assert(ctx);
		pthread_setspecific(contexts, ctx);
	}
	return ctx;
}

static void digest(const EVP_MD *md, str bytes, uint8_t *out)
{
	EVP_MD_CTX *ctx;
	int ok;

	assert(md);
	ctx = context();
	ok = EVP_DigestInit_ex2(ctx, md, NULL) && EVP_DigestUpdate(ctx, bytes.p, bytes.n) &&
	     EVP_DigestFinal_ex(ctx, out, NULL);
	assert(ok);
}

void sha256(str bytes, uint8_t out[32]) { digest(md_sha256, bytes, out); }

/* An OpenSSL context under our name. */
struct sha256 *sha256_begin(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok;

	assert(md_sha256 && ctx);
	ok = EVP_DigestInit_ex2(ctx, md_sha256, NULL);
	assert(ok);
	return (struct sha256 *)ctx;
}

void sha256_add(struct sha256 *d, str bytes)
{
	const int ok = EVP_DigestUpdate((EVP_MD_CTX *)d, bytes.p, bytes.n);

	assert(ok);
}

void sha256_end(struct sha256 **d, uint8_t *out)
{
	const int ok = !*d || !out || EVP_DigestFinal_ex((EVP_MD_CTX *)*d, out, NULL);

	assert(ok);
	EVP_MD_CTX_free((EVP_MD_CTX *)*d);
	*d = NULL;
}

void sha1(str bytes, uint8_t out[20]) { digest(md_sha1, bytes, out); }

static void hmac(const char *digest, str key, str bytes, uint8_t *out, size_t size)
{
	const OSSL_PARAM params[] = { OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
				      OSSL_PARAM_END };
	/* A NULL key would mean "the one from before": an empty key must point somewhere. */
	const unsigned char *k = (const unsigned char *)(key.n ? key.p : "");
	EVP_MAC_CTX *ctx;
	size_t n = 0;
	int ok;

	assert(mac_hmac);
	ctx = EVP_MAC_CTX_new(mac_hmac);
	ok = ctx && EVP_MAC_init(ctx, k, key.n, params) &&
	     EVP_MAC_update(ctx, (const unsigned char *)bytes.p, bytes.n) && EVP_MAC_final(ctx, out, &n, size);
	assert(ok && n == size);
	EVP_MAC_CTX_free(ctx);
}

void hmac_sha1(str key, str bytes, uint8_t out[20]) { hmac("SHA1", key, bytes, out, 20); }

void hmac_sha256(str key, str bytes, uint8_t out[32]) { hmac("SHA256", key, bytes, out, 32); }

void crypto_wipe(void *p, size_t n) { sodium_memzero(p, n); }
