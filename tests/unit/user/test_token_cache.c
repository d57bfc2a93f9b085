/* test_token_cache.c - a stale answer never gets in, and the cache stays bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "user/token_cache.h"

static void put(struct token_cache *c, uint8_t n, int64_t user, str device, uint64_t mark)
{
	const uint8_t hash[32] = { n };
	const struct cached_token t = {
		.id = { .user = user, .user_id = S("@u:x"), .device_id = device, .token_id = n },
	};

	token_cache_put(c, hash, &t, mark);
}

static bool has(struct token_cache *c, uint8_t n)
{
	const uint8_t hash[32] = { n };
	AUTO_ARENA a = arena_new();
	struct cached_token t;

	return token_cache_get(c, a, hash, 0, 1, &t, NULL) && t.id.token_id == n && str_eq(t.id.user_id, S("@u:x"));
}

static void the_least_recently_used_goes(void **state)
{
	struct token_cache *c = token_cache_new(3);
	const uint64_t mark = token_cache_mark(c);

	(void)state;
	for (uint8_t n = 1; n <= 3; n++)
		put(c, n, n, S("D"), mark);
	assert_true(has(c, 1)); /* now 2 is the oldest */
	put(c, 4, 4, S("D"), mark);
	assert_true(has(c, 1));
	assert_false(has(c, 2));
	assert_true(has(c, 3));
	assert_true(has(c, 4));
	put(c, 4, 4, S("E"), mark); /* again: replaced, not added */
	assert_int_equal(token_cache_count(c), 3);
	token_cache_free(&c);
}

static void a_logout_drops_the_device_or_the_user(void **state)
{
	struct token_cache *c = token_cache_new(100);
	const uint64_t mark = token_cache_mark(c);

	(void)state;
	put(c, 1, 7, S("A"), mark);
	put(c, 2, 7, S("B"), mark);
	put(c, 3, 7, S("A"), mark);
	put(c, 4, 8, S("A"), mark);
	token_cache_drop_device(c, 7, S("A"));
	assert_false(has(c, 1)); /* the head of the user's ring */
	assert_true(has(c, 2));
	assert_false(has(c, 3));
	assert_true(has(c, 4));
	put(c, 5, 7, S("C"), token_cache_mark(c));
	token_cache_drop_user(c, 7);
	assert_false(has(c, 2));
	assert_false(has(c, 5));
	assert_true(has(c, 4));
	token_cache_drop_user(c, 7); /* nothing left: fine */
	assert_int_equal(token_cache_count(c), 1);
	token_cache_free(&c);
}

static void an_answer_read_before_a_logout_stays_out(void **state)
{
	struct token_cache *c = token_cache_new(100);
	const uint64_t before = token_cache_mark(c);

	(void)state;
	token_cache_drop_user(c, 7); /* the logout, between the read and the put */
	put(c, 1, 7, S("A"), before);
	assert_false(has(c, 1));
	put(c, 1, 7, S("A"), token_cache_mark(c));
	assert_true(has(c, 1));
	token_cache_free(&c);
}

static void a_use_is_noted_once_in_a_while(void **state)
{
	struct token_cache *c = token_cache_new(10);
	const uint8_t hash[32] = { 1 };
	AUTO_ARENA a = arena_new();
	struct cached_token t;
	bool seen;

	(void)state;
	put(c, 1, 1, S("A"), token_cache_mark(c)); /* seen_ms 0 */
	assert_true(token_cache_get(c, a, hash, 99, 100, &t, &seen));
	assert_false(seen);
	assert_true(token_cache_get(c, a, hash, 100, 100, &t, NULL)); /* who does not ask takes no note */
	assert_true(token_cache_get(c, a, hash, 100, 100, &t, &seen));
	assert_true(seen);
	assert_true(token_cache_get(c, a, hash, 101, 100, &t, &seen));
	assert_false(seen);
	token_cache_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_recently_used_goes),
		cmocka_unit_test(a_logout_drops_the_device_or_the_user),
		cmocka_unit_test(an_answer_read_before_a_logout_stays_out),
		cmocka_unit_test(a_use_is_noted_once_in_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
