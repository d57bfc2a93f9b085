/* Password hashes: ours, those that came from Synapse, and everything that is none. */
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "crypto/crypto.h"

static void there_and_back(void **state)
{
	AUTO_ARENA a = arena_new();
	const str passwords[] = { S("correct horse"), S(""), S("a\0b"), S("\xc3\xbc\xc3\x9f"),
				  arena_printf(a, "%0500d", 1) };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
		str hash, again;

		good(password_hash(a, passwords[i], true, &hash));
		good(password_hash(a, passwords[i], true, &again));
		assert_true(str_starts(hash, S("$argon2id$v=19$m=8,t=1,p=1$")));
		/* Salted. */
		assert_false(str_eq(hash, again));
		assert_true(password_verify(hash, passwords[i], S("")));
		assert_false(password_verify(hash, S("wrong"), S("")));
		assert_false(password_verify(hash, arena_join2(a, passwords[i], S("x")), S("")));
		assert_false(password_needs_rehash(hash, true));
		assert_true(password_needs_rehash(hash, false));
	}
}

static void the_same_letters_are_the_same_password(void **state)
{
	AUTO_ARENA a = arena_new();
	const str composed = S("\xc3\xa9t\xc3\xa9"), decomposed = S("e\xcc\x81te\xcc\x81");
	AUTO_BUF longest = BUF_INIT(2048);
	str hash;

	(void)state;
	good(password_hash(a, composed, true, &hash));
	assert_true(password_verify(hash, decomposed, S("")));
	assert_false(password_verify(hash, S("ete"), S("")));
	good(password_hash(a, decomposed, true, &hash));
	assert_true(password_verify(hash, composed, S("")));
	/* The letter that grows most, U+FDFA, as often as a password holds it; and more than that. */
	for (size_t i = 0; i < 400; i++) {
		buf_add(&longest, S("\xef\xb7\xba"));
		if (i < 169 || i > 171)
			continue;
		good(password_hash(a, buf_str(&longest), true, &hash));
		assert_true(password_verify(hash, buf_str(&longest), S("")));
	}
	/* No UTF-8: the bytes as they are. */
	good(password_hash(a, S("\xff\xfe"), true, &hash));
	assert_true(password_verify(hash, S("\xff\xfe"), S("")));
	assert_false(password_verify(hash, S("\xff"), S("")));
}

static void the_real_cost(void **state)
{
	AUTO_ARENA a = arena_new();
	str hash;

	(void)state;
	good(password_hash(a, S("secret"), false, &hash));
	assert_true(str_starts(hash, S("$argon2id$v=19$m=19456,t=2,p=1$")));
	assert_true(password_verify(hash, S("secret"), S("")));
	assert_false(password_needs_rehash(hash, false));
}

/* Made by the reference implementation, https://github.com/P-H-C/phc-winner-argon2, src/test.c. */
static void anothers_argon2id(void **state)
{
	const str hash = S("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4");

	(void)state;
	assert_true(password_verify(hash, S("password"), S("")));
	assert_false(password_verify(hash, S("passworD"), S("")));
	assert_true(password_needs_rehash(hash, false));
}

/* Made by Python's bcrypt, as Synapse calls it: password and pepper, cut to 72 bytes. */
static void bcrypt_from_synapse(void **state)
{
	static const struct {
		str password, pepper, hash;
	} cases[] = {
		{ STR("U*U"), STR(""), STR("$2b$04$Yffn5OR2UHBJL/CbgJg5R.U/OMbbZB3n8c1LOZEskz/NiKUYyQ5mG") },
		{ STR("U*U"), STR(""), STR("$2a$04$kS.E/Eqlc1W0IjPEDWTONuFYIrb.3NCb6efn0VSx/WS2rj0rxUHNe") },
		{ STR("password"), STR("pepper"), STR("$2b$04$Nns/2Ext0C3.i2Q5tPW.UONswsVCvrZJOAGZ0jYGRlxC/.oyt9Pre") },
		{ STR("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"), STR("pepper"),
		  STR("$2b$04$uUcwQf8C9yeIgl4gdNAG/.CTCDU1tndSjHcVcz3E2hbGk97pvHs/e") },
		{ STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), STR(""),
		  STR("$2b$04$9J.PACW600e8aTf/ipVPEezT5nQGQPcaL5wj0IrOsSDaITQ.Qe30a") },
		{ STR("\xc3\xbc\xc3\x9f"), STR(""),
		  STR("$2b$04$heylZLnReqka7oaLl2xO9.ex30t8EI8MGJA7AhnBfMGIXBoJErrBa") },
		/* Decomposed letters, a ligature, the sign for ohms: Synapse hashes what they are in NFKC. */
		{ STR("A\xcc\x8angstro\xcc\x88m \xef\xac\x81 \xe2\x84\xa6"), STR(""),
		  STR("$2b$04$8YNJQ2Wl/GUzs0OgdKX9ouQ0vtPTYf9NI8NrC3fPbcE6lxt7fpK5e") },
		{ STR(""), STR(""), STR("$2b$04$.e4ISWKwDBQYS224xDPK4..gw38hxF0NNW6gy8shYU5qm7gfcyMPG") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str hash = cases[i].hash, password = cases[i].password;

		ok(password_verify(hash, password, cases[i].pepper), "case %zu", i);
		ok(!password_verify(hash, arena_join2(a, S("z"), password), cases[i].pepper), "case %zu", i);
		ok(!password_verify(hash, password, S("other")) == (password.n < 72), "case %zu", i);
		/* crypt would take everything behind the NUL for nothing. */
		ok(!password_verify(hash, arena_join2(a, password, S("\0x")), S("")) == (password.n < 72), "case %zu",
		   i);
		ok(password_needs_rehash(hash, true), "case %zu", i);
	}
}

static void what_is_no_hash_fits_nothing(void **state)
{
	static const str hashes[] = {
		STR("x"),
		STR("password"),
		STR("$"),
		STR("$2b$"),
		STR("$2x$04$Yffn5OR2UHBJL/CbgJg5R.U/OMbbZB3n8c1LOZEskz/NiKUYyQ5mG"),
		STR("$2b$04$Yffn5OR2UHBJL/CbgJg5R.U/OMbbZB3n8c1LOZEskz/NiKUYyQ5m"),
		STR("$2b$04$Yffn5OR2UHBJL/CbgJg5R.U/OMbbZB3n8c1LOZEskz/NiKUYyQ5mGG"),
		STR("$2b$99$Yffn5OR2UHBJL/CbgJg5R.U/OMbbZB3n8c1LOZEskz/NiKUYyQ5mG"),
		STR("$1$salt$hash"),
		STR("*0"),
		STR("$argon2id$"),
		STR("$argon2id$v=19$m=8,t=1,p=1$$"),
		STR("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ"),
		STR("$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		ok(!password_verify(hashes[i], S("password"), S("")), "%.*s", STR_ARG(hashes[i]));
		ok(!password_verify(hashes[i], hashes[i], S("")), "%.*s", STR_ARG(hashes[i]));
		ok(password_needs_rehash(hashes[i], true), "%.*s", STR_ARG(hashes[i]));
	}
	assert_false(password_verify(arena_join2(a, S("$argon2id$"), arena_printf(a, "%0300d", 1)), S("x"), S("")));
}

/* Time must not tell whether there is such a user. */
static void nobody_costs_as_much_as_somebody(void **state)
{
	AUTO_ARENA a = arena_new();
	int64_t begin, somebody, nobody;
	str hash;

	(void)state;
	good(password_hash(a, S("secret"), false, &hash));
	begin = clock_thread_us();
	assert_false(password_verify(hash, S("wrong"), S("")));
	somebody = clock_thread_us() - begin;
	begin = clock_thread_us();
	assert_false(password_verify(S(""), S("wrong"), S("")));
	assert_false(password_verify(STR_NONE, S(""), S("")));
	nobody = (clock_thread_us() - begin) / 2;
	/* CPU time on a busy machine varies; forgotten work would be a factor of thousands. */
	ok(nobody > somebody / 8, "%" PRId64 " us instead of %" PRId64, nobody, somebody);
}

static void wiping(void **state)
{
	char secret[] = "secret";

	(void)state;
	crypto_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0);
}

static int setup(void **state)
{
	(void)state;
	crypto_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(the_same_letters_are_the_same_password),
		cmocka_unit_test(the_real_cost),
		cmocka_unit_test(anothers_argon2id),
		cmocka_unit_test(bcrypt_from_synapse),
		cmocka_unit_test(what_is_no_hash_fits_nothing),
		cmocka_unit_test(nobody_costs_as_much_as_somebody),
		cmocka_unit_test(wiping),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
