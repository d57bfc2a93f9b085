/* Digests against their standards' own vectors, and from many threads. */
#include "test.h"

#include "base/b64.h"
#include "base/thread.h"
#include "crypto/crypto.h"

static str hex(struct arena *a, const uint8_t *p, size_t n) { return hex_encode(a, (str){ (const char *)p, n }); }

static str sha256_hex(struct arena *a, str s)
{
	uint8_t out[32];

	sha256(s, out);
	return hex(a, out, sizeof(out));
}

/* FIPS 180-4, examples. */
static void sha256_vectors(void **state)
{
	AUTO_ARENA a = arena_new();
	char *million = arena_alloc(a, 1000000);

	(void)state;
	same_str(sha256_hex(a, S("")), S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	same_str(sha256_hex(a, STR_NONE), S("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	same_str(sha256_hex(a, S("abc")), S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	same_str(sha256_hex(a, S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
		 S("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
	memset(million, 'a', 1000000);
	same_str(sha256_hex(a, (str){ million, 1000000 }),
		 S("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

/* In pieces of any length, and given up half-way. */
static void sha256_of_pieces(void **state)
{
	AUTO_ARENA a = arena_new();
	const str whole = S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
	struct sha256 *d;
	uint8_t out[32];

	(void)state;
	for (size_t piece = 1; piece <= whole.n; piece += 13) {
		d = sha256_begin();
		for (size_t i = 0; i < whole.n; i += piece)
			sha256_add(d, (str){ whole.p + i, MIN(piece, whole.n - i) });
		sha256_end(&d, out);
		same_str(hex(a, out, 32), sha256_hex(a, whole));
	}
	d = sha256_begin();
	sha256_add(d, whole);
	sha256_end(&d, NULL);
	ok(!d, "still there");
	sha256_end(&d, NULL);
}

/* RFC 3174, test 1 and 2. */
static void sha1_vectors(void **state)
{
	AUTO_ARENA a = arena_new();
	uint8_t out[20];

	(void)state;
	sha1(S("abc"), out);
	same_str(hex(a, out, 20), S("a9993e364706816aba3e25717850c26c9cd0d89d"));
	sha1(S("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), out);
	same_str(hex(a, out, 20), S("84983e441c3bd26ebaae4aa1f95129e5e54670f1"));
}

/* RFC 2202 and RFC 4231: the short key, and the key longer than a block. */
static void hmac_vectors(void **state)
{
	AUTO_ARENA a = arena_new();
	const str what = S("what do ya want for nothing?");
	char long_key[131];
	uint8_t out[32];

	(void)state;
	memset(long_key, 0xaa, sizeof(long_key));
	hmac_sha1(S("Jefe"), what, out);
	same_str(hex(a, out, 20), S("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
	hmac_sha1((str){ long_key, 80 }, S("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	same_str(hex(a, out, 20), S("aa4ae5e15272d00e95705637ce8a3b55ed402112"));
	hmac_sha256(S("Jefe"), what, out);
	same_str(hex(a, out, 32), S("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
	hmac_sha256((str){ long_key, 131 }, S("Test Using Larger Than Block-Size Key - Hash Key First"), out);
	same_str(hex(a, out, 32), S("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
	/* No key and no text: not the key of the call before. */
	hmac_sha256(STR_NONE, STR_NONE, out);
	same_str(hex(a, out, 32), S("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
	hmac_sha1(S(""), S(""), out);
	same_str(hex(a, out, 20), S("fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"));
}

static void hash_many(void *arg)
{
	AUTO_ARENA a = arena_new();
	bool *right = arg;

	*right = true;
	for (int i = 0; i < 2000; i++) {
		*right = *right && str_eq(sha256_hex(a, S("abc")),
					  S("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
		arena_reset(a);
	}
}

static void threads_do_not_share_a_context(void **state)
{
	struct thread *t[4];
	bool right[4] = { false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = thread_start("hash", hash_many, &right[i]);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_true(right[i]);
}

static int setup(void **state)
{
	(void)state;
	crypto_init();
	crypto_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sha256_vectors), cmocka_unit_test(sha256_of_pieces),
					    cmocka_unit_test(sha1_vectors), cmocka_unit_test(hmac_vectors),
					    cmocka_unit_test(threads_do_not_share_a_context) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
