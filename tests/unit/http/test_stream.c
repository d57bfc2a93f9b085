/* Answers that come from a source; and both ways: deadlines, stopping, many at once. */
#include "stream_fixture.h"

/* Downloads ------------------------------------------------------------------------------------------------------ */
static void an_answer_of_any_size_goes_in_pieces(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		get_source_of(a, fd, "GET", sizes[i], i % 2 ? "" : "&piece=54321");
		assert_true(get_bytes(fd, sizes[i]));
		AWAIT(seen.sources_dropped == (int)i + 1);
	}
	expect_alive(a, fd);
	close(fd);
	assert_int_equal(SEEN(most_sent), PIECE); /* whatever the length */
	stop(h);
}

static char get_byte(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 1);
	return c;
}

/* The length of the chunk that follows. */
static uint64_t get_chunk_head(int fd)
{
	uint64_t n = 0;

	for (char c = get_byte(fd); c != '\r'; c = get_byte(fd))
		n = n * 16 + (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	assert_int_equal(get_byte(fd), '\n');
	return n;
}

static void a_source_need_not_know_its_length(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t got = 0, chunk;
		struct answer an;

		put_f(fd, "GET " C "source?unknown=yes&n=%" PRIu64 "%s HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i],
		      i % 2 ? "" : "&piece=4321");
		get_head(a, fd, &an);
		assert_int_equal(an.status, 200);
		if (sizes[i] < PIECE) { /* the end came before anything went out */
			assert_true(str_to_u64(answer_header(&an, "Content-Length"), &got));
			assert_int_equal(got, sizes[i]);
			assert_true(get_bytes(fd, sizes[i]));
			continue;
		}
		assert_true(str_eq(answer_header(&an, "Transfer-Encoding"), S("chunked")));
		while ((chunk = get_chunk_head(fd)) > 0) {
			char *p = mem_alloc(chunk);
			size_t n = 0;

			while (n < chunk) {
				const ssize_t k = recv(fd, p + n, chunk - n, 0);

				assert_true(k > 0);
				n += (size_t)k;
			}
			for (n = 0; n < chunk; n++)
				assert_true(p[n] == at(got + n));
			mem_free(p);
			got += chunk;
			assert_true(get_byte(fd) == '\r' && get_byte(fd) == '\n');
		}
		assert_true(get_byte(fd) == '\r' && get_byte(fd) == '\n');
		assert_int_equal(got, sizes[i]);
		AWAIT(seen.sources_dropped == (int)i + 1);
	}
	expect_alive(a, fd);
	close(fd);
	stop(h);
}

static void head_asks_the_source_for_nothing(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		get_source_of(a, fd, "HEAD", sizes[i], "");
	expect_alive(a, fd);
	close(fd);
	assert_int_equal(SEEN(fills), 0);
	stop(h);
}

static void a_source_that_fails_cuts_the_answer(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	struct answer an;
	int fd = dial(h);

	(void)state;
	get_source_of(a, fd, "GET", 10 * PIECE, "&fail_at=1000000");
	assert_false(get_bytes(fd, 10 * PIECE));
	close(fd);
	/* Where nothing has gone out it is an answer like any other. */
	fd = dial(h);
	put_f(fd, GET(C "source?n=1000&fail_at=500&piece=500"));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 500, "M_UNKNOWN");
	put_f(fd, GET(C "source?n=1000000&fail=yes"));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 403, "M_FORBIDDEN");
	expect_alive(a, fd);
	close(fd);
	assert_int_equal(SEEN(sources_dropped), 3);
	stop(h);
}

static void hanging_up_drops_the_source(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();

	(void)state;
	for (int i = 0; i < 4; i++) {
		const int fd = dial(h);

		get_source_of(a, fd, "GET", (uint64_t)1024 * MB, "");
		if (i > 0)
			assert_true(get_bytes(fd, (uint64_t)i * PIECE));
		close(fd);
		AWAIT(seen.sources_dropped == i + 1);
	}
	stop(h);
}

/* Of the whole process: of all servers that there were. */
static int64_t statements_of(struct arena *a, const struct http *h, const char *method, const char *route)
{
	const struct answer an = ask(a, h, GET("/metrics"));
	const str name =
		arena_printf(a, "hearth_http_request_sql_statements_total{method=\"%s\",route=\"%s\"}", method, route);
	str rest = an.body, line;
	int64_t v = 0;

	while (str_split_next(&rest, '\n', &line))
		if (str_starts(line, name))
			assert_true(str_to_i64(str_trim(str_from(line, name.n)), &v));
	return v;
}

static void the_costs_of_all_pieces_are_the_routes(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);
	const int64_t up = statements_of(a, h, "PUT", C "sink"), down = statements_of(a, h, "GET", C "source");

	(void)state;
	put_head(fd, "", 5 * PIECE, "");
	put_bytes(fd, 0, 5 * PIECE);
	expect_taken(a, fd, 5 * PIECE, false);
	get_source_of(a, fd, "GET", 5 * PIECE, "");
	assert_true(get_bytes(fd, 5 * PIECE));
	close(fd);
	assert_int_equal(statements_of(a, h, "PUT", C "sink") - up, 6);
	assert_int_equal(statements_of(a, h, "GET", C "source") - down, 5);
	stop(h);
}

static void answers_together_are_bounded(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);
	struct answer an;

	(void)state;
	atomic_fetch_add(&h->stream_bytes, HTTP_STREAMS_TOTAL - PIECE + 1);
	for (int i = 0; i < 2; i++) {
		put_f(fd, "GET " C "source?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", PIECE << i);
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
		assert_int_equal(SEEN(sources_dropped), i + 1);
	}
	atomic_fetch_sub(&h->stream_bytes, HTTP_STREAMS_TOTAL - PIECE + 1);
	get_source_of(a, fd, "GET", 10 * PIECE, "");
	assert_true(get_bytes(fd, 10 * PIECE));
	close(fd);
	stop(h);
}

static void a_reader_that_waits_holds_no_thread(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .workers = { 2, 1, 1 }, .request_timeout_s = 300 });
	int fds[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(h);
		get_source_of(a, fds[i], "GET", 16 * MB, "");
	}
	/* The lane's only worker serves others. */
	const int fd = dial(h);
	put_head(fd, "", 5 * PIECE, "");
	put_bytes(fd, 0, 5 * PIECE);
	expect_taken(a, fd, 5 * PIECE, false);
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_true(get_bytes(fds[i], 16 * MB));
		close(fds[i]);
	}
	assert_int_equal(SEEN(most_sent), 5 * PIECE);
	stop(h);
}

/* Deadlines, stopping -------------------------------------------------------------------------------------------- */
static void who_stalls_is_cut_off(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .request_timeout_s = 1, .min_bytes_s = 1u << 30 });
	const int writer = dial(h), dripper = dial(h), reader = dial(h);
	struct pollfd p = { .fd = dripper, .events = POLLIN };

	(void)state;
	put_head(writer, "", 10 * MB, "");
	put_bytes(writer, 0, 5 * MB);
	get_source_of(a, reader, "GET", (uint64_t)1024 * MB, "");
	put_head(dripper, "", 10 * MB, "");
	while (poll(&p, 1, 100) == 0)
		put_maybe(dripper, S("x"));
	assert_true(is_closed(dripper));
	assert_true(is_closed(writer));
	AWAIT(seen.sources_dropped == 1);
	close(writer);
	close(dripper);
	close(reader);
	stop(h);
}

/* A body that comes fast gives time for the next piece, not for hours. */
static void time_is_given_for_each_piece(void **state)
{
	const int64_t second = 1000000, most = 20 * second + PIECE / 1000 * second;
	struct http *h = start((struct http_options){ .request_timeout_s = 20, .min_bytes_s = 1000 });
	const int fd = dial(h);
	int64_t begin, then;

	(void)state;
	put_head(fd, "", 40 * PIECE, "");
	AWAIT(seen.sinks == 1);
	begin = await_deadline(h);
	put_bytes(fd, 0, 30 * PIECE + 1);
	AWAIT(seen.takes == 30);
	then = await_deadline(h);
	assert_true(then > begin && then <= clock_mono_us() + most);
	close(fd);
	stop(h);
}

static void stop_in_thread(void *arg)
{
	struct http **h = arg;

	http_stop(h, 0);
}

static void stopping_drops_what_is_under_way(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .workers = { 1, 3, 1 } });
	struct thread *t;
	int up[3], down[2];

	(void)state;
	/* Between two pieces. */
	for (size_t i = 0; i < 2; i++) {
		up[i] = dial(h);
		put_head(up[i], "", 10 * PIECE, "");
		put_bytes(up[i], 0, i * (PIECE + 1));
	}
	down[0] = dial(h);
	get_source_of(a, down[0], "GET", (uint64_t)1024 * MB, "");
	AWAIT(seen.takes == 1);
	/* At work, and in the queue. */
	up[2] = dial(h);
	put_head(up[2], "?gate=yes", 10 * PIECE, "");
	put_bytes(up[2], 0, PIECE + 1);
	down[1] = dial(h);
	get_source_of(a, down[1], "GET", (uint64_t)1024 * MB, "&gate=yes");
	await_inside(2);
	t = thread_start("stopper", stop_in_thread, &h);
	while (!atomic_load(&h->stopping))
		look_again();
	open_gate(10);
	thread_join(&t);
	for (size_t i = 0; i < 3; i++)
		close(up[i]);
	for (size_t i = 0; i < 2; i++)
		close(down[i]);
	assert_int_equal(SEEN(sinks), 3);
	assert_int_equal(SEEN(sinks_dropped), 3);
	assert_int_equal(SEEN(sources_dropped), 2);
	world_done();
}

/* All at once ---------------------------------------------------------------------------------------------------- */
enum { PARALLEL = 50 };

static void up_and_down(void *arg)
{
	AUTO_ARENA a = arena_new();
	struct http *h = arg;
	const int fd = dial(h);

	for (uint64_t i = 1; i < 4; i++) {
		put_head(fd, "", i * PIECE - 100 + 50 * i, "");
		put_bytes(fd, 0, i * PIECE - 100 + 50 * i);
		expect_taken(a, fd, i * PIECE - 100 + 50 * i, false);
		get_source_of(a, fd, "GET", i * 300000, "");
		assert_true(get_bytes(fd, i * 300000));
	}
	close(fd);
}

static void many_at_once(void **state)
{
	struct http *h = start_plain();
	struct thread *t[PARALLEL];

	(void)state;
	for (size_t i = 0; i < PARALLEL; i++)
		t[i] = thread_start("client", up_and_down, h);
	for (size_t i = 0; i < PARALLEL; i++)
		thread_join(&t[i]);
	assert_int_equal(SEEN(sinks), 3 * PARALLEL);
	assert_int_equal(SEEN(sources), 3 * PARALLEL);
	assert_true(SEEN(most_charged) <= PARALLEL * PIECE);
	assert_true(SEEN(most_sent) <= PARALLEL * PIECE);
	stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_of_any_size_goes_in_pieces),
		cmocka_unit_test(a_source_need_not_know_its_length),
		cmocka_unit_test(head_asks_the_source_for_nothing),
		cmocka_unit_test(a_source_that_fails_cuts_the_answer),
		cmocka_unit_test(hanging_up_drops_the_source),
		cmocka_unit_test(the_costs_of_all_pieces_are_the_routes),
		cmocka_unit_test(answers_together_are_bounded),
		cmocka_unit_test(a_reader_that_waits_holds_no_thread),
		cmocka_unit_test(who_stalls_is_cut_off),
		cmocka_unit_test(time_is_given_for_each_piece),
		cmocka_unit_test(stopping_drops_what_is_under_way),
		cmocka_unit_test(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
