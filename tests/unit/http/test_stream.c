/* Bodies that go to a sink, answers that come from a source: piece by piece, bounded, dropped exactly once. */
#include "fixture.h"

#include <stdio.h>

enum { PIECE = HTTP_STREAM_BYTES, MB = 1024 * 1024 };

/* What sinks and sources saw, under world.lock. */
static struct {
	int sinks, sinks_dropped, takes, sources, sources_dropped, fills;
	int64_t largest;
	int64_t most_charged;
	bool wrong; /* bytes that were not sent */
} seen;

/* What a body holds at a place: no two pieces are alike. */
static char at(uint64_t i) { return (char)((i * 31 + (i >> 12) * 7) & 0xff); }

struct sink {
	uint64_t n;
};

static void note(struct req *rq, size_t piece)
{
	const int64_t charged = atomic_load(&rq->in->h->body_bytes);

	LOCKED(&world.lock);
	seen.largest = MAX(seen.largest, (int64_t)piece);
	seen.most_charged = MAX(seen.most_charged, charged);
}

/* ?gate=yes: takes and fills wait for an open_gate. */
static void pass_gate(void)
{
	LOCKED(&world.lock);
	world.inside++;
	cond_broadcast(&world.changed);
	while (world.open == 0)
		cond_wait(&world.changed, &world.lock);
	world.open--;
	world.inside--;
	cond_broadcast(&world.changed);
}

static err *sink_begin(struct req *rq, void **out)
{
	int64_t max;

	assert_true(rq->route->auth == AUTH_NONE || rq->user_id.n > 0);
	TRY(req_query_int(rq, "max", INT64_MAX, &max));
	if (req_body_length(rq) > max)
		return err_new(rq->arena, ERR_TOO_LARGE, "no more than %" PRId64, max);
	*out = MEM_NEW(struct sink);
	LOCKED(&world.lock);
	seen.sinks++;
	cond_broadcast(&world.changed);
	return NULL;
}

static err *sink_take(struct req *rq, void *arg, str bytes)
{
	struct sink *s = arg;
	int64_t fail_at;
	bool wrong = false;

	assert_true(bytes.n > 0);
	note(rq, bytes.n);
	if (!str_is_none(req_query(rq, "gate")))
		pass_gate();
	for (size_t i = 0; i < bytes.n; i++)
		wrong |= bytes.p[i] != at(s->n + i);
	s->n += bytes.n;
	TRY(req_query_int(rq, "fail_at", INT64_MAX, &fail_at));
	LOCKED(&world.lock);
	seen.wrong |= wrong;
	seen.takes++;
	cond_broadcast(&world.changed);
	return (int64_t)s->n > fail_at ? err_new(rq->arena, ERR_RESOURCE_LIMIT, "full") : NULL;
}

static void sink_drop(void *arg)
{
	mem_free(arg);
	LOCKED(&world.lock);
	seen.sinks_dropped++;
	cond_broadcast(&world.changed);
}

static const struct sink_ops sink = { sink_begin, sink_take, sink_drop };

static err *put_sink(struct req *rq)
{
	const struct sink *s = req_sink(rq);
	struct jw *w = reply_json(rq, 200);

	jw_int(w, "taken", (int64_t)s->n);
	jw_int(w, "length", req_body_length(rq));
	return NULL;
}

struct source {
	uint64_t n, fail_at;
	uint64_t end; /* of a source that does not say how long it is */
	size_t piece;
	bool gated;
};

static err *source_fill(void *arg, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct source *s = arg;

	assert_in_range(max, 1, PIECE);
	if (s->gated)
		pass_gate();
	lock_take(&world.lock);
	seen.fills++;
	cond_broadcast(&world.changed);
	lock_drop(&world.lock);
	if (s->n >= s->fail_at)
		return err_new(a, ERR_INTERNAL, "the disk is gone");
	*out_n = (size_t)MIN(MIN(max, s->piece), s->end - s->n);
	for (size_t i = 0; i < *out_n; i++)
		p[i] = at(s->n + i);
	s->n += *out_n;
	return NULL;
}

static void source_drop(void *arg)
{
	mem_free(arg);
	LOCKED(&world.lock);
	seen.sources_dropped++;
	cond_broadcast(&world.changed);
}

static err *get_source(struct req *rq)
{
	static const struct source_ops ops = { source_fill, source_drop };
	struct source *s = MEM_NEW(struct source);
	int64_t n = 0, fail_at = 0, piece = 0;

	assert_null(req_query_int(rq, "n", 0, &n));
	assert_null(req_query_int(rq, "fail_at", INT64_MAX, &fail_at));
	assert_null(req_query_int(rq, "piece", PIECE, &piece));
	s->fail_at = (uint64_t)fail_at;
	s->piece = (size_t)piece;
	s->gated = !str_is_none(req_query(rq, "gate"));
	s->end = UINT64_MAX;
	if (!str_is_none(req_query(rq, "unknown"))) {
		s->end = (uint64_t)n;
		n = -1;
	}
	lock_take(&world.lock);
	seen.sources++;
	lock_drop(&world.lock);
	note(rq, 0);
	reply_stream(rq, 200, S("image/png"), (uint64_t)n, &ops, s);
	reply_header(rq, "ETag", S("\"x\""));
	if (!str_is_none(req_query(rq, "fail")))
		return err_new(rq->arena, ERR_FORBIDDEN, "after all");
	return NULL;
}

static const struct route stream_routes[] = {
	{ "PUT", C "sink", put_sink, AUTH_NONE, RATE_NONE, LANE_SLOW, 0, &sink },
	{ "PUT", C "mine", put_sink, AUTH_USER, RATE_LOGIN, LANE_SLOW, 0, &sink },
	{ "GET", C "source", get_source, AUTH_NONE, RATE_NONE, LANE_SLOW, 0 },
	{ 0 },
};
static const struct route *const stream_tables[] = { stream_routes, test_routes, http_system_routes, NULL };

static struct http *start(struct http_options opt)
{
	world_init();
	memset(&seen, 0, sizeof(seen));
	opt.tables = stream_tables;
	return start_server(opt, client_listener);
}

static struct http *start_plain(void) { return start((struct http_options){ 0 }); }

static int64_t seen_now(const void *p, size_t size)
{
	LOCKED(&world.lock);
	return size == sizeof(int) ? *(const int *)p : *(const int64_t *)p;
}
#define SEEN(field) seen_now(&seen.field, sizeof(seen.field))

/* Afterwards everything that was begun is dropped, once, and nothing is charged. */
static void stop(struct http *h)
{
	await_connections(h, 0);
	assert_int_equal(atomic_load(&h->body_bytes), 0);
	http_stop(&h, 20);
	assert_int_equal(SEEN(sinks), seen.sinks_dropped);
	assert_int_equal(SEEN(sources), seen.sources_dropped);
	assert_false(seen.wrong);
	world_done();
}

#define AWAIT(condition)                                                                                               \
	do {                                                                                                           \
		LOCKED(&world.lock);                                                                                   \
		while (!(condition))                                                                                   \
			cond_wait(&world.changed, &world.lock);                                                        \
	} while (0)

/* Client --------------------------------------------------------------------------------------------------------- */
static void put_f(int fd, const char *fmt, ...) PRINTF(2, 3);
static void put_f(int fd, const char *fmt, ...)
{
	char text[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(text) - 1);
	put(fd, (str){ text, (size_t)n });
}

/* Bytes from..to of a body; false where the server does not want them any more. */
static bool put_bytes(int fd, uint64_t from, uint64_t to)
{
	enum { STEP = 100000 };
	char *p = mem_alloc(STEP);
	bool good = true;

	while (from < to && good) {
		const size_t n = (size_t)MIN(to - from, (uint64_t)STEP);

		for (size_t i = 0; i < n; i++)
			p[i] = at(from + i);
		for (size_t sent = 0; sent < n && good;) {
			const ssize_t k = send(fd, p + sent, n - sent, MSG_NOSIGNAL);

			good = k > 0;
			sent += good ? (size_t)k : 0;
		}
		from += n;
	}
	mem_free(p);
	return good;
}

static void put_chunks(int fd, uint64_t n, uint64_t chunk)
{
	for (uint64_t from = 0; from < n; from += chunk) {
		put_f(fd, "%" PRIx64 "\r\n", MIN(chunk, n - from));
		assert_true(put_bytes(fd, from, MIN(n, from + chunk)));
		put(fd, S("\r\n"));
	}
	put(fd, S("0\r\n\r\n"));
}

static void put_head(int fd, const char *query, uint64_t length, const char *more)
{
	put_f(fd, "PUT " C "sink%s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %" PRIu64 "\r\n\r\n", query, more, length);
}

/* True: n bytes of a body came, and they are the right ones. */
static bool get_bytes(int fd, uint64_t n)
{
	enum { STEP = 100000 };
	char *p = mem_alloc(STEP);
	uint64_t got = 0;
	bool good = true;

	while (got < n && good) {
		const ssize_t k = recv(fd, p, (size_t)MIN(n - got, (uint64_t)STEP), 0);

		good = k > 0;
		for (ssize_t i = 0; i < k; i++)
			good &= p[i] == at(got + (uint64_t)i);
		got += k > 0 ? (uint64_t)k : 0;
	}
	mem_free(p);
	return good;
}

static void get_head(struct arena *a, int fd, struct answer *an) { get_answer(a, fd, true, an); }

static void expect_taken(struct arena *a, int fd, uint64_t n, bool chunked)
{
	struct answer an;
	int64_t v;

	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(json_get_int(body_json(a, &an), S("taken"), &v));
	assert_int_equal(v, n);
	assert_true(json_get_int(body_json(a, &an), S("length"), &v));
	assert_int_equal(v, chunked ? -1 : (int64_t)n);
}

/* The connection still serves. */
static void expect_alive(struct arena *a, int fd)
{
	struct answer an;

	put(fd, S(GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
}

static int64_t deadline_of(struct http *h)
{
	LOCKED(&h->watch.lock);
	assert_int_equal(h->watch.n_conns, 1);
	return atomic_load(&LIST_ITEM(h->watch.conns.next, struct conn, node)->deadline_us);
}

/* While the server is at work there is none. */
static int64_t await_deadline(struct http *h)
{
	int64_t deadline;

	while ((deadline = deadline_of(h)) == 0)
		look_again();
	return deadline;
}

/* Uploads -------------------------------------------------------------------------------------------------------- */
static const uint64_t sizes[] = { 0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 20 * MB };

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
	assert_int_equal(SEEN(sinks), 0);
	assert_int_equal(SEEN(takes), 0);
	stop(h);
}

static void the_user_is_known_and_the_allowance_taken_before_the_body(void **state)
{
	static const char *const head =
		"PUT " C "mine?access_token=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n";
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
	put_f(fd, GET(C "source?n=1000000"));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	atomic_fetch_sub(&h->body_bytes, HTTP_BODIES_TOTAL - PIECE + 1);
	assert_int_equal(SEEN(sinks), 0);
	assert_int_equal(SEEN(sources_dropped), 1);
	put_head(fd, "", 3 * PIECE, "");
	assert_true(put_bytes(fd, 0, 3 * PIECE));
	expect_taken(a, fd, 3 * PIECE, false);
	close(fd);
	stop(h);
}

/* Downloads ------------------------------------------------------------------------------------------------------ */
static void get_source_of(struct arena *a, int fd, const char *method, uint64_t n, const char *more)
{
	struct answer an;
	uint64_t length;

	put_f(fd, "%s " C "source?n=%" PRIu64 "%s HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n", method, n,
	      more);
	get_head(a, fd, &an);
	assert_int_equal(an.status, 200);
	assert_true(str_eq(answer_header(&an, "Content-Type"), S("image/png")));
	assert_true(str_eq(answer_header(&an, "ETag"), S("\"x\"")));
	assert_true(str_is_none(answer_header(&an, "Content-Encoding")));
	assert_true(str_to_u64(answer_header(&an, "Content-Length"), &length));
	assert_int_equal(length, n);
}

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
	assert_true(SEEN(most_charged) <= PIECE);
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

static void a_reader_that_waits_holds_no_thread(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = start((struct http_options){ .workers = { 2, 1, 1 } });
	int fds[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(h);
		get_source_of(a, fds[i], "GET", 50 * MB, "");
	}
	/* The lane's only worker serves others. */
	const int fd = dial(h);
	put_head(fd, "", 5 * PIECE, "");
	put_bytes(fd, 0, 5 * PIECE);
	expect_taken(a, fd, 5 * PIECE, false);
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		assert_true(get_bytes(fds[i], 50 * MB));
		close(fds[i]);
	}
	assert_true(SEEN(most_charged) <= 6 * PIECE);
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
	assert_true(SEEN(most_charged) <= PARALLEL * 2 * PIECE);
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
		cmocka_unit_test(a_full_lane_refuses_before_the_body),
		cmocka_unit_test(a_full_lane_lets_begun_uploads_go_on),
		cmocka_unit_test(bodies_together_are_bounded),
		cmocka_unit_test(an_answer_of_any_size_goes_in_pieces),
		cmocka_unit_test(a_source_need_not_know_its_length),
		cmocka_unit_test(head_asks_the_source_for_nothing),
		cmocka_unit_test(a_source_that_fails_cuts_the_answer),
		cmocka_unit_test(hanging_up_drops_the_source),
		cmocka_unit_test(a_reader_that_waits_holds_no_thread),
		cmocka_unit_test(who_stalls_is_cut_off),
		cmocka_unit_test(time_is_given_for_each_piece),
		cmocka_unit_test(stopping_drops_what_is_under_way),
		cmocka_unit_test(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
