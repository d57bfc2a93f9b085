/* test_shown_keys.c - what is kept of users' keys: nothing that is old, nothing of others, and not more than may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test.h"

#include "e2ee/shown_keys.h"

static struct shown_keys got(struct shown_cache *c, struct arena *a, int64_t user, int64_t stream)
{
	struct shown_keys k = { .user = user, .stream = stream };

	shown_cache_get(c, a, &k, 1);
	return k;
}

static void what_is_given_is_what_was_put_at_this_position(void **state)
{
	struct shown_cache *c = shown_cache_new(100000);
	AUTO_ARENA a = arena_new();
	struct shown_keys k;

	(void)state;
	assert_true(str_is_none(got(c, a, 1, 5).devices));
	shown_cache_put(c, &(struct shown_keys){ 1, 5, S("{}"), S("m"), S("s") });
	shown_cache_put(c, &(struct shown_keys){ 2, 5, S("{\"D\":1}"), STR_NONE, STR_NONE });
	k = got(c, a, 1, 5);
	same_str(k.devices, S("{}"));
	same_str(k.master, S("m"));
	same_str(k.self_signing, S("s"));
	k = got(c, a, 2, 5);
	same_str(k.devices, S("{\"D\":1}"));
	assert_true(str_is_none(k.master) && str_is_none(k.self_signing));
	assert_true(str_is_none(got(c, a, 1, 6).devices));
	assert_true(str_is_none(got(c, a, 1, 4).devices));
	shown_cache_put(c, &(struct shown_keys){ 1, 6, S("{}"), S("new"), S("s") });
	same_str(got(c, a, 1, 6).master, S("new"));
	shown_cache_free(&c);
}

static void who_was_not_asked_for_longest_makes_room(void **state)
{
	enum { USERS = 1000, LONG = 1000, MOST = 100 * 1000 };
	struct shown_cache *c = shown_cache_new(MOST);
	AUTO_ARENA a = arena_new();
	const str text = { arena_zalloc(a, SHOWN_KEYS_MOST + 1), LONG };
	size_t kept = 0;

	(void)state;
	for (int i = 1; i <= USERS; i++) {
		shown_cache_put(c, &(struct shown_keys){ i, 1, text, STR_NONE, STR_NONE });
		assert_false(str_is_none(got(c, a, 1, 1).devices)); /* asked for all the time */
	}
	for (int i = 1; i <= USERS; i++)
		kept += !str_is_none(got(c, a, i, 1).devices);
	ok(kept > 50 && kept * LONG < MOST, "%d are kept", (int)kept);
	assert_false(str_is_none(got(c, a, USERS, 1).devices));
	shown_cache_put(c, &(struct shown_keys){ 5000, 1, { text.p, SHOWN_KEYS_MOST + 1 }, STR_NONE, STR_NONE });
	assert_true(str_is_none(got(c, a, 5000, 1).devices));
	shown_cache_free(&c);
	shown_cache_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_given_is_what_was_put_at_this_position),
		cmocka_unit_test(who_was_not_asked_for_longest_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
