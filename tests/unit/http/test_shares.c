/* Requests of one server, or of one user who has others waited for: so many at work, some that wait, and the others
 * refused; nobody else notices. */
#include "fixture.h"

#include <poll.h>

#define FED(path) "/_matrix/federation/v1/" path

static err *get_origin(struct req *rq)
{
	jw_str(reply_json(rq, 200), "origin", rq->origin);
	return NULL;
}

/* Waits for user 1's news, once. */
static err *get_parked(struct req *rq)
{
	struct bus_known k;
	const int64_t rooms[] = { 1000 };

	if (atomic_fetch_add(&world.wait_runs, 1) > 0)
		return get_origin(rq);
	if (bus_watch_begin(world.bus, 1))
		bus_watch_rooms(world.bus, 1, bus_position(world.bus), rooms, 1);
	assert_true(bus_known(world.bus, 1, &k));
	return req_park(rq, 1, k.seq, rq->arrived_us + 60000000);
}

/* Has others waited for. */
static err *get_moved(struct req *rq)
{
	if (req_lane(rq) != LANE_REMOTE)
		return req_move(rq, LANE_REMOTE);
	return get_gate(rq);
}

static const struct route routes[] = {
	{ "GET", FED("gate"), get_gate, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", FED("origin"), get_origin, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", FED("parked"), get_parked, AUTH_SERVER, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/client/v3/gate", get_gate, AUTH_USER, RATE_NONE, LANE_REMOTE },
	{ "GET", "/_matrix/client/v3/moved", get_moved, AUTH_USER, RATE_NONE, LANE_FAST },
	{ "GET", "/_matrix/client/v3/anybody", get_moved, AUTH_NONE, RATE_NONE, LANE_FAST },
	{ 0 },
};
static const struct route *const tables[] = { routes, NULL };

static struct http *start(unsigned workers, unsigned running, unsigned waiting)
{
	world_init();
	return start_server((struct http_options){ .tables = tables,
						   .workers = { [LANE_FEDERATION] = workers },
						   .origin_running = running,
						   .origin_waiting = waiting },
			    (struct http_listener){ .federation = true });
}

static void stop(struct http *h)
{
	http_stop(&h, 20);
	world_done();
}

static int begin(const struct http *h, const char *request)
{
	const int fd = dial(h);

	put(fd, str_c(request));
	return fd;
}

static void expect_good(int fd)
{
	AUTO_ARENA a = arena_new();
	struct answer an;

	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	close(fd);
}

static void await_waiting(int64_t n)
{
	while (metric_value(metrics_http()->behind_share) != n)
		look_again();
}

static void one_server_has_its_share(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start(6, 2, 3);
	struct answer an;
	int fds[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		fds[i] = begin(h, GET(FED("gate?access_token=good-a")));
		await_inside(MIN(i + 1, 2));
		await_waiting(MAX(i - 1, 0));
	}
	an = ask(a, h, GET(FED("gate?access_token=good-a")));
	expect_error(a, &an, 429, "M_LIMIT_EXCEEDED");
	an = ask(a, h, GET(FED("origin?access_token=good-b")));
	assert_int_equal(an.status, 200);
	assert_true(str_eq(json_get_str(body_json(a, &an), S("origin")), S("good-b")));
	/* Whoever cannot prove that it is that server neither waits nor takes a place. */
	an = ask(a, h, GET(FED("gate?access_token=bad")));
	expect_error(a, &an, 401, "M_UNKNOWN_TOKEN");
	open_gate(5);
	for (int i = 0; i < 5; i++)
		expect_good(fds[i]);
	/* Whoever waited was not asked for its proof again. */
	assert_int_equal(atomic_load(&world.proofs), 7);
	an = ask(a, h, GET(FED("origin?access_token=good-a")));
	assert_int_equal(an.status, 200);
	stop(h);
}

/* In the order of their coming, and never more than their share. */
static void places_go_from_one_to_the_next(void **state)
{
	struct http *h = start(8, 1, 50);
	int fds[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		fds[i] = begin(h, GET(FED("gate?access_token=good-a")));
		await_inside(1);
		await_waiting(i);
	}
	for (int i = 0; i < 20; i++) {
		await_inside(1);
		open_gate(1);
		expect_good(fds[i]);
	}
	stop(h);
}

/* Who waits for news has no worker, and so needs no place. */
static void who_parks_gives_its_place_back(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start(2, 1, 1);
	int fd = begin(h, GET(FED("parked?access_token=good-a")));

	(void)state;
	await_counts(h, 1, 1, true);
	while (ask(a, h, GET(FED("origin?access_token=good-a"))).status != 200)
		look_again();
	bus_touch_room(world.bus, 1000, BUS_EVENTS, bus_position(world.bus) + 1);
	bus_advance(world.bus, bus_position(world.bus) + 1);
	expect_good(fd);
	stop(h);
}

static void stop_in_thread(void *arg)
{
	struct http **h = arg;

	http_stop(h, 20);
}

static void stopping_answers_those_who_wait(void **state)
{
	struct http *h = start(4, 1, 50);
	struct thread *t;
	int fds[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		fds[i] = begin(h, GET(FED("gate?access_token=good-a")));
		await_inside(1);
		await_waiting(i);
	}
	t = thread_start("stopper", stop_in_thread, &h);
	open_gate(4);
	for (int i = 0; i < 4; i++)
		expect_good(fds[i]);
	thread_join(&t);
	world_done();
}

/* A fourth of those who wait for other servers, whichever way the requests came there. */
static void one_user_has_a_share_of_those_who_wait(void **state)
{
	static const char *const asks[] = { GET("/_matrix/client/v3/gate?access_token=good-a"),
					    GET("/_matrix/client/v3/moved?access_token=good-a") };
	const int n = 6;
	struct http *h;
	int fds[8];

	(void)state;
	world_init();
	h = start_server((struct http_options){ .tables = tables, .workers = { [LANE_REMOTE] = 8 } },
			 (struct http_listener){ .client = true });
	for (int i = 0; i < n; i++) {
		fds[i] = begin(h, asks[i % 2]);
		await_inside(MIN(i + 1, 2));
		await_waiting(MAX(i - 1, 0));
	}
	fds[n] = begin(h, GET("/_matrix/client/v3/moved?access_token=good-b"));
	await_inside(3);
	fds[n + 1] = begin(h, GET("/_matrix/client/v3/anybody"));
	await_inside(4);
	await_waiting(4);
	open_gate(8);
	for (int i = 0; i < 8; i++)
		expect_good(fds[i]);
	await_waiting(0);
	stop(h);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_server_has_its_share),
	cmocka_unit_test(places_go_from_one_to_the_next),
	cmocka_unit_test(who_parks_gives_its_place_back),
	cmocka_unit_test(stopping_answers_those_who_wait),
	cmocka_unit_test(one_user_has_a_share_of_those_who_wait),
};

int main(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
