/* Bodies that go to a sink: piece by piece, bounded, refused in time, dropped exactly once. */
#include "stream_fixture.h"

static void a_body_of_any_size_comes_in_pieces(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		put_head(fd, "", sizes[i], "");
		put_bytes(fd, 0, sizes[i]);
		expect_taken(a, fd, sizes[i], false);
	}
	close(fd);
	assert_int_equal(SEEN(largest), PIECE);
	assert_int_equal(SEEN(most_charged), PIECE); /* whatever the length */
	stop(h);
}

static void chunks_make_no_difference(void **state)
{
	static const uint64_t chunks[] = { 1000, 37, PIECE, 3 * PIECE + 5 };
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t k = 0; k < ARRAY_LEN(chunks); k++) {
			if (sizes[i] / chunks[k] > 30000)
				continue;
			put_f(fd, "PUT " C "sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
			put_chunks(fd, sizes[i], chunks[k]);
			expect_taken(a, fd, sizes[i], true);
		}
	}
	close(fd);
	assert_int_equal(SEEN(largest), PIECE);
	assert_int_equal(SEEN(most_charged), PIECE);
	stop(h);
}

static void who_waits_for_100_continue_gets_it(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);
	struct answer an;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		put_head(fd, "", sizes[i], "Expect: 100-continue\r\n");
		get_head(a, fd, &an);
		assert_int_equal(an.status, 100);
		AWAIT(seen.sinks == (int)i + 1);
		put_bytes(fd, 0, sizes[i]);
		expect_taken(a, fd, sizes[i], false);
	}
	close(fd);
	stop(h);
}

static void a_refusal_by_begin_needs_no_body(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	struct answer an;
	char byte;
	int fd;

	(void)state;
	/* One that waits is told at once, and never to continue. */
	for (uint64_t n = 11; n < UINT64_C(1) << 40; n *= 1000) {
		fd = dial(h);
		put_head(fd, "?max=10", n, "Expect: 100-continue\r\n");
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 413, "M_TOO_LARGE");
		assert_true(str_eq_nocase(answer_header(&an, "Connection"), S("close")));
		assert_true(is_closed(fd));
		close(fd);
	}
	/* One that announces more than is read for nothing, too. */
	fd = dial(h);
	put_head(fd, "?max=10", (uint64_t)1024 * MB, "");
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	assert_true(is_closed(fd));
	close(fd);
	/* One that sends less goes on with the connection. */
	fd = dial(h);
	for (uint64_t n = 11; n <= HTTP_BODY_DISCARD; n *= 50) {
		put_head(fd, "?max=10", n, "");
		assert_true(put_bytes(fd, 0, n));
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 413, "M_TOO_LARGE");
		assert_true(str_is_none(answer_header(&an, "Connection")));
		expect_alive(a, fd);
	}
	close(fd);
	/* One that sends all the same, and only then looks, still sees the answer, and no reset. */
	fd = dial(h);
	put_head(fd, "?max=10", (uint64_t)1024 * MB, "");
	assert_true(put_bytes(fd, 0, HTTP_BODY_DISCARD - 1));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
	assert_int_equal(SEEN(sinks), 0);
	assert_int_equal(SEEN(takes), 0);
	stop(h);
}

static void the_user_is_known_and_the_allowance_taken_before_the_body(void **state)
{
	static const char head[] = "PUT " C "mine?access_token=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n";
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .rates = { [RATE_LOGIN] = { 0.001, 2 } } });
	struct answer an;
	int fd = dial(h);

	(void)state;
	put(fd, arena_printf(a, head, "bad", 100 * MB));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 401, "M_UNKNOWN_TOKEN");
	close(fd);
	fd = dial(h);
	/* An upload takes one, however many pieces it has. */
	for (int i = 0; i < 2; i++) {
		put(fd, arena_printf(a, head, "good", i ? 1 : 5 * PIECE));
		put_bytes(fd, 0, i ? 1 : 5 * PIECE);
		expect_taken(a, fd, i ? 1 : 5 * PIECE, false);
	}
	put(fd, arena_printf(a, head, "good", 100 * MB));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 429, "M_LIMIT_EXCEEDED");
	close(fd);
	assert_int_equal(SEEN(sinks), 2);
	stop(h);
}

static void an_error_of_take_is_the_answer(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);
	const uint64_t fails[] = { 0, PIECE, 3 * PIECE - 1, 3 * PIECE };
	struct answer an;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fails); i++) {
		put_head(fd, arena_cstr(a, arena_printf(a, "?fail_at=%" PRIu64, fails[i])), 3 * PIECE + 1, "");
		assert_true(put_bytes(fd, 0, 3 * PIECE + 1));
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 403, "M_RESOURCE_LIMIT_EXCEEDED");
		assert_int_equal(SEEN(sinks_dropped), i + 1);
		expect_alive(a, fd);
	}
	/* What is dropped has a deadline, too. */
	put_head(fd, "?fail_at=0", 3 * PIECE, "");
	assert_true(put_bytes(fd, 0, PIECE + 1));
	AWAIT(seen.sinks_dropped == (int)ARRAY_LEN(fails) + 1);
	while (atomic_load(&h->body_bytes) != 0) /* and no memory */
		look_again();
	await_deadline(h);
	close(fd);
	stop(h);
}

static void hanging_up_drops_the_sink(void **state)
{
	static const uint64_t sent[] = { 0, 1, PIECE, PIECE + 1, 3 * PIECE + 1 };
	struct http *h = start_plain();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
		const int fd = dial(h);

		put_head(fd, "", 10 * PIECE, "");
		put_bytes(fd, 0, sent[i]);
		AWAIT(seen.sinks == (int)i + 1);
		close(fd);
		AWAIT(seen.sinks_dropped == (int)i + 1);
	}
	/* Within a take: when it is over. */
	const int fd = dial(h);
	put_head(fd, "?gate=yes", 10 * PIECE, "");
	put_bytes(fd, 0, 2 * PIECE);
	await_inside(1);
	close(fd);
	open_gate(1);
	AWAIT(seen.sinks_dropped == (int)ARRAY_LEN(sent) + 1);
	stop(h);
}

/* Refused before or in the middle: what is left is dropped, in the time of a piece, and no longer than the client is
 * there. */
static void what_is_dropped_has_the_time_of_a_piece(void **state)
{
	static const char *const queries[] = { "?fail_at=0", "?max=10" };
	const int64_t second = 1000000, most = 20 * second + PIECE / 1000 * second;
	struct http *h = start((struct http_options){ .request_timeout_s = 20, .min_bytes_s = 1000 });

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		const int fd = dial(h);
		int64_t begin;

		put_head(fd, queries[i], 8 * PIECE, "");
		put_bytes(fd, 0, PIECE + 1);
		await_connections(h, 1);
		AWAIT(i > 0 || seen.sinks_dropped == 1);
		begin = await_deadline(h);
		assert_true(begin <= clock_mono_us() + most);
		put_bytes(fd, PIECE + 1, 6 * PIECE);
		while (await_deadline(h) <= begin)
			look_again();
		assert_true(await_deadline(h) <= clock_mono_us() + most);
		close(fd);
		await_connections(h, 0);
	}
	stop(h);
}

static void a_full_lane_refuses_before_the_body(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .workers = { 2, 1, 1 }, .queue_limit = { 10, 1, 1 } });
	struct answer an;
	int fds[2], fd;

	(void)state;
	fds[0] = dial(h);
	put(fds[0], S(GET(C "gate")));
	await_inside(1);
	fds[1] = dial(h);
	put(fds[1], S(GET(C "gate")));
	while (atomic_load(&h->lanes[LANE_SLOW].waiting) != 1)
		look_again();
	fd = dial(h);
	put_head(fd, "", 2 * PIECE, "Expect: 100-continue\r\n");
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	close(fd);
	fd = dial(h);
	for (size_t i = 1; i < ARRAY_LEN(sizes) - 1; i++) {
		put_head(fd, "", sizes[i], "");
		assert_true(put_bytes(fd, 0, sizes[i]));
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
		expect_alive(a, fd);
	}
	close(fd);
	open_gate(2);
	for (size_t i = 0; i < 2; i++) {
		get_answer(a, fds[i], false, &an);
		close(fds[i]);
	}
	assert_int_equal(SEEN(sinks), 0);
	stop(h);
}

/* One that was begun needs no place any more: it would be a pity. */
static void a_full_lane_lets_begun_uploads_go_on(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .workers = { 2, 1, 1 }, .queue_limit = { 10, 1, 1 } });
	struct answer an;
	int fds[2], fd = dial(h);

	(void)state;
	put_head(fd, "", 3 * PIECE, "");
	AWAIT(seen.sinks == 1);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = dial(h);
		put(fds[i], S(GET(C "gate")));
		if (i == 0)
			await_inside(1);
	}
	while (atomic_load(&h->lanes[LANE_SLOW].waiting) != 1)
		look_again();
	put_bytes(fd, 0, 2 * PIECE);
	while (atomic_load(&h->lanes[LANE_SLOW].waiting) != 2)
		look_again();
	open_gate(2);
	for (size_t i = 0; i < 2; i++) {
		get_answer(a, fds[i], false, &an);
		assert_int_equal(an.status, 200);
		close(fds[i]);
	}
	put_bytes(fd, 2 * PIECE, 3 * PIECE);
	expect_taken(a, fd, 3 * PIECE, false);
	close(fd);
	stop(h);
}

static void bodies_together_are_bounded(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start_plain();
	const int fd = dial(h);
	struct answer an;

	(void)state;
	atomic_fetch_add(&h->body_bytes, HTTP_BODIES_TOTAL - PIECE + 1);
	for (size_t i = 0; i < 2; i++) {
		put_head(fd, "", i ? 3 * PIECE : PIECE, "");
		assert_true(put_bytes(fd, 0, i ? 3 * PIECE : PIECE));
		get_answer(a, fd, false, &an);
		expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	}
	atomic_fetch_sub(&h->body_bytes, HTTP_BODIES_TOTAL - PIECE + 1);
	assert_int_equal(SEEN(sinks), 0);
	put_head(fd, "", 3 * PIECE, "");
	assert_true(put_bytes(fd, 0, 3 * PIECE));
	expect_taken(a, fd, 3 * PIECE, false);
	close(fd);
	stop(h);
}

/* Who is not known, or was refused, takes the memory of all uploads by announcing them: a thousand heads would do. */
static void what_was_announced_only_takes_no_memory(void **state)
{
	struct http *h = start_plain();
	int fd = dial(h);

	(void)state;
	put_head(fd, "", PIECE, "");
	put_bytes(fd, 0, 100);
	while (atomic_load(&h->body_bytes) == 0)
		look_again();
	assert_in_range(atomic_load(&h->body_bytes), 100, 200);
	close(fd);
	await_connections(h, 0);
	fd = dial(h);
	put_head(fd, "?max=10", 3 * PIECE, "");
	AWAIT(seen.sinks_refused == 1);
	while (atomic_load(&h->body_bytes) != 0)
		look_again();
	close(fd);
	stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_of_any_size_comes_in_pieces),
		cmocka_unit_test(chunks_make_no_difference),
		cmocka_unit_test(who_waits_for_100_continue_gets_it),
		cmocka_unit_test(a_refusal_by_begin_needs_no_body),
		cmocka_unit_test(the_user_is_known_and_the_allowance_taken_before_the_body),
		cmocka_unit_test(an_error_of_take_is_the_answer),
		cmocka_unit_test(hanging_up_drops_the_sink),
		cmocka_unit_test(what_is_dropped_has_the_time_of_a_piece),
		cmocka_unit_test(a_full_lane_refuses_before_the_body),
		cmocka_unit_test(a_full_lane_lets_begun_uploads_go_on),
		cmocka_unit_test(bodies_together_are_bounded),
		cmocka_unit_test(what_was_announced_only_takes_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
