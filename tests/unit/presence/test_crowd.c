/*
 * test_crowd.c - many people in one room: what it costs is bounded by what is said in presence/tell.c; and many threads
 * at once.
 *
 * The cost is counted, not measured. `test_presence_crowd -v` says the figures, and what CPU the service itself took.
 */
#include "there.h"

#include "base/clock.h"
#include "base/rand.h"
#include "base/thread.h"

#include <stdatomic.h>

/* What is counted holds for any number: a sanitizer need not count so far. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { CROWD = 1000 };
#else
enum { CROWD = 10000 };
#endif
enum { MINUTES = 10, FIRST = 1000 };

static bool verbose;

/* Everybody's client polls for half a minute at a time; one in ten writes something each minute, so all come and go
 * between active and not. */
static void live(struct there *t, int64_t second)
{
	for (int64_t u = 0; u < CROWD; u++) {
		if (u % 30 == second % 30) {
			presence_sync_end(t->p, FIRST + u, S("D"));
			(void)there_begin(t, FIRST + u, "D", PRESENCE_ONLINE);
		}
		if (u % 600 == second)
			presence_acted(t->p, t->a, FIRST + u, S("D"));
	}
}

static void many_in_one_room(struct both *b)
{
	struct presence_counts before, after;
	int64_t cpu = 0, asked = 0;
	AUTO_ARENA a = arena_new();
	struct there t;

	there_open(&t, b);
	t.a = a;
	for (int64_t u = 0; u < CROWD; u++) {
		there_watch(&t, FIRST + u, ROOM);
		(void)there_begin(&t, FIRST + u, "D", PRESENCE_ONLINE);
	}
	there_pass(&t, 120000);
	before = presence_count(t.p);
	for (int64_t s = 0; s < 60 * MINUTES; s++) {
		const int64_t began = clock_thread_us();

		live(&t, s);
		there_pass(&t, 1000);
		cpu += clock_thread_us() - began;
		/* Those who were woken ask: as many as a second has turns for, and no more. */
		for (int64_t u = 0; u < CROWD; u++) {
			struct bus_known k;

			assert_true(bus_known(t.bus, FIRST + u, &k));
			asked += k.last[BUS_PRESENCE] > 0;
		}
		arena_reset(a);
	}
	after = presence_count(t.p);
	if (verbose)
		print_message(
			"%d users, a second: %.1f timers, %.1f changes, %.1f units of turns, %.3f ms of CPU (%.2f %%)\n",
			CROWD, (double)(after.fired - before.fired) / (60.0 * MINUTES),
			(double)(after.changes - before.changes) / (60.0 * MINUTES),
			(double)(after.turns - before.turns) / (60.0 * MINUTES), (double)cpu / 6e4 / MINUTES,
			(double)cpu / 6e5 / MINUTES);
	ok(asked > 0, "somebody was told");
	/* Each acts once in ten minutes: active, not active, idle; a timer for each of these, and one for each poll,
	 * which finds that another has begun. */
	assert_in_range(after.changes - before.changes, 2 * CROWD, 5 * CROWD);
	assert_in_range(after.fired - before.fired, 2 * CROWD, (2 * MINUTES + 15) * CROWD);
	/* However many changes: thirty turns a second. */
	assert_in_range(after.turns - before.turns, 60 * MINUTES, 60 * MINUTES * 30 * NUDGE_WAITER + 1000);
	/* Memory: one entry for each that counts, and as many that are void. */
	assert_in_range(after.log, CROWD, 4 * CROWD);
	there_close(&t);
}

/*
 * Threads: some act, one reads what changed; the real thread tells. In the end the reader knows what is.
 */
enum { ACTORS = 4, USERS = 40, ROUNDS = 300 };
struct busy {
	struct there t;
	_Atomic int running;
	_Atomic int64_t bad;
};
struct actor_arg {
	struct busy *busy;
	int64_t n;
};

static void act(void *arg)
{
	const struct actor_arg *me = arg;
	struct presence *p = me->busy->t.p;
	AUTO_ARENA a = arena_new();

	for (int i = 0; i < ROUNDS; i++) {
		const int64_t user = FIRST + (int64_t)(rand_u64() % USERS);

		if (presence_sync_begin(p, a, user, S("D"), i % 2 ? PRESENCE_ONLINE : PRESENCE_UNAVAILABLE, true))
			presence_sync_end(p, user, S("D"));
		presence_acted(p, a, user, S("D"));
		if (i % 50 == 0)
			presence_set(p, a, user, S("E"), PRESENCE_OFFLINE, S("words"));
		if (i % 40 == me->n) {
			presence_left(p, user, ROOM);
			presence_joined(p, user, ROOM);
		}
		arena_reset(a);
	}
	atomic_fetch_sub(&me->busy->running, 1);
}

static void read_changes(void *arg)
{
	struct busy *busy = arg;
	struct reader me = { .user = BOB, .most = 10 };
	AUTO_ARENA a = arena_new();
	struct there t = busy->t;

	t.a = a;
	while (atomic_load(&busy->running) > 0) {
		const int64_t above = me.above;
		const struct presence_news news = there_news(&t, &me);

		if (news.told < above || news.newest < news.told || news.n > me.most)
			atomic_fetch_add(&busy->bad, 1);
		arena_reset(a);
	}
}

static void many_threads_and_its_own(struct both *b)
{
	struct busy busy = { .running = ACTORS };
	struct actor_arg args[ACTORS];
	struct thread *threads[ACTORS], *reader;
	const struct presence_options opt = { .bus = bus_new(1000),
					      .store = b->st,
					      .enabled = true,
					      .tracked = true,
					      .active_ms = 300,
					      .online_ms = 200,
					      .idle_ms = 500 };

	busy.t = (struct there){ .b = b, .a = b->a, .bus = opt.bus };
	good(presence_new(b->a, &opt, &busy.t.p));
	there_watch(&busy.t, BOB, ROOM);
	for (int64_t u = 0; u < USERS; u++)
		there_watch(&busy.t, FIRST + u, ROOM);
	for (int64_t i = 0; i < ACTORS; i++) {
		args[i] = (struct actor_arg){ &busy, i };
		threads[i] = thread_start("actor", act, &args[i]);
	}
	reader = thread_start("reader", read_changes, &busy);
	for (int i = 0; i < ACTORS; i++)
		thread_join(&threads[i]);
	thread_join(&reader);
	assert_int_equal(busy.bad, 0);
	presence_stop(busy.t.p);
	store_close(&b->st);
	presence_free(&busy.t.p);
	bus_free(&busy.t.bus);
	both_open(b);
}

static void crowd(void **state)
{
	(void)state;
	both_run(many_in_one_room, false);
}

static void threads(void **state)
{
	(void)state;
	both_run(many_threads_and_its_own, false);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(crowd), cmocka_unit_test(threads) };

	(void)argv;
	verbose = argc > 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
