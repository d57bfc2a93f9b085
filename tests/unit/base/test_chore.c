/* Work that may wait: done at the start, again after each kick, and again after a failure; a stop interrupts it. */
#include "test.h"

#include "base/chore.h"
#include "base/thread.h"

struct work {
	struct lock lock;
	struct cond changed;
	int runs, wanted;
	bool fails, endless;
};

static err *work(struct chore *c, void *ctx, struct arena *a)
{
	struct work *w = ctx;
	bool fails;

	lock_take(&w->lock);
	w->runs++;
	fails = w->fails;
	cond_broadcast(&w->changed);
	lock_drop(&w->lock);
	while (w->endless && !chore_stopping(c))
		;
	return fails ? err_new(a, ERR_STORE, "not now") : NULL;
}

static void begin(struct work *w)
{
	lock_init(&w->lock, RANK_SERVICE);
	cond_init(&w->changed);
}

static void end(struct work *w)
{
	cond_done(&w->changed);
	lock_done(&w->lock);
}

static void wait_for_runs(struct work *w, int runs)
{
	LOCKED(&w->lock);
	while (w->runs < runs)
		cond_wait(&w->changed, &w->lock);
}

static const struct log quiet;

static void runs_at_the_start_and_after_each_kick(void **state)
{
	struct work w = { 0 };
	struct chore *c;

	(void)state;
	begin(&w);
	c = chore_new("test", work, &w, &quiet, "failed");
	wait_for_runs(&w, 1);
	chore_kick(c);
	wait_for_runs(&w, 2);
	chore_kick(c);
	wait_for_runs(&w, 3);
	chore_free(&c);
	assert_null(c);
	end(&w);
}

/* A kick that comes while the work is being done means that there is more: it is done once again. */
static void kick_during_a_run_is_not_lost(void **state)
{
	struct work w = { 0 };
	struct chore *c;

	(void)state;
	begin(&w);
	lock_take(&w.lock); /* the first run waits here */
	c = chore_new("test", work, &w, &quiet, "failed");
	chore_kick(c);
	lock_drop(&w.lock);
	chore_kick(c);
	wait_for_runs(&w, 2);
	chore_free(&c);
	end(&w);
}

static void a_kick_ends_the_wait_after_a_failure(void **state)
{
	struct work w = { .fails = true };
	struct chore *c;

	(void)state;
	begin(&w);
	c = chore_new("test", work, &w, &quiet, "failed");
	wait_for_runs(&w, 1);
	chore_kick(c);
	wait_for_runs(&w, 2);
	chore_free(&c);
	end(&w);
}

static void stopping_interrupts_the_work(void **state)
{
	struct work w = { .endless = true };
	struct chore *c;

	(void)state;
	begin(&w);
	c = chore_new("test", work, &w, &quiet, "failed");
	wait_for_runs(&w, 1);
	assert_false(chore_stopping(c));
	chore_free(&c);
	chore_free(&c); /* nothing */
	assert_int_equal(w.runs, 1);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_at_the_start_and_after_each_kick),
		cmocka_unit_test(kick_during_a_run_is_not_lost),
		cmocka_unit_test(a_kick_ends_the_wait_after_a_failure),
		cmocka_unit_test(stopping_interrupts_the_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
