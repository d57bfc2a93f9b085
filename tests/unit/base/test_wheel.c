/* test_wheel.c - timers: never early, late by less than a tick, whatever is set, moved and stopped. */
#include "test.h"

#include "base/rand.h"
#include "base/wheel.h"

enum { TICK = 100, MANY = 500 };

struct alarm {
	struct wheel_timer timer;
	int64_t wanted, rang; /* 0: not set, did not ring */
};
struct clock {
	struct wheel w;
	int64_t now;
	size_t rang;
	struct alarm *again; /* set anew when it rings, for this much later */
	int64_t later;
};

static void ring(void *ctx, struct wheel_timer *t)
{
	struct clock *c = ctx;
	struct alarm *al = LIST_ITEM(t, struct alarm, timer);

	al->rang = c->now;
	c->rang++;
	if (al == c->again)
		wheel_set(&c->w, t, c->now + c->later);
}

static void turn(struct clock *c, int64_t now)
{
	c->now = now;
	wheel_turn(&c->w, now, ring, c);
}

static struct clock *clock_new(int64_t now)
{
	struct clock *c = MEM_NEW(struct clock);

	c->now = now;
	wheel_init(&c->w, TICK, now);
	return c;
}

static void rings_at_the_first_tick_that_is_not_before_its_deadline(void **state)
{
	static const struct {
		int64_t begin, at, rings; /* turned at each tick */
	} rows[] = {
		{ 0, 1, 100 },
		{ 0, 100, 100 },
		{ 0, 101, 200 },
		{ 1000, 1500, 1500 },
		{ 1050, 1099, 1100 },
		{ 1000, 500, 1100 }, /* overdue */
		{ 0, WHEEL_SLOTS * TICK, WHEEL_SLOTS * TICK },
		{ 700, 3 * WHEEL_SLOTS * TICK + 750, 3 * WHEEL_SLOTS * TICK + 800 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct clock *c = clock_new(rows[i].begin);
		struct alarm al = { 0 };

		wheel_timer_init(&al.timer);
		wheel_set(&c->w, &al.timer, rows[i].at);
		for (int64_t t = rows[i].begin; !al.rang && t < rows[i].rings + 10 * TICK; t += TICK) {
			ok(wheel_next(&c->w) <= rows[i].rings, "row %zu: sleeps until %lld", i,
			   (long long)wheel_next(&c->w));
			turn(c, t / TICK * TICK);
		}
		ok(al.rang == rows[i].rings, "row %zu rang at %lld", i, (long long)al.rang);
		assert_int_equal(c->w.n, 0);
		assert_int_equal(wheel_next(&c->w), INT64_MAX);
		mem_free(c);
	}
}

/* Who sleeps until wheel_next, and only then turns it, misses nothing. */
static void sleeping_until_the_next_is_enough(void **state)
{
	struct clock *c = clock_new(12345);
	struct alarm *all = mem_zalloc(MANY * sizeof(*all));
	size_t set = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		wheel_timer_init(&all[i].timer);
		all[i].wanted = 12345 + (int64_t)(rand_u64() % (2 * WHEEL_SLOTS * TICK));
		wheel_set(&c->w, &all[i].timer, all[i].wanted);
	}
	for (size_t i = 0; i < MANY; i += 3) {
		if (i % 2 == 0) {
			wheel_stop(&c->w, &all[i].timer);
			all[i].wanted = 0;
		} else {
			all[i].wanted = 12345 + (int64_t)(rand_u64() % (WHEEL_SLOTS * TICK));
			wheel_set(&c->w, &all[i].timer, all[i].wanted);
		}
	}
	while (wheel_next(&c->w) != INT64_MAX)
		turn(c, wheel_next(&c->w));
	for (size_t i = 0; i < MANY; i++) {
		set += all[i].wanted != 0;
		ok(all[i].rang >= all[i].wanted && all[i].rang - all[i].wanted < TICK && !all[i].wanted == !all[i].rang,
		   "wanted %lld, rang %lld", (long long)all[i].wanted, (long long)all[i].rang);
	}
	assert_int_equal(c->rang, set);
	mem_free(all);
	mem_free(c);
}

static void after_a_long_sleep_all_ring_once(void **state)
{
	struct clock *c = clock_new(1000);
	struct alarm all[3] = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		wheel_timer_init(&all[i].timer);
	wheel_set(&c->w, &all[0].timer, 1100);
	wheel_set(&c->w, &all[1].timer, 1000 + 2 * WHEEL_SLOTS * TICK);
	wheel_set(&c->w, &all[2].timer, 1000 + 20 * WHEEL_SLOTS * TICK);
	turn(c, 1000 + 10 * WHEEL_SLOTS * TICK);
	assert_int_equal(c->rang, 2);
	assert_int_equal(all[2].rang, 0);
	turn(c, 500); /* no time passed */
	turn(c, 1000 + 20 * WHEEL_SLOTS * TICK);
	assert_int_equal(c->rang, 3);
	mem_free(c);
}

static void may_be_set_anew_while_it_rings(void **state)
{
	struct clock *c = clock_new(0);
	struct alarm al = { 0 };

	(void)state;
	wheel_timer_init(&al.timer);
	c->again = &al;
	c->later = 250;
	wheel_set(&c->w, &al.timer, 100);
	for (int64_t t = 0; t <= 1000; t += TICK)
		turn(c, t);
	assert_int_equal(c->rang, 4); /* 100, 400, 700, 1000 */
	assert_int_equal(c->w.n, 1);
	wheel_stop(&c->w, &al.timer);
	assert_int_equal(wheel_next(&c->w), INT64_MAX);
	mem_free(c);
}

TEST_MAIN(cmocka_unit_test(rings_at_the_first_tick_that_is_not_before_its_deadline),
	  cmocka_unit_test(sleeping_until_the_next_is_enough), cmocka_unit_test(after_a_long_sleep_all_ring_once),
	  cmocka_unit_test(may_be_set_anew_while_it_rings))
