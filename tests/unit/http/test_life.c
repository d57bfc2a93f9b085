/* Limits, listeners and stopping: servers of their own, one a test. */
#include "fixture.h"

#include <poll.h>
#include <sys/resource.h>

static struct http *start(struct http_options opt) { return start_server(opt, client_listener); }

static void stop(struct http *h)
{
	http_stop(&h, 20);
	world_done();
}

static int open_request(const struct http *h, str request)
{
	const int fd = dial(h);

	put(fd, request);
	return fd;
}

static void await_waiting(struct http *h, enum lane lane, size_t n)
{
	while (atomic_load(&h->lanes[lane].waiting) != n)
		look_again();
}

static void a_full_queue_refuses(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int fds[4];

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 2, 2, 1 }, .queue_limit = { 10, 2, 1 } });
	for (int i = 0; i < 2; i++)
		fds[i] = open_request(h, S(GET(C "gate")));
	await_inside(2);
	for (int i = 2; i < 4; i++)
		fds[i] = open_request(h, S(GET(C "gate")));
	await_waiting(h, LANE_SLOW, 2);
	an = ask(a, h, GET(C "gate"));
	expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	assert_true(str_eq(answer_header(&an, "Retry-After"), S("1")));
	/* The other lane does not mind, nor does what needs none. */
	assert_int_equal(ask(a, h, GET(C "hello")).status, 200);
	open_gate(4);
	for (int i = 0; i < 4; i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
		close(fds[i]);
	}
	stop(h);
}

/* Who moves waits in the other lane's queue, and holds nobody up in the first. */
static void who_moves_is_in_the_other_lane(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int fds[2];

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 1, 1, 1, 1 }, .queue_limit = { 1, 1, 1, 1 } });
	fds[0] = open_request(h, S(GET(C "mover")));
	await_inside(1);
	fds[1] = open_request(h, S(GET(C "mover")));
	await_waiting(h, LANE_REMOTE, 1);
	an = ask(a, h, GET(C "mover"));
	expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	assert_int_equal(ask(a, h, GET(C "hello")).status, 200);
	open_gate(2);
	for (int i = 0; i < 2; i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
		close(fds[i]);
	}
	stop(h);
}

/* Handlers that wait on a condition do not keep the lane from working on. */
static void waiting_handlers_are_not_counted_as_running(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int fds[20];

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 2, 20, 1 } });
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open_request(h, S(GET(C "gate")));
	await_inside(ARRAY_LEN(fds));
	open_gate(ARRAY_LEN(fds));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
		close(fds[i]);
	}
	stop(h);
}

/* Nor do those that are stuck where nobody tells the lane. */
static void stuck_handlers_do_not_hold_the_lane(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int fds[8];

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 20, 1, 1 } });
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open_request(h, S(GET(C "stuck")));
	assert_int_equal(ask(a, h, GET(C "hello")).status, 200);
	assert_int_equal(write(world.plug[1], "12345678", ARRAY_LEN(fds)), ARRAY_LEN(fds));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
		close(fds[i]);
	}
	stop(h);
}

static void stop_in_thread(void *arg)
{
	struct http **h = arg;

	http_stop(h, 20);
}

static void stopping_answers_what_it_took(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	struct thread *t;
	int running, queued, idle;

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 2, 1, 1 } });
	running = open_request(h, S(GET(C "gate")));
	await_inside(1);
	queued = open_request(h, S(GET(C "gate")));
	await_waiting(h, LANE_SLOW, 1);
	idle = open_request(h, S(GET(C "hello")));
	get_answer(a, idle, false, &an);
	t = thread_start("stopper", stop_in_thread, &h);
	assert_true(is_closed(idle)); /* a connection without a request ends at once */
	open_gate(2);
	get_answer(a, running, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(str_eq_nocase(answer_header(&an, "Connection"), S("close")));
	get_answer(a, queued, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(is_closed(queued));
	thread_join(&t);
	assert_null(h);
	close(running);
	close(queued);
	close(idle);
	world_done();
}

static void stop_without_grace(void *arg)
{
	struct http **h = arg;

	http_stop(h, 0);
}

static void what_nobody_began_is_refused_after_the_grace(void **state)
{
	struct http *h;
	struct thread *t;
	int running, queued;

	(void)state;
	world_init();
	h = start((struct http_options){ .workers = { 2, 1, 1 } });
	running = open_request(h, S(GET(C "gate")));
	await_inside(1);
	queued = open_request(h, S(GET(C "gate")));
	await_waiting(h, LANE_SLOW, 1);
	t = thread_start("stopper", stop_without_grace, &h);
	/* The one that runs is waited for; the queued one never runs. */
	while (!is_closed(queued))
		continue;
	open_gate(1);
	thread_join(&t);
	lock_take(&world.lock);
	assert_int_equal(world.inside, 0);
	assert_int_equal(world.open, 0);
	lock_drop(&world.lock);
	close(running);
	close(queued);
	world_done();
}

/* A byte every tenth of a second, for ever: the request's own deadline ends it. */
static void slow_requests_are_cut_off(void **state)
{
	struct http *h;
	int head, body, silent;
	struct pollfd p[3];
	unsigned open = 3;

	(void)state;
	world_init();
	h = start((struct http_options){ .request_timeout_s = 1 });
	head = open_request(h, S("GET " C "hello HTTP/1.1\r\nHost: x\r\nX: "));
	body = open_request(h, S("POST " C "object HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
	silent = dial(h);
	p[0] = (struct pollfd){ .fd = head, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = body, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = silent, .events = POLLIN };
	while (open > 0) {
		if (poll(p, 3, 100) == 0) {
			put_maybe(head, S("a"));
			put_maybe(body, S(" "));
			continue;
		}
		for (int i = 0; i < 3; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			assert_true(is_closed(p[i].fd));
			close(p[i].fd);
			p[i].fd = -1;
			open--;
		}
	}
	stop(h);
}

static void a_long_wait_outlives_the_request_timeout(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int fd;

	(void)state;
	world_init();
	h = start((struct http_options){ .request_timeout_s = 1 });
	fd = open_request(h, S(GET(C "wait?since=99&timeout=2500")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	close(fd);
	stop(h);
}

static void too_many_connections_are_turned_away(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;
	int first, second, third;

	(void)state;
	world_init();
	h = start((struct http_options){ .max_connections = 2 });
	first = open_request(h, S(GET(C "hello")));
	get_answer(a, first, false, &an);
	second = open_request(h, S(GET(C "hello")));
	get_answer(a, second, false, &an);
	third = dial(h);
	assert_true(is_closed(third));
	close(third);
	close(first);
	await_connections(h, 1);
	assert_int_equal(ask(a, h, GET(C "hello")).status, 200);
	close(second);
	stop(h);
}

static void allowances_go_by_user_or_address(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct rate_limit none[RATE_CLASSES] = { { 0 } };
	struct http *h;
	struct answer an;
	int64_t ms;

	(void)state;
	world_init();
	h = start((struct http_options){
		.rates = { [RATE_LOGIN] = { 0.001, 1 }, [RATE_MESSAGE] = { 0.001, 1 } },
	});
	assert_int_equal(ask(a, h, GET(C "limited")).status, 200);
	an = ask(a, h, GET(C "limited"));
	expect_error(a, &an, 429, "M_LIMIT_EXCEEDED");
	assert_true(json_get_int(body_json(a, &an), S("retry_after_ms"), &ms));
	assert_in_range(ms, 900000, 1000001);
	assert_int_equal(answer_header(&an, "Retry-After").n, strlen("1000"));
	/* By user where there is one: the same address has another. */
	assert_int_equal(ask(a, h, GET(C "whoami?access_token=good1")).status, 200);
	assert_int_equal(ask(a, h, GET(C "whoami?access_token=good1")).status, 429);
	assert_int_equal(ask(a, h, GET(C "whoami?access_token=good2")).status, 200);
	assert_int_equal(ask(a, h, GET(C "whoami?access_token=bad")).status, 401);
	http_set_rates(h, none);
	assert_int_equal(ask(a, h, GET(C "limited")).status, 200);
	stop(h);
}

static void forwarded_addresses_are_believed_where_configured(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http_listener trusting = client_listener;
	struct http *h;
	struct answer an;
	static const struct {
		const char *header, *address;
	} cases[] = {
		{ "X-Forwarded-For: 192.0.2.1", "192.0.2.1" },
		{ "X-Forwarded-For: 6.6.6.6, 192.0.2.1 ", "192.0.2.1" }, /* the first is the client's own word */
		{ "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1", "192.0.2.1" },
		{ "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nx-forwarded-for: 192.0.2.2, 192.0.2.1", "192.0.2.1" },
		{ "X-Forwarded-For: 2001:db8::1", "2001:db8::1" },
		/* Through two proxies of ours: the inner one's word is the outer one's address. */
		{ "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.2.3", "192.0.2.1" },
		{ "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.1.2.3", "192.0.2.1" },
		{ "X-Forwarded-For: 10.1.2.3", "10.1.2.3" },
		{ "X-Forwarded-For: nonsense, 10.1.2.3", "10.1.2.3" },
		{ "X-Forwarded-For: nonsense", "127.0.0.1" },
		{ "X-Forwarded-For: ", "127.0.0.1" },
		{ "X-Other: y", "127.0.0.1" },
	};

	struct ip_net nets[2];

	(void)state;
	assert_true(ip_net_parse(S("10.0.0.0/8"), &nets[0]) && ip_net_parse(S("127.0.0.1"), &nets[1]));
	trusting.trusted_proxies = nets;
	/* without x_forwarded; from a peer that is no proxy of ours; from one that is */
	for (int trust = -1; trust < 2; trust++) {
		world_init();
		trusting.x_forwarded = trust >= 0;
		trusting.n_trusted_proxies = trust == 1 ? 2 : 1;
		h = start_server((struct http_options){ 0 }, trusting);
		for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
			an = ask(
				a, h,
				arena_printf(a, "GET " C "hello HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", cases[i].header).p);
			assert_true(str_eq(json_get_str(body_json(a, &an), S("hello")),
					   trust == 1 ? str_c(cases[i].address) : S("127.0.0.1")));
		}
		stop(h);
	}
}

static void listeners_serve_their_groups_alone(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h;
	struct answer an;

	(void)state;
	world_init();
	h = start_server((struct http_options){ 0 }, (struct http_listener){ .federation = true, .no_gzip = true });
	an = ask(a, h, GET("/_matrix/federation/v1/version"));
	assert_int_equal(an.status, 200);
	assert_true(str_is_none(answer_header(&an, "Access-Control-Allow-Origin")));
	assert_int_equal(ask(a, h, GET("/.well-known/matrix/server")).status, 200);
	assert_int_equal(ask(a, h, GET(C "hello")).status, 404);
	assert_int_equal(ask(a, h, GET("/metrics")).status, 404);
	assert_int_equal(ask(a, h, GET("/health")).status, 404);
	stop(h);
}

static void many_listeners_share_one_server(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http_listener l = { .address = S("127.0.0.1"), .health = true };
	struct http *h;
	struct answer an;
	err *e;
	int fd;

	(void)state;
	world_init();
	h = start((struct http_options){ 0 });
	assert_null(http_listen(h, a, &l));
	fd = dial_port(http_port(h, 1));
	put(fd, S(GET("/health") GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 404);
	close(fd);
	/* What cannot be is told in words. */
	l.port = http_port(h, 0);
	e = http_listen(h, a, &l);
	assert_int_equal(e->code, ERR_CONFIG);
	assert_true(str_contains(e->msg, S("Address already in use")));
	l.address = S("nowhere");
	assert_int_equal(http_listen(h, a, &l)->code, ERR_CONFIG);
	stop(h);
}

/* More connections than one loop's share: further loops are made, and all are answered. */
static void loops_grow_with_connections(void **state)
{
	AUTO_ARENA a = arena_new();
	static int fds[HTTP_LOOP_SHARE + 10];
	struct http *h;
	struct answer an;

	(void)state;
	world_init();
	h = start((struct http_options){ .loops = 1 });
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open_request(h, S(GET(C "hello")));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	await_connections(h, 0);
	assert_int_equal(h->n_loops[0], 2);
	stop(h);
}

/* The library takes its events by 128, and where it gets exactly as many it waits for a further one before it serves
 * them: which must not be long in coming. The first count is some events below, for who held the loop may have its own.
 */
static void a_full_batch_of_requests_is_served(void **state)
{
	enum { BATCH = 128, FROM = BATCH - 4 };
	AUTO_ARENA a = arena_new();
	int fds[BATCH], holder;
	struct answer an;
	struct http *h;

	(void)state;
	world_init();
	h = start((struct http_options){ .loops = 1 });
	for (int n = 0; n < FROM - 1; n++)
		fds[n] = open_request(h, S(GET(C "hello")));
	for (int n = 0; n < FROM - 1; n++)
		get_answer(a, fds[n], false, &an);
	for (int n = FROM; n <= BATCH; n++) {
		fds[n - 1] = open_request(h, S(GET(C "hello")));
		get_answer(a, fds[n - 1], false, &an);
		holder = open_request(h, S(GET(C "loop-gate")));
		await_inside(1);
		for (int i = 0; i < n; i++)
			put(fds[i], S(GET(C "loop")));
		open_gate(1);
		for (int i = 0; i < n; i++) {
			get_answer(a, fds[i], false, &an);
			assert_int_equal(an.status, 200);
		}
		close(holder);
		arena_reset(a);
	}
	for (int n = 0; n < BATCH; n++)
		close(fds[n]);
	stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_moves_is_in_the_other_lane),
		cmocka_unit_test(a_full_queue_refuses),
		cmocka_unit_test(waiting_handlers_are_not_counted_as_running),
		cmocka_unit_test(stuck_handlers_do_not_hold_the_lane),
		cmocka_unit_test(stopping_answers_what_it_took),
		cmocka_unit_test(what_nobody_began_is_refused_after_the_grace),
		cmocka_unit_test(slow_requests_are_cut_off),
		cmocka_unit_test(a_long_wait_outlives_the_request_timeout),
		cmocka_unit_test(too_many_connections_are_turned_away),
		cmocka_unit_test(allowances_go_by_user_or_address),
		cmocka_unit_test(forwarded_addresses_are_believed_where_configured),
		cmocka_unit_test(listeners_serve_their_groups_alone),
		cmocka_unit_test(many_listeners_share_one_server),
		cmocka_unit_test(loops_grow_with_connections),
		cmocka_unit_test(a_full_batch_of_requests_is_served),
	};

	const struct rlimit files = { 6000, 6000 };

	setrlimit(RLIMIT_NOFILE, &files);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
