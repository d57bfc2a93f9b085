/* The order of locks is asserted, and so is who holds them: each wrong use ends the process. */
#include "test.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/thread.h"

static struct lock room, other_room, store;

static void setup_locks(void)
{
	lock_init(&room, RANK_ROOM);
	lock_init(&other_room, RANK_ROOM);
	lock_init(&store, RANK_STORE);
}

static void rising(void **state)
{
	(void)state;
	setup_locks();
	lock_take(&room);
	lock_take(&store);
	lock_assert_held(&room);
	lock_assert_held(&store);
	/* Dropped in any order. */
	lock_drop(&room);
	lock_assert_held(&store);
	lock_drop(&store);
	lock_take(&room);
	lock_drop(&room);
	{
		LOCKED(&room);
		LOCKED(&store);
		lock_assert_held(&store);
	}
	lock_done(&room);
	lock_done(&other_room);
	lock_done(&store);
}

static void falling_rank(void)
{
	lock_take(&store);
	lock_take(&room);
}

static void equal_rank(void)
{
	lock_take(&room);
	lock_take(&other_room);
}

/* Ranks are compared with the highest lock held, not with the one taken last. */
static void below_one_still_held(void)
{
	lock_take(&room);
	lock_take(&store);
	lock_drop(&room);
	lock_take(&other_room);
}

static void twice(void)
{
	lock_take(&room);
	lock_take(&room);
}

static void drop_what_is_free(void) { lock_drop(&room); }

static void assert_what_is_free(void) { lock_assert_held(&room); }

static void destroy_what_is_held(void)
{
	lock_take(&room);
	lock_done(&room);
}

static void drop_it(void *arg) { lock_drop(arg); }

static void drop_anothers(void)
{
	struct thread *t;

	lock_take(&room);
	t = thread_start("thief", drop_it, &room);
	thread_join(&t);
}

static void assert_it(void *arg) { lock_assert_held(arg); }

static void assert_anothers(void)
{
	struct thread *t;

	lock_take(&room);
	t = thread_start("liar", assert_it, &room);
	thread_join(&t);
}

static void wait_under_another(void)
{
	struct cond c;

	cond_init(&c);
	lock_take(&room);
	lock_take(&store);
	cond_wait_until(&c, &store, clock_mono_us());
}

static void wait_without_the_lock(void)
{
	struct cond c;

	cond_init(&c);
	cond_wait_until(&c, &store, clock_mono_us());
}

static void take_it(void *arg) { lock_take(arg); }

static void end_with_a_lock(void)
{
	struct thread *t = thread_start("forgets", take_it, &room);

	thread_join(&t);
}

static void wrong_uses_die(void **state)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} cases[] = {
		{ "falling rank", falling_rank },
		{ "equal rank", equal_rank },
		{ "below a lock that is still held", below_one_still_held },
		{ "the same lock twice", twice },
		{ "drop of a free lock", drop_what_is_free },
		{ "assertion about a free lock", assert_what_is_free },
		{ "end of a held lock", destroy_what_is_held },
		{ "drop by another thread", drop_anothers },
		{ "assertion about another's lock", assert_anothers },
		{ "wait under a second lock", wait_under_another },
		{ "wait without the lock", wait_without_the_lock },
		{ "thread that ends with a lock", end_with_a_lock },
	};

	(void)state;
	setup_locks();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ok(dies(cases[i].fn), "%s goes unnoticed", cases[i].name);
}

struct counter {
	struct lock lock;
	struct cond changed;
	int n, turn;
};

#define ROUNDS 2000

static void count(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		LOCKED(&c->lock);
		c->n++;
	}
}

static void locks_exclude(void **state)
{
	struct counter c = { 0 };
	struct thread *t[4];

	(void)state;
	lock_init(&c.lock, RANK_SERVICE);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = thread_start("count", count, &c);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	assert_int_equal(c.n, ROUNDS * ARRAY_LEN(t));
	assert_null(t[0]);
	thread_join(&t[0]);
	lock_done(&c.lock);
}

static void pong(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		LOCKED(&c->lock);
		while (c->turn != 1)
			cond_wait(&c->changed, &c->lock);
		lock_assert_held(&c->lock);
		c->turn = 0;
		c->n++;
		cond_signal(&c->changed);
	}
}

static void waiting_lets_go_and_holds_again(void **state)
{
	struct counter c = { 0 };
	struct thread *t;

	(void)state;
	lock_init(&c.lock, RANK_SERVICE);
	cond_init(&c.changed);
	t = thread_start("pong", pong, &c);
	for (int i = 0; i < ROUNDS; i++) {
		LOCKED(&c.lock);
		c.turn = 1;
		cond_broadcast(&c.changed);
		while (c.turn != 0)
			assert_true(cond_wait_until(&c.changed, &c.lock, clock_mono_us() + 60000000));
		lock_assert_held(&c.lock);
	}
	thread_join(&t);
	assert_int_equal(c.n, ROUNDS);
	cond_done(&c.changed);
	lock_done(&c.lock);
}

static void deadlines(void **state)
{
	const int64_t begin = clock_mono_us();
	struct counter c = { 0 };

	(void)state;
	lock_init(&c.lock, RANK_SERVICE);
	cond_init(&c.changed);
	lock_take(&c.lock);
	/* Passed already; then one ahead, which must not come early (a deadline in the wrong clock or unit would). */
	assert_false(cond_wait_until(&c.changed, &c.lock, begin - 1));
	assert_false(cond_wait_until(&c.changed, &c.lock, 0));
	while (cond_wait_until(&c.changed, &c.lock, begin + 20000))
		;
	assert_true(clock_mono_us() >= begin + 20000);
	lock_drop(&c.lock);
	cond_done(&c.changed);
	lock_done(&c.lock);
}

static void look_at_itself(void *arg)
{
	char *name = arg;
	sigset_t blocked;

	pthread_getname_np(pthread_self(), name, 16);
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	/* SIGTERM is for the thread that waits for it, a crash must stay one. */
	name[15] = sigismember(&blocked, SIGTERM) && !sigismember(&blocked, SIGSEGV) ? 'y' : 'n';
}

static void names_and_signals(void **state)
{
	char name[16] = { 0 };
	struct thread *t = thread_start("fast-1", look_at_itself, name);
	sigset_t blocked;

	(void)state;
	thread_join(&t);
	assert_int_equal(name[15], 'y');
	assert_string_equal(name, "fast-1");
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	assert_false(sigismember(&blocked, SIGTERM));
}

TEST_MAIN(cmocka_unit_test(rising), cmocka_unit_test(wrong_uses_die), cmocka_unit_test(locks_exclude),
	  cmocka_unit_test(waiting_lets_go_and_holds_again), cmocka_unit_test(deadlines),
	  cmocka_unit_test(names_and_signals))
