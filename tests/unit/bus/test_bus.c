/* The bus: who is woken by what, when, and what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/thread.h"
#include "bus/bus.h"

enum { ALICE = 1, BOB = 2, CAROL = 3, ROOM = 100, OTHER = 101 };

struct sleeper {
	struct bus_waiter w;
	_Atomic int woken;
};

static void on_wake(struct bus_waiter *w)
{
	struct sleeper *s = (struct sleeper *)((char *)w - offsetof(struct sleeper, w));

	atomic_fetch_add(&s->woken, 1);
}

static void watch(struct bus *b, int64_t user, const int64_t *rooms, size_t n)
{
	assert_true(bus_watch_begin(b, user));
	bus_watch_rooms(b, user, bus_position(b), rooms, n);
}

static struct bus_known known(struct bus *b, int64_t user)
{
	struct bus_known k;

	assert_true(bus_known(b, user, &k));
	return k;
}

static void sleep_on(struct bus *b, struct sleeper *s, int64_t user)
{
	*s = (struct sleeper){ .w.wake = on_wake };
	assert_true(bus_wait(b, &s->w, user, known(b, user).seq));
}

static void positions_only_rise(void **state)
{
	struct bus *b = bus_new(10);

	(void)state;
	bus_advance(b, 7);
	bus_advance(b, 5);
	assert_int_equal(bus_position(b), 7);
	assert_int_equal(bus_serial(b), 0);
	assert_int_equal(bus_next_serial(b), 1);
	assert_int_equal(bus_next_serial(b), 2);
	assert_int_equal(bus_serial(b), 2);
	bus_free(&b);
	assert_null(b);
}

static void a_touch_above_the_position_wakes_when_the_position_gets_there(void **state)
{
	struct bus *b = bus_new(10);
	struct sleeper s, late = { .w.wake = on_wake };

	(void)state;
	bus_advance(b, 5);
	watch(b, ALICE, NULL, 0);
	sleep_on(b, &s, ALICE);
	bus_touch_user(b, ALICE, BUS_ACCOUNT_DATA, 6);
	assert_int_equal(s.woken, 0);
	/* Who looks now reads up to 5, and must not sleep through the arrival of 6. */
	struct bus_known k = known(b, ALICE);
	assert_int_equal(k.position, 5);
	assert_int_equal(k.last[BUS_ACCOUNT_DATA], 6);
	bus_advance(b, 6);
	assert_int_equal(s.woken, 1);
	assert_false(bus_wait(b, &late.w, ALICE, k.seq));
	assert_false(bus_unwait(b, &s.w));
	bus_free(&b);
}

static void several_pending_positions_each_wake(void **state)
{
	struct bus *b = bus_new(10);
	struct sleeper s, t;

	(void)state;
	watch(b, ALICE, NULL, 0);
	sleep_on(b, &s, ALICE);
	bus_touch_user(b, ALICE, BUS_EVENTS, 4);
	bus_touch_user(b, ALICE, BUS_EVENTS, 9);
	bus_advance(b, 3);
	assert_int_equal(s.woken, 0);
	bus_advance(b, 4);
	assert_int_equal(s.woken, 1);
	sleep_on(b, &t, ALICE);
	bus_advance(b, 9);
	assert_int_equal(t.woken, 1);
	bus_free(&b);
}

static void ephemeral_and_late_touches_wake_at_once(void **state)
{
	struct bus *b = bus_new(10);
	const int64_t rooms[] = { ROOM };
	struct sleeper s;

	(void)state;
	bus_advance(b, 5);
	watch(b, ALICE, rooms, 1);
	sleep_on(b, &s, ALICE);
	bus_touch_room(b, ROOM, BUS_TYPING, 1000);
	assert_int_equal(s.woken, 1);
	sleep_on(b, &s, ALICE);
	bus_touch_room(b, ROOM, BUS_RECEIPTS, 5);
	assert_int_equal(s.woken, 1);
	bus_free(&b);
}

static void a_room_wakes_its_watched_members_only(void **state)
{
	struct bus *b = bus_new(10);
	const int64_t both[] = { ROOM, OTHER }, other[] = { OTHER };
	struct sleeper alice, bob, carol;

	(void)state;
	watch(b, ALICE, both, 2);
	watch(b, BOB, other, 1);
	watch(b, CAROL, both, 2);
	bus_user_left(b, CAROL, ROOM);
	sleep_on(b, &alice, ALICE);
	sleep_on(b, &bob, BOB);
	sleep_on(b, &carol, CAROL);
	bus_touch_room(b, ROOM, BUS_EVENTS, 1);
	bus_touch_room(b, 999, BUS_EVENTS, 1); /* nobody's */
	bus_advance(b, 1);
	assert_int_equal(alice.woken, 1);
	assert_int_equal(bob.woken, 0);
	assert_int_equal(carol.woken, 0);
	assert_true(bus_unwait(b, &bob.w));
	assert_true(bus_unwait(b, &carol.w));
	assert_false(bus_unwait(b, &carol.w));
	assert_int_equal(bus_count(b).waiters, 0);
	/* Carol comes back: the room concerns her again, and the place in both arrays is right after the move. */
	bus_user_joined(b, CAROL, ROOM);
	bus_user_joined(b, CAROL, ROOM);
	bus_user_left(b, ALICE, ROOM);
	bus_user_left(b, ALICE, ROOM);
	sleep_on(b, &carol, CAROL);
	bus_touch_room(b, ROOM, BUS_EVENTS, 1);
	assert_int_equal(carol.woken, 1);
	bus_free(&b);
}

static void rooms_that_changed_are_listed(void **state)
{
	struct bus *b = bus_new(10);
	const int64_t rooms[] = { ROOM, OTHER, 102 };
	int64_t out[3] = { 0 };

	(void)state;
	watch(b, ALICE, rooms, 3);
	bus_touch_room(b, ROOM, BUS_EVENTS, 5);
	bus_touch_room(b, 102, BUS_EVENTS, 7);
	bus_touch_room(b, OTHER, BUS_RECEIPTS, 8);
	assert_int_equal(bus_rooms_changed(b, ALICE, BUS_EVENTS, 5, out, 3), 1);
	assert_int_equal(out[0], 102);
	assert_int_equal(bus_rooms_changed(b, ALICE, BUS_EVENTS, 4, out, 1), 2);
	assert_int_equal(bus_rooms_changed(b, ALICE, BUS_RECEIPTS, 0, out, 3), 1);
	assert_int_equal(out[0], OTHER);
	assert_int_equal(bus_rooms_changed(b, BOB, BUS_EVENTS, 0, out, 3), 0);
	assert_int_equal(known(b, ALICE).last[BUS_EVENTS], 7);
	assert_int_equal(known(b, ALICE).last[BUS_TO_DEVICE], 0);
	bus_free(&b);
}

static void news_come_with_what_is_known_of_each_room(void **state)
{
	AUTO_ARENA a = arena_new();
	struct bus *b = bus_new(10);
	const int64_t rooms[] = { ROOM, OTHER, 102 };
	struct bus_room_news *news;
	struct bus_known k;
	size_t n;

	(void)state;
	assert_false(bus_news(b, a, ALICE, 0, 0, &k, &news, &n));
	bus_touch_room(b, OTHER, BUS_EVENTS, 3);
	bus_advance(b, 3);
	watch(b, BOB, &rooms[1], 1);
	bus_touch_room(b, OTHER, BUS_EVENTS, 4);
	bus_touch_room(b, ROOM, BUS_EVENTS, 5);
	bus_advance(b, 5);
	watch(b, ALICE, rooms, 3);
	bus_touch_room(b, 102, BUS_RECEIPTS, 6);
	bus_touch_room(b, ROOM, BUS_TYPING, 1);
	bus_advance(b, 6);

	assert_true(bus_news(b, a, ALICE, 6, 1, &k, &news, &n));
	assert_int_equal(n, 0);
	assert_int_equal(k.position, 6);
	assert_int_equal(k.own[BUS_EVENTS], 0);
	assert_true(bus_news(b, a, ALICE, 5, 1, &k, &news, &n));
	assert_int_equal(n, 1);
	assert_int_equal(news[0].room, 102);
	assert_int_equal(news[0].last[BUS_RECEIPTS], 6);
	assert_true(bus_news(b, a, ALICE, 6, 0, &k, &news, &n));
	assert_int_equal(n, 1);
	assert_int_equal(news[0].room, ROOM);
	assert_true(bus_news(b, a, ALICE, -1, 9, &k, &news, &n));
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		if (news[i].room == OTHER) { /* known since its first watcher came */
			assert_int_equal(news[i].since, 3);
			assert_int_equal(news[i].last[BUS_EVENTS], 4);
		} else {
			assert_int_equal(news[i].since, 5);
		}
	bus_touch_user(b, ALICE, BUS_EVENTS, 7);
	bus_touch_user(b, ALICE, BUS_ACCOUNT_DATA, 8);
	assert_int_equal(known(b, ALICE).own[BUS_EVENTS], 7);
	bus_free(&b);
}

static void changes_during_the_watch_win_over_its_snapshot(void **state)
{
	struct bus *b = bus_new(10);
	const int64_t snapshot[] = { ROOM, 102, 103 };
	int64_t out[8];
	struct bus_known k;

	(void)state;
	bus_advance(b, 5);
	assert_true(bus_watch_begin(b, ALICE));
	assert_false(bus_known(b, ALICE, &k));
	bus_user_left(b, ALICE, ROOM);    /* in the snapshot, and left since */
	bus_user_joined(b, ALICE, OTHER); /* not in the snapshot */
	bus_user_joined(b, ALICE, 102);   /* in both */
	bus_user_left(b, ALICE, 103);     /* left and joined again */
	bus_user_joined(b, ALICE, 103);
	bus_touch_user(b, ALICE, BUS_ACCOUNT_DATA, 6);
	bus_touch_room(b, 103, BUS_EVENTS, 7);
	bus_watch_rooms(b, ALICE, 5, snapshot, 3);
	/* 102 was nobody's room when it might have been touched: up to 7 nothing is known. */
	assert_int_equal(known(b, ALICE).since, 7);
	assert_int_equal(known(b, ALICE).last[BUS_ACCOUNT_DATA], 6);
	for (int64_t room = ROOM; room <= 103; room++)
		bus_touch_room(b, room, BUS_RECEIPTS, 8);
	assert_int_equal(bus_rooms_changed(b, ALICE, BUS_RECEIPTS, 7, out, 8), 3);
	for (int i = 0; i < 3; i++)
		assert_in_range(out[i], OTHER, 103);
	assert_false(bus_watch_begin(b, ALICE));
	bus_watch_rooms(b, ALICE, 8, snapshot, 1); /* known already: without effect */
	assert_int_equal(known(b, ALICE).since, 7);
	bus_free(&b);
}

static void a_touch_that_came_before_its_room_was_told_still_wakes(void **state)
{
	struct bus *b = bus_new(10);
	const int64_t rooms[] = { ROOM };
	struct sleeper s;

	(void)state;
	bus_advance(b, 5);
	assert_true(bus_watch_begin(b, ALICE));
	bus_touch_room(b, ROOM, BUS_EVENTS, 6);
	bus_watch_rooms(b, ALICE, 5, rooms, 1);
	sleep_on(b, &s, ALICE);
	bus_advance(b, 6);
	assert_int_equal(s.woken, 1);
	bus_free(&b);
}

static void the_least_recently_used_are_forgotten(void **state)
{
	struct bus *b = bus_new(2);
	struct bus_known k;
	struct sleeper s, again = { .w.wake = on_wake };

	(void)state;
	watch(b, ALICE, NULL, 0);
	watch(b, BOB, NULL, 0);
	k = known(b, ALICE);
	watch(b, CAROL, NULL, 0);
	assert_false(bus_known(b, BOB, &k));
	assert_true(bus_known(b, ALICE, &k));
	/* Who waits is not forgotten, nor who is begun: its snapshot is being read. */
	sleep_on(b, &s, ALICE);
	known(b, CAROL);
	assert_true(bus_watch_begin(b, BOB));
	assert_true(bus_watch_begin(b, 4));
	assert_true(bus_watch_begin(b, 5));
	assert_int_equal(bus_count(b).users, 4);
	assert_true(bus_unwait(b, &s.w));
	/* A sequence from before the forgetting is worth nothing after it. */
	assert_true(bus_watch_begin(b, 6));
	assert_false(bus_wait(b, &again.w, ALICE, k.seq));
	watch(b, ALICE, NULL, 0);
	assert_false(bus_wait(b, &again.w, ALICE, k.seq));
	bus_free(&b);
}

static void who_is_not_watched_does_not_sleep(void **state)
{
	struct bus *b = bus_new(2);
	struct sleeper s = { .w.wake = on_wake };

	(void)state;
	assert_false(bus_wait(b, &s.w, ALICE, 0));
	assert_true(bus_watch_begin(b, ALICE));
	assert_false(bus_wait(b, &s.w, ALICE, 1));
	bus_free(&b);
}

/*
 * Writers commit positions one after another (under a lock, as the store does); readers sleep until they have seen the
 * last. A lost wake-up leaves a reader asleep for ever (the test's timeout); a wake that runs twice, or after a
 * successful unwait, is counted.
 */
enum { READERS = 4, WRITERS = 3, ROUNDS = 3000, LAST = WRITERS * ROUNDS };
struct stress {
	struct bus *b;
	struct lock commit;
	int64_t position;
	_Atomic int bad;
};
struct stress_sleeper {
	struct bus_waiter w;
	struct lock lock;
	struct cond cond;
	int woken;
};

static void stress_wake(struct bus_waiter *w)
{
	struct stress_sleeper *s = (struct stress_sleeper *)((char *)w - offsetof(struct stress_sleeper, w));

	LOCKED(&s->lock);
	s->woken++;
	cond_signal(&s->cond);
}

static void stress_writer(void *arg)
{
	struct stress *t = arg;

	for (int i = 0; i < ROUNDS; i++) {
		LOCKED(&t->commit);
		const int64_t p = ++t->position;

		if (p % 3 == 0)
			bus_user_left(t->b, ALICE + p % READERS, OTHER);
		else if (p % 3 == 1)
			bus_user_joined(t->b, ALICE + p % READERS, OTHER);
		bus_touch_room(t->b, OTHER, BUS_EVENTS, p);
		bus_touch_room(t->b, ROOM, BUS_EVENTS, p);
		bus_touch_user(t->b, ALICE + p % READERS, BUS_ACCOUNT_DATA, p);
		bus_advance(t->b, p);
	}
}

static void stress_sleep(struct stress *t, struct stress_sleeper *s, int64_t user, uint64_t seq, bool impatient)
{
	s->woken = 0;
	if (!bus_wait(t->b, &s->w, user, seq))
		return;
	if (impatient && bus_unwait(t->b, &s->w)) {
		if (s->woken != 0)
			atomic_fetch_add(&t->bad, 1);
		return;
	}
	LOCKED(&s->lock);
	while (s->woken == 0)
		cond_wait(&s->cond, &s->lock);
	if (s->woken != 1)
		atomic_fetch_add(&t->bad, 1);
}

struct stress_reader {
	struct stress *t;
	int64_t user;
};

static void stress_reader(void *arg)
{
	const struct stress_reader *r = arg;
	const int64_t rooms[] = { ROOM };
	struct stress_sleeper s = { .w.wake = stress_wake };
	int64_t seen = 0;

	lock_init(&s.lock, RANK_LEAF);
	cond_init(&s.cond);
	for (unsigned i = 0; seen < LAST; i++) {
		struct bus_known k;

		if (!bus_known(r->t->b, r->user, &k)) {
			if (bus_watch_begin(r->t->b, r->user))
				bus_watch_rooms(r->t->b, r->user, bus_position(r->t->b), rooms, 1);
			continue;
		}
		/* Everything up to the position has been told: the room is touched by each. */
		if (k.position > k.since && k.last[BUS_EVENTS] < k.position)
			atomic_fetch_add(&r->t->bad, 1);
		seen = k.position;
		if (seen < LAST)
			stress_sleep(r->t, &s, r->user, k.seq, i % 3 == 0);
	}
	lock_done(&s.lock);
	cond_done(&s.cond);
}

static void nobody_sleeps_through_a_commit(void **state)
{
	struct stress t = { .b = bus_new(READERS - 1) }; /* so that users are forgotten all the time */
	struct stress_reader readers[READERS];
	struct thread *threads[READERS + WRITERS];

	(void)state;
	lock_init(&t.commit, RANK_STORE);
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct stress_reader){ &t, ALICE + i };
		threads[i] = thread_start("reader", stress_reader, &readers[i]);
	}
	for (int i = READERS; i < READERS + WRITERS; i++)
		threads[i] = thread_start("writer", stress_writer, &t);
	for (int i = 0; i < READERS + WRITERS; i++)
		thread_join(&threads[i]);
	assert_int_equal(t.bad, 0);
	assert_int_equal(bus_count(t.b).waiters, 0);
	bus_free(&t.b);
	lock_done(&t.commit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions_only_rise),
		cmocka_unit_test(a_touch_above_the_position_wakes_when_the_position_gets_there),
		cmocka_unit_test(several_pending_positions_each_wake),
		cmocka_unit_test(ephemeral_and_late_touches_wake_at_once),
		cmocka_unit_test(a_room_wakes_its_watched_members_only),
		cmocka_unit_test(rooms_that_changed_are_listed),
		cmocka_unit_test(news_come_with_what_is_known_of_each_room),
		cmocka_unit_test(changes_during_the_watch_win_over_its_snapshot),
		cmocka_unit_test(a_touch_that_came_before_its_room_was_told_still_wakes),
		cmocka_unit_test(the_least_recently_used_are_forgotten),
		cmocka_unit_test(who_is_not_watched_does_not_sleep),
		cmocka_unit_test(nobody_sleeps_through_a_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
