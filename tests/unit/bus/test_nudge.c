/* test_nudge.c - news in turns: who is queued, who is touched when, and at what cost; who shares a room, who only
 * peeks. */
#include "test.h"

#include "bus/bus.h"

enum { ALICE = 1, BOB = 2, CAROL = 3, ROOM = 100, OTHER = 101, PLENTY = 1000 };

struct sleeper {
	struct bus_waiter w;
	int woken;
};

static void on_wake(struct bus_waiter *w) { ((struct sleeper *)((char *)w - offsetof(struct sleeper, w)))->woken++; }

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

static size_t turns(struct bus *b, size_t budget, size_t want_rest)
{
	size_t rest;
	const size_t cost = bus_nudge_out(b, budget, &rest);

	assert_int_equal(rest, want_rest);
	return cost;
}

static const int64_t rooms[] = { ROOM, OTHER };

static void a_nudge_is_no_news_before_its_turn(void **state)
{
	struct bus *b = bus_new(10);
	struct sleeper alice, bob;

	(void)state;
	watch(b, ALICE, rooms, 1);
	watch(b, BOB, rooms, 2);
	watch(b, CAROL, NULL, 0);
	sleep_on(b, &alice, ALICE);
	sleep_on(b, &bob, BOB);
	bus_nudge_room(b, ROOM, 7);
	bus_nudge_room(b, OTHER, 8);
	assert_int_equal(alice.woken + bob.woken, 0);
	assert_int_equal(known(b, BOB).last[BUS_PRESENCE], 0);
	/* One turn: who was queued first. */
	assert_int_equal(turns(b, 1, 1), NUDGE_WAITER);
	assert_int_equal(alice.woken, 1);
	assert_int_equal(bob.woken, 0);
	assert_int_equal(known(b, ALICE).last[BUS_PRESENCE], 7);
	assert_int_equal(turns(b, PLENTY, 0), NUDGE_WAITER);
	assert_int_equal(bob.woken, 1);
	assert_int_equal(known(b, BOB).last[BUS_PRESENCE], 8);
	assert_int_equal(turns(b, PLENTY, 0), 0);
	assert_int_equal(known(b, CAROL).last[BUS_PRESENCE], 0);
	bus_free(&b);
}

static void who_has_not_asked_is_not_touched_again(void **state)
{
	struct bus *b = bus_new(10);

	(void)state;
	watch(b, ALICE, rooms, 1);
	bus_nudge_user(b, ALICE, 3);
	bus_nudge_user(b, ALICE, 4);
	assert_int_equal(turns(b, PLENTY, 0), NUDGE_NOBODY);
	bus_nudge_room(b, ROOM, 9);
	assert_int_equal(turns(b, PLENTY, 0), 0);
	/* But once they ask they learn of everything, and are queued from then on. */
	assert_int_equal(known(b, ALICE).last[BUS_PRESENCE], 9);
	bus_nudge_room(b, ROOM, 10);
	assert_int_equal(turns(b, PLENTY, 0), NUDGE_NOBODY);
	assert_int_equal(known(b, ALICE).last[BUS_PRESENCE], 10);
	bus_free(&b);
}

static void the_forgotten_wait_for_no_turn(void **state)
{
	struct bus *b = bus_new(1);

	(void)state;
	watch(b, ALICE, rooms, 1);
	bus_nudge_room(b, ROOM, 3);
	watch(b, BOB, rooms, 1);
	assert_int_equal(bus_count(b).users, 1);
	assert_int_equal(turns(b, PLENTY, 0), 0);
	bus_nudge_user(b, ALICE, 4); /* not watched: nobody is told */
	assert_int_equal(turns(b, PLENTY, 0), 0);
	bus_nudge_room(b, ROOM, 5);
	bus_free(&b); /* with somebody queued */
}

/* What was told while the bus did not listen is not known: so it may have been something. */
static void who_is_watched_anew_may_have_missed_a_turn(void **state)
{
	struct bus *b = bus_new(10);

	(void)state;
	(void)bus_next_serial(b);
	const int64_t serial = bus_next_serial(b);

	watch(b, ALICE, rooms, 1);
	assert_int_equal(known(b, ALICE).last[BUS_PRESENCE], serial);
	bus_free(&b);
}

static void who_peeks_hears_but_shares_nothing(void **state)
{
	AUTO_ARENA a = arena_new();
	struct bus *b = bus_new(10);
	struct sleeper s;
	int64_t *in;
	size_t n;

	(void)state;
	assert_false(bus_rooms_of(b, a, ALICE, &in, &n));
	watch(b, ALICE, rooms, 1);
	bus_user_peeks(b, ALICE, OTHER);
	bus_user_peeks(b, ALICE, ROOM); /* is joined already */
	sleep_on(b, &s, ALICE);
	bus_touch_room(b, OTHER, BUS_TYPING, 1);
	assert_int_equal(s.woken, 1);
	assert_true(bus_rooms_of(b, a, ALICE, &in, &n));
	assert_true(n == 1 && in[0] == ROOM);
	bus_user_joined(b, ALICE, OTHER);
	assert_true(bus_rooms_of(b, a, ALICE, &in, &n));
	assert_int_equal(n, 2);
	/* A look that began before the join was known to the bus. */
	assert_true(bus_watch_begin(b, BOB));
	bus_user_peeks(b, BOB, ROOM);
	bus_watch_rooms(b, BOB, bus_position(b), rooms, 1);
	assert_true(bus_rooms_of(b, a, BOB, &in, &n));
	assert_int_equal(n, 1);
	bus_free(&b);
}

TEST_MAIN(cmocka_unit_test(a_nudge_is_no_news_before_its_turn),
	  cmocka_unit_test(who_has_not_asked_is_not_touched_again), cmocka_unit_test(the_forgotten_wait_for_no_turn),
	  cmocka_unit_test(who_is_watched_anew_may_have_missed_a_turn),
	  cmocka_unit_test(who_peeks_hears_but_shares_nothing))
