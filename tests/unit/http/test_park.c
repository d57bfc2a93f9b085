/* Requests that wait: woken, expired, hung up on, stopped; each exactly once, and nothing is left behind. */
#include "fixture.h"

#include <sched.h>
#include <sys/resource.h>

static const int64_t room = 1000; /* of every user in /wait */
static struct http *server;

static void touch(int64_t position)
{
	bus_touch_room(world.bus, room, BUS_EVENTS, position);
	bus_advance(world.bus, position);
}

static int wait_from(const struct http *h, int64_t user, int64_t since, int64_t timeout)
{
	AUTO_BUF b = BUF_INIT(1000);
	const int fd = dial(h);

	buf_printf(&b,
		   "GET " C "wait?user=%" PRId64 "&since=%" PRId64 "&timeout=%" PRId64 " HTTP/1.1\r\nHost: x\r\n\r\n",
		   user, since, timeout);
	put(fd, buf_str(&b));
	return fd;
}

static bool expired(struct arena *a, const struct answer *an)
{
	assert_int_equal(an->status, 200);
	return json_get_bool(body_json(a, an), S("expired"), false);
}

static void news_wake_it(void **state)
{
	AUTO_ARENA a = arena_new();
	const int64_t before = bus_position(world.bus);
	const int fd = wait_from(*state, 1, before, 60000);
	struct answer an;

	await_parked(*state, 1);
	touch(before + 1);
	get_answer(a, fd, false, &an);
	assert_false(expired(a, &an));
	assert_int_equal(bus_count(world.bus).waiters, 0);
	/* The connection goes on. */
	put(fd, S(GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	close(fd);
}

static void its_deadline_ends_it(void **state)
{
	AUTO_ARENA a = arena_new();
	const int long_one = wait_from(*state, 1, INT64_C(1) << 40, 60000);
	const int fd = wait_from(*state, 2, INT64_C(1) << 40, 20);
	struct answer an;

	get_answer(a, fd, false, &an);
	assert_true(expired(a, &an));
	await_parked(*state, 1);
	close(fd);
	close(long_one);
	await_connections(*state, 0);
	assert_int_equal(bus_count(world.bus).waiters, 0);
}

static void a_timeout_of_zero_does_not_wait(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = wait_from(*state, 1, INT64_C(1) << 40, 0);
	struct answer an;

	get_answer(a, fd, false, &an);
	assert_true(expired(a, &an));
	close(fd);
}

static void what_comes_behind_it_waits_its_turn(void **state)
{
	AUTO_ARENA a = arena_new();
	const int64_t before = bus_position(world.bus);
	const int fd = wait_from(*state, 1, before, 60000);
	struct answer an;

	await_parked(*state, 1);
	put(fd, S(GET(C "query?n=7")));
	touch(before + 1);
	get_answer(a, fd, false, &an);
	assert_false(expired(a, &an));
	get_answer(a, fd, false, &an);
	assert_true(str_contains(an.body, S("\"n\":7")));
	close(fd);
}

static void one_touch_wakes_all(void **state)
{
	AUTO_ARENA a = arena_new();
	const int64_t before = bus_position(world.bus);
	int fds[300];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = wait_from(*state, (int64_t)i + 1, before, 60000);
	await_parked(*state, ARRAY_LEN(fds));
	touch(before + 1);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct answer an;

		get_answer(a, fds[i], false, &an);
		assert_false(expired(a, &an));
		close(fds[i]);
	}
	assert_int_equal(bus_count(world.bus).waiters, 0);
	await_connections(*state, 0);
}

enum { MANY = 1000 };

static void a_thousand_hang_ups_leave_nothing(void **state)
{
	static int fds[MANY];
	struct http *h = *state;

	for (int i = 0; i < MANY; i++)
		fds[i] = wait_from(h, i % 700, INT64_C(1) << 40, 60000);
	await_parked(h, MANY);
	assert_int_equal(bus_count(world.bus).waiters, MANY);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	await_connections(h, 0);
	assert_int_equal(bus_count(world.bus).waiters, 0);
	await_parked(h, 0);
}

static void a_hang_up_before_the_park_is_seen(void **state)
{
	struct http *h = *state;

	for (int i = 0; i < 50; i++)
		close(wait_from(h, 1, INT64_C(1) << 40, 60000));
	await_connections(h, 0);
	assert_int_equal(bus_count(world.bus).waiters, 0);
}

/* Wake, deadline and hang-up at the same moments: whoever reads his answer gets exactly one to each request. */
struct racer {
	const struct http *h;
	int64_t user;
	_Atomic int *done;
};
enum { RACERS = 6, LAPS = 150 };

static void race(void *arg)
{
	const struct racer *r = arg;
	AUTO_ARENA a = arena_new();
	int fd = -1;

	for (int lap = 0; lap < LAPS; lap++) {
		struct answer an;

		if (fd < 0) {
			fd = wait_from(r->h, r->user, bus_position(world.bus), lap % 3);
		} else {
			put(fd, arena_printf(a,
					     "GET " C "wait?user=%" PRId64 "&since=%" PRId64
					     "&timeout=%d HTTP/1.1\r\nHost: x\r\n\r\n",
					     r->user, bus_position(world.bus), lap % 4));
		}
		if (lap % 5 == 4) { /* gone before the answer */
			close(fd);
			fd = -1;
			continue;
		}
		get_answer(a, fd, false, &an);
		assert_int_equal(an.status, 200);
		arena_reset(a);
	}
	if (fd >= 0)
		close(fd);
	atomic_fetch_add(r->done, 1);
}

static void wake_deadline_and_hang_up_race(void **state)
{
	const int64_t before = bus_position(world.bus);
	struct thread *threads[RACERS];
	struct racer racers[RACERS];
	_Atomic int done = 0;
	int64_t position = before;

	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ *state, i / 2, &done };
		threads[i] = thread_start("racer", race, &racers[i]);
	}
	while (atomic_load(&done) < RACERS) {
		touch(++position);
		sched_yield();
	}
	for (int i = 0; i < RACERS; i++)
		thread_join(&threads[i]);
	await_connections(*state, 0);
	assert_int_equal(bus_count(world.bus).waiters, 0);
}

/* The last test: it stops the server. */
static void stopping_answers_all_that_wait(void **state)
{
	AUTO_ARENA a = arena_new();
	static int fds[MANY];
	struct http *h = *state;
	struct answer an;

	for (int i = 0; i < MANY; i++)
		fds[i] = wait_from(h, i, INT64_C(1) << 40, 60000);
	await_parked(h, MANY);
	http_stop(&server, 20);
	assert_int_equal(bus_count(world.bus).waiters, 0);
	for (int i = 0; i < MANY; i++) {
		get_answer(a, fds[i], false, &an);
		assert_true(expired(a, &an));
		assert_true(str_eq_nocase(answer_header(&an, "Connection"), S("close")));
		assert_true(is_closed(fds[i]));
		close(fds[i]);
		arena_reset(a);
	}
}

static int setup(void **state)
{
	const struct rlimit files = { 4096, 4096 };

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	world_init();
	*state = server = start_server((struct http_options){ .workers = { 8, 2, 2 } }, client_listener);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_stop(&server, 5);
	world_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_wake_it),
		cmocka_unit_test(its_deadline_ends_it),
		cmocka_unit_test(a_timeout_of_zero_does_not_wait),
		cmocka_unit_test(what_comes_behind_it_waits_its_turn),
		cmocka_unit_test(one_touch_wakes_all),
		cmocka_unit_test(a_thousand_hang_ups_leave_nothing),
		cmocka_unit_test(a_hang_up_before_the_park_is_seen),
		cmocka_unit_test(wake_deadline_and_hang_up_race),
		cmocka_unit_test(stopping_answers_all_that_wait),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
