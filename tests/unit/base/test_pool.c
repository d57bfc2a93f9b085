/* Every item once, and seen when pool_each returns; also with several callers. ThreadSanitizer looks on. */
#include "test.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/pool.h"
#include "base/thread.h"

enum { MOST = 5000 };

struct work {
	unsigned seen[MOST]; /* written by whoever has the slice, read by the caller */
	size_t slice;
	atomic_size_t calls;
	struct pool *pool;
	size_t rounds;
};

static void see(void *ctx, size_t from, size_t to)
{
	struct work *w = ctx;

	assert_true(from < to && to - from <= w->slice);
	atomic_fetch_add(&w->calls, 1);
	for (size_t i = from; i < to; i++)
		w->seen[i]++;
}

static void run(struct work *w, size_t n)
{
	memset(w->seen, 0, sizeof(w->seen));
	w->calls = 0;
	pool_each(w->pool, n, w->slice, see, w);
	for (size_t i = 0; i < MOST; i++)
		ok(w->seen[i] == (i < n), "item %zu of %zu, slices of %zu: %u times", i, n, w->slice, w->seen[i]);
	assert_int_equal(w->calls, (n + w->slice - 1) / w->slice);
}

static void each_item_once(void **state)
{
	static const size_t lengths[] = { 0, 1, 2, 7, 8, 9, 63, 64, 65, 1000, MOST },
			    slices[] = { 1, 7, 64, MOST, 2 * MOST };

	(void)state;
	for (size_t threads = 0; threads < 4; threads++) {
		struct pool *p = pool_new(threads);
		struct work *w = MEM_NEW(struct work);

		w->pool = p;
		for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
			for (size_t k = 0; k < ARRAY_LEN(slices); k++) {
				w->slice = slices[k];
				run(w, lengths[i]);
			}
		mem_free(w);
		pool_free(&p);
		assert_null(p);
	}
	pool_free(NULL);
}

static void call_again_and_again(void *arg)
{
	struct work *w = arg;

	for (size_t i = 0; i < w->rounds; i++) {
		w->slice = 1 + i % 50;
		run(w, 1 + i * 37 % MOST);
	}
}

static void many_callers(void **state)
{
	struct pool *p = pool_new(2);
	struct thread *callers[3];
	struct work *w = mem_zalloc(ARRAY_LEN(callers) * sizeof(*w));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
		w[i].pool = p;
		w[i].rounds = 60;
		callers[i] = thread_start("caller", call_again_and_again, &w[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(callers); i++)
		thread_join(&callers[i]);
	mem_free(w);
	pool_free(&p);
}

static void with_a_lock(void)
{
	struct pool *p = pool_new(1);
	struct work w = { .slice = 1 };
	struct lock l;

	lock_init(&l, RANK_ROOM);
	lock_take(&l);
	pool_each(p, 0, 1, see, &w);
}

static void not_under_a_lock(void **state)
{
	(void)state;
	assert_true(dies(with_a_lock));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_item_once),
		cmocka_unit_test(many_callers),
		cmocka_unit_test(not_under_a_lock),
	};

	return cmocka_run_group_tests_name("base/pool", tests, NULL, NULL);
}
