/* Randomness has the right alphabet and no bias that a count can see. */
#include "test.h"

#include "base/rand.h"

static void alphabets(void **state)
{
	AUTO_ARENA a = arena_new();
	unsigned seen[256] = { 0 };
	str s = rand_alnum(a, 62000);

	(void)state;
	assert_int_equal(s.n, 62000);
	for (size_t i = 0; i < s.n; i++)
		seen[(unsigned char)s.p[i]]++;
	for (int c = 0; c < 256; c++) {
		const bool in = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		/* 1000 expected; the standard deviation is 31. Taking a byte modulo 62 would give the first eight 1211.
		 */
		ok(in ? seen[c] > 800 && seen[c] < 1200 : seen[c] == 0, "%c: %u", c, seen[c]);
	}
	s = rand_alpha(a, 5000);
	for (size_t i = 0; i < s.n; i++)
		ok((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z'), "%c", s.p[i]);
	same_str(rand_alpha(a, 0), S(""));
}

static void not_the_same_twice(void **state)
{
	AUTO_ARENA a = arena_new();
	unsigned char big[1000] = { 0 };
	size_t zeros = 0;

	(void)state;
	assert_false(rand_u64() == rand_u64());
	assert_false(str_eq(rand_alnum(a, 20), rand_alnum(a, 20)));
	/* More than the kernel gives in one uninterrupted call: all of it is filled. */
	rand_bytes(big, sizeof(big));
	for (size_t i = 0; i < sizeof(big); i++)
		zeros += big[i] == 0;
	assert_true(zeros < 50);
	rand_bytes(big, 0);
}

TEST_MAIN(cmocka_unit_test(alphabets), cmocka_unit_test(not_the_same_twice))
