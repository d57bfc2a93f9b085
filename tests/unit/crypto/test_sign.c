/* Signatures against RFC 8032 and the specification's vectors. */
#include "test.h"

#include "base/b64.h"
#include "crypto/crypto.h"
#include "json/json.h"

static void from_hex(struct arena *a, const char *text, uint8_t *out, size_t n)
{
	const str bytes = hex_decode(a, str_c(text));

	assert_int_equal(bytes.n, n);
	memcpy(out, bytes.p, n);
}

/* RFC 8032, 7.1, tests 1 to 3. */
static void rfc_vectors(void **state)
{
	static const struct {
		const char *seed, *public_key, *message, *signature;
	} cases[] = {
		{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
		  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
		  "d25bf5f0595bbe24655141438e7a100b" },
		{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
		  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
		  "387b2eaeb4302aeeb00d291612bb0c00" },
		{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
		  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
		  "4a7c15e9716ed28dc027beceea1ec40a" },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str message = hex_decode(a, str_c(cases[i].message));
		uint8_t seed[32], public_key[32], want[64], got[64];
		struct ed25519_key k;

		from_hex(a, cases[i].seed, seed, 32);
		from_hex(a, cases[i].public_key, public_key, 32);
		from_hex(a, cases[i].signature, want, 64);
		ed25519_from_seed(&k, seed);
		assert_memory_equal(k.public_key, public_key, 32);
		assert_memory_equal(k.seed, seed, 32);
		ed25519_sign(&k, message, got);
		assert_memory_equal(got, want, 64);
		assert_true(ed25519_verify(public_key, message, want));
	}
}

static void what_is_refused(void **state)
{
	/* The group's order L, little-endian: S + L is another signature that a careless check takes. */
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
					   0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
					   0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10 };
	uint8_t signature[64], zero_key[32] = { 0 }, zero_signature[64] = { 0 };
	struct ed25519_key k, other;
	unsigned carry = 0;

	(void)state;
	ed25519_generate(&k);
	ed25519_generate(&other);
	assert_memory_not_equal(k.seed, other.seed, 32);
	ed25519_sign(&k, S("message"), signature);
	assert_true(ed25519_verify(k.public_key, S("message"), signature));
	assert_false(ed25519_verify(k.public_key, S("messagE"), signature));
	assert_false(ed25519_verify(k.public_key, S("message\0"), signature));
	assert_false(ed25519_verify(other.public_key, S("message"), signature));
	for (size_t i = 0; i < 64; i++) {
		signature[i] ^= 0x10;
		ok(!ed25519_verify(k.public_key, S("message"), signature), "byte %zu of the signature does not count",
		   i);
		signature[i] ^= 0x10;
	}
	for (size_t i = 0; i < 32; i++) {
		carry += signature[32 + i] + (unsigned)order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	assert_false(ed25519_verify(k.public_key, S("message"), signature));
	/* A key of small order, under which one signature fits many messages. */
	zero_key[0] = zero_signature[0] = 1;
	assert_false(ed25519_verify(zero_key, S("message"), zero_signature));
}

static str slurp(struct arena *a, const char *path)
{
	FILE *f = fopen(path, "r");
	char *p = arena_alloc(a, 1 << 20);
	size_t n;

	ok(f, "%s", path);
	n = fread(p, 1, 1 << 20, f);
	fclose(f);
	return (str){ p, n };
}

static str canonical_without(struct arena *a, const struct json *object, const str *names, size_t n)
{
	struct json *copy = json_copy(a, object);
	str text;

	for (size_t i = 0; i < n; i++)
		json_del(copy, names[i]);
	good(json_canonical(a, copy, true, &text));
	return text;
}

/* https://spec.matrix.org/latest/appendices/#json-signing and #event-signing (its hashes; matrix/ tests the rest) */
static void the_specifications_vectors(void **state)
{
	static const str unsigned_members[] = { STR("signatures"), STR("unsigned"), STR("hashes") };
	AUTO_ARENA a = arena_new();
	struct json *vectors;
	struct ed25519_key k;

	(void)state;
	good(json_parse(a, slurp(a, "tests/vectors/signing.json"), &json_limits_request, &vectors));
	ed25519_from_seed(&k, (const uint8_t *)b64_decode(a, json_get_str(vectors, S("seed"))).p);
	assert_int_equal(json_get_array(vectors, S("objects"))->array.n, 2);
	assert_int_equal(json_get_array(vectors, S("events"))->array.n, 2);
	JSON_ITEMS (json_get_array(vectors, S("objects")), i) {
		const struct json *v = json_get_array(vectors, S("objects"))->array.items[i];
		const struct json *by = json_get(json_get(json_get(v, S("signed")), S("signatures")), S("domain"));
		const str text = canonical_without(a, json_get(v, S("given")), unsigned_members, 2);
		uint8_t signature[64];

		ed25519_sign(&k, text, signature);
		same_str(b64_encode(a, (str){ (char *)signature, 64 }), json_get_str(by, S("ed25519:1")));
	}
	JSON_ITEMS (json_get_array(vectors, S("events")), i) {
		const struct json *v = json_get_array(vectors, S("events"))->array.items[i];
		const str text = canonical_without(a, json_get(v, S("given")), unsigned_members, 3);
		uint8_t hash[32];

		sha256(text, hash);
		same_str(b64_encode(a, (str){ (char *)hash, 32 }),
			 json_get_str(json_get(json_get(v, S("signed")), S("hashes")), S("sha256")));
	}
}

static int setup(void **state)
{
	(void)state;
	crypto_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rfc_vectors), cmocka_unit_test(what_is_refused),
					    cmocka_unit_test(the_specifications_vectors) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
