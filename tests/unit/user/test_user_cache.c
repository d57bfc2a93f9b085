/* test_user_cache.c - a bounded cache that never brings an old text back. */
#include "test.h"

#include "base/clock.h"
#include "base/thread.h"
#include "user/internal_user_cache.h"

static bool get(struct user_cache *c, struct arena *a, int64_t user, int64_t number, str *out)
{
	uint64_t epoch;

	return user_cache_get(c, a, user, number, 0, out, &epoch);
}

/* As a reader that finds nothing, and reads the store. */
static void fill(struct user_cache *c, struct arena *a, int64_t user, int64_t number, str text)
{
	uint64_t epoch;
	str known;

	ok(!user_cache_get(c, a, user, number, 0, &known, &epoch), "known already");
	user_cache_fill(c, user, number, text, epoch);
}

static void what_was_filled_is_known_until_it_is_dropped(void **state)
{
	AUTO_ARENA a = arena_new();
	struct user_cache *c = user_cache_new(100000);
	char text[] = "text";
	str got;

	(void)state;
	ok(!get(c, a, 1, 0, &got), "knows what nobody told");
	fill(c, a, 1, 0, (str){ text, 4 });
	memset(text, 'x', 4); /* it has a copy */
	assert_true(get(c, a, 1, 0, &got));
	same_str(got, S("text"));
	fill(c, a, 1, -1, STR_NONE); /* that there is none is known, too */
	assert_true(get(c, a, 1, -1, &got));
	same_str(got, STR_NONE);
	ok(!get(c, a, 2, 0, &got) && !get(c, a, 0, 1, &got), "another's");
	user_cache_drop(c, 1, 0);
	ok(!get(c, a, 1, 0, &got), "dropped");
	assert_true(get(c, a, 1, -1, &got));
	user_cache_drop(c, 9, 9);
	user_cache_free(&c);
	assert_null(c);
	user_cache_free(&c);
}

/* A reader misses, reads the store; meanwhile a writer commits and drops: what was read is not believed. */
static void what_was_read_before_a_drop_is_not_kept(void **state)
{
	AUTO_ARENA a = arena_new();
	struct user_cache *c = user_cache_new(100000);
	uint64_t epoch;
	str got;

	(void)state;
	assert_false(user_cache_get(c, a, 1, 0, 0, &got, &epoch));
	user_cache_drop(c, 1, 0);
	user_cache_fill(c, 1, 0, S("old"), epoch);
	assert_false(user_cache_get(c, a, 1, 0, 0, &got, &epoch));
	user_cache_fill(c, 1, 0, S("new"), epoch);
	assert_true(get(c, a, 1, 0, &got));
	same_str(got, S("new"));
	user_cache_fill(c, 1, 0, S("newer"), epoch); /* two readers that missed together */
	assert_true(get(c, a, 1, 0, &got));
	same_str(got, S("newer"));
	user_cache_free(&c);
}

static void what_is_old_is_asked_for_again(void **state)
{
	AUTO_ARENA a = arena_new();
	struct user_cache *c = user_cache_new(100000);
	uint64_t epoch;
	int64_t filled;
	str got;

	(void)state;
	fill(c, a, 1, 0, S("text"));
	filled = clock_mono_ms();
	assert_true(user_cache_get(c, a, 1, 0, 3600 * 1000, &got, &epoch));
	while (clock_mono_ms() < filled + 2)
		;
	assert_false(user_cache_get(c, a, 1, 0, 1, &got, &epoch));
	assert_true(user_cache_get(c, a, 1, 0, 0, &got, &epoch)); /* of what never changes any age is good */
	user_cache_free(&c);
}

static void the_least_used_go_first(void **state)
{
	AUTO_ARENA a = arena_new();
	struct user_cache *c = user_cache_new(20 * 1000);
	char big[30000];
	int known = 0;
	str got;

	(void)state;
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 100; i++) {
		fill(c, a, i, 0, (str){ big, 1000 });
		ok(get(c, a, 0, 0, &got), "the one that is used went at %d", i);
	}
	for (int i = 1; i < 100; i++)
		known += get(c, a, i, 0, &got);
	ok(known >= 10 && known < 20, "%d are known", known);
	ok(get(c, a, 99, 0, &got), "the newest went");
	fill(c, a, 1000, 0, (str){ big, sizeof(big) }); /* more than all: alone, it stays */
	ok(get(c, a, 1000, 0, &got) && got.n == sizeof(big), "the large one");
	ok(!get(c, a, 99, 0, &got), "beside the large one");
	user_cache_free(&c);
}

/*
 * Writers count a number up, drop after each "commit"; readers take what the cache says, or read the number and fill.
 * Nobody may see less than what was committed before they asked.
 */
struct shared {
	struct user_cache *cache;
	struct lock lock;
	int64_t committed, known; /* `known`: committed, and dropped from the cache */
	bool wrong;
};

static int64_t at(struct shared *s, const int64_t *which)
{
	LOCKED(&s->lock);
	return *which;
}

static void writer(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 2000; i++) {
		int64_t mine;

		{
			LOCKED(&s->lock);
			mine = ++s->committed;
		}
		user_cache_drop(s->cache, 1, 0);
		LOCKED(&s->lock);
		s->known = mine > s->known ? mine : s->known;
	}
}

static void reader(void *arg)
{
	struct shared *s = arg;

	for (int i = 0; i < 4000; i++) {
		AUTO_ARENA a = arena_new();
		const int64_t least = at(s, &s->known);
		uint64_t epoch;
		int64_t n = -1;
		str got;

		if (user_cache_get(s->cache, a, 1, 0, 0, &got, &epoch)) {
			if (!str_to_i64(got, &n))
				n = -1;
		} else {
			n = at(s, &s->committed);
			user_cache_fill(s->cache, 1, 0, arena_printf(a, "%d", (int)n), epoch);
		}
		if (n < least)
			s->wrong = true;
	}
}

static void nobody_reads_less_than_what_was_committed(void **state)
{
	struct shared s = { .cache = user_cache_new(100000) };
	struct thread *threads[4];

	(void)state;
	lock_init(&s.lock, RANK_SERVICE);
	threads[0] = thread_start("writer", writer, &s);
	threads[1] = thread_start("reader", reader, &s);
	threads[2] = thread_start("reader", reader, &s);
	threads[3] = thread_start("writer", writer, &s);
	for (int i = 0; i < 4; i++)
		thread_join(&threads[i]);
	ok(!s.wrong, "an old text came back");
	lock_done(&s.lock);
	user_cache_free(&s.cache);
}

TEST_MAIN(cmocka_unit_test(what_was_filled_is_known_until_it_is_dropped),
	  cmocka_unit_test(what_was_read_before_a_drop_is_not_kept), cmocka_unit_test(what_is_old_is_asked_for_again),
	  cmocka_unit_test(the_least_used_go_first), cmocka_unit_test(nobody_reads_less_than_what_was_committed))
