/* The server over real sockets: what is answered, what is refused, and that nothing hangs. */
#include "fixture.h"

static void answers_in_json_with_cors(void **state)
{
	AUTO_ARENA a = arena_new();
	const char *const requests[] = { GET(C "hello"), GET(C "loop"), GET(C "error"), GET(C "nothing"), GET("/") };
	const int status[] = { 200, 200, 401, 404, 404 };

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct answer an = ask(a, *state, requests[i]);

		assert_true(str_eq(answer_header(&an, "Content-Type"), S("application/json")));
		assert_true(str_eq(answer_header(&an, "Access-Control-Allow-Origin"), S("*")));
		assert_true(str_eq(answer_header(&an, "Access-Control-Allow-Methods"),
				   S("GET, POST, PUT, DELETE, OPTIONS")));
		assert_true(str_eq(answer_header(&an, "Access-Control-Allow-Headers"),
				   S("X-Requested-With, Content-Type, Authorization")));
		assert_int_equal(an.status, status[i]);
		body_json(a, &an);
	}
}

static void options_runs_no_handler(void **state)
{
	AUTO_ARENA a = arena_new();
	const char *const requests[] = { "OPTIONS " C "whoami HTTP/1.1\r\nHost: x\r\n\r\n",
					 "OPTIONS " C "nothing HTTP/1.1\r\nHost: x\r\n\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct answer an = ask(a, *state, requests[i]);

		assert_int_equal(an.status, 204);
		assert_true(str_eq(answer_header(&an, "Access-Control-Allow-Origin"), S("*")));
	}
}

static void unknown_paths_and_methods(void **state)
{
	AUTO_ARENA a = arena_new();
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{ GET(C "nothing"), 404 },
		{ GET(C "hello/"), 404 },
		{ GET("/_matrix/federation/v1/version"), 404 }, /* not on a client listener */
		{ "PUT " C "hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405 },
		{ "BREW " C "hello HTTP/1.1\r\nHost: x\r\n\r\n", 405 },
		{ "POST " C "nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 404 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer an = ask(a, *state, cases[i].request);

		expect_error(a, &an, cases[i].status, "M_UNRECOGNIZED");
		if (an.status == 405)
			assert_true(str_eq(answer_header(&an, "Allow"), S("OPTIONS, GET, HEAD, POST")));
	}
	assert_int_equal(ask(a, *state, GET("/.well-known/matrix/server")).status, 200);
}

static void a_head_request_has_no_body(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	struct answer an;

	put(fd, S("HEAD " C "hello HTTP/1.1\r\nHost: x\r\n\r\n" GET(C "loop")));
	get_answer(a, fd, true, &an);
	assert_int_equal(an.status, 200);
	assert_true(str_eq(answer_header(&an, "Content-Length"), S("21")));
	get_answer(a, fd, false, &an); /* would be out of step */
	assert_int_equal(an.status, 200);
	close(fd);
}

static void paths_are_decoded(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an;

	an = ask(a, *state, GET(C "path/%21a%2Fb%3ax%20+/x/%C3%A9"));
	assert_int_equal(an.status, 200);
	assert_true(str_eq(json_get_str(body_json(a, &an), S("a")), S("!a/b:x +")));
	assert_true(str_eq(json_get_str(body_json(a, &an), S("b")), S("\xc3\xa9")));
	assert_true(str_eq(json_get_str(body_json(a, &an), S("before_b")), S(C "path/%21a%2Fb%3ax%20+/x/")));
	an = ask(a, *state, GET(C "path/a/x/")); /* the last may be empty */
	assert_true(str_eq(json_get_str(body_json(a, &an), S("b")), S("")));
	assert_int_equal(ask(a, *state, GET(C "path//x/b")).status, 404);
	an = ask(a, *state, GET(C "rest/a/b//c%2f"));
	assert_true(str_eq(json_get_str(body_json(a, &an), S("rest")), S("a/b//c/")));
	an = ask(a, *state, GET(C "path/a%00b/x/b"));
	assert_int_equal(json_get_str(body_json(a, &an), S("a")).n, 3);
}

static void queries_are_decoded(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an;

	an = ask(a, *state, GET(C "query?n=42&flag=true&s=a+b%2B%26&s=second&&=&x"));
	assert_true(str_eq(an.body, S("{\"n\":42,\"flag\":true,\"s\":\"a b+&\"}")));
	an = ask(a, *state, "GET http://host:8008" C "query?s=absolute HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(str_eq(json_get_str(body_json(a, &an), S("s")), S("absolute")));
}

static void what_cannot_be_decoded_is_refused(void **state)
{
	AUTO_ARENA a = arena_new();
	static const char *const bad[] = {
		GET(C "path/%/x/b"),    GET(C "path/%c3/x/b"), GET(C "path/%4/x/b"),
		GET(C "path/\xff/x/b"), GET(C "query?s=%zz"),  GET(C "query?%ff=1"),
		GET(C "query?n=12x"),   GET(C "query?flag=1"), GET(C "query?n=99999999999999999999"),
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct answer an = ask(a, *state, bad[i]);

		expect_error(a, &an, 400, "M_INVALID_PARAM");
	}
}

static void tokens_come_from_header_or_query(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an;

	an = ask(a, *state, "GET " C "query HTTP/1.1\r\nHost: x\r\nauthorization: bearer  abc \r\n\r\n");
	assert_true(str_eq(json_get_str(body_json(a, &an), S("token")), S("abc")));
	an = ask(a, *state, GET(C "query?access_token=q%20"));
	assert_true(str_eq(json_get_str(body_json(a, &an), S("token")), S("q ")));
	an = ask(a, *state, "GET " C "query HTTP/1.1\r\nHost: x\r\nAuthorization: Basic abc\r\n\r\n");
	assert_true(str_is_none(json_get_str(body_json(a, &an), S("token"))));
	an = ask(a, *state, GET(C "whoami"));
	expect_error(a, &an, 401, "M_MISSING_TOKEN");
	an = ask(a, *state, GET(C "whoami?access_token=bad"));
	expect_error(a, &an, 401, "M_UNKNOWN_TOKEN");
}

static void errors_take_the_standard_form(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an;
	int64_t ms;

	an = ask(a, *state, GET(C "error"));
	assert_true(str_eq(an.body, S("{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"who \\\"are\\\" you?\","
				      "\"soft_logout\":true}")));
	an = ask(a, *state, GET(C "error?what=limit"));
	expect_error(a, &an, 429, "M_LIMIT_EXCEEDED");
	assert_true(json_get_int(body_json(a, &an), S("retry_after_ms"), &ms));
	assert_int_equal(ms, 2500);
	assert_true(str_eq(answer_header(&an, "Retry-After"), S("3")));
	an = ask(a, *state, GET(C "error?what=busy"));
	expect_error(a, &an, 503, "M_LIMIT_EXCEEDED");
	assert_true(json_get_int(body_json(a, &an), S("retry_after_ms"), &ms));
	assert_true(str_eq(answer_header(&an, "Retry-After"), S("1")));
	an = ask(a, *state, GET(C "error?what=body"));
	assert_int_equal(an.status, 401);
	assert_true(str_eq(an.body, S("{\"flows\":[]}")));
}

static void careless_handlers_hang_nobody(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an = ask(a, *state, GET(C "silent"));

	expect_error(a, &an, 500, "M_UNKNOWN");
	assert_int_equal(ask(a, *state, GET(C "restless")).status, 200);
}

static void bodies_must_be_objects(void **state)
{
	AUTO_ARENA a = arena_new();
	static const struct {
		const char *body, *errcode;
	} cases[] = {
		{ "", "M_NOT_JSON" },  { "{", "M_NOT_JSON" },    { "[]", "M_BAD_JSON" },
		{ "1", "M_BAD_JSON" }, { "{} x", "M_NOT_JSON" }, { "{\"a\":\"\xff\"}", "M_NOT_JSON" },
		{ "{\"a\":1}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const str request =
			arena_printf(a, "POST " C "object HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
				     strlen(cases[i].body), cases[i].body);
		struct answer an = ask(a, *state, request.p);

		if (cases[i].errcode)
			expect_error(a, &an, 400, cases[i].errcode);
		else
			assert_true(str_eq(an.body, S("{\"bytes\":7}")));
	}
}

static void chunked_bodies_arrive_whole(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	struct answer an;

	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "4\r\n{\"a\"\r\n3;ext=1\r\n:1}\r\n0\r\n\r\n" GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_true(str_eq(an.body, S("{\"bytes\":7}")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 400);
	assert_true(is_closed(fd));
	close(fd);
}

static void a_large_body_arrives_whole(void **state)
{
	AUTO_ARENA a = arena_new();
	struct http *h = *state;
	const int fd = dial(h);
	const size_t n = 900 * 1000;
	char *text = arena_alloc(a, n);
	struct answer an;

	memset(text, ' ', n);
	text[0] = '{';
	text[n - 1] = '}';
	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"));
	put(fd, (str){ text, n });
	get_answer(a, fd, false, &an);
	assert_true(str_eq(an.body, S("{\"bytes\":900000}")));
	close(fd);
	await_connections(h, 0);
	assert_int_equal(atomic_load(&h->body_bytes), 0);
}

static void a_body_that_is_a_little_too_large_costs_no_connection(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	const str more = { memset(arena_alloc(a, 101), ' ', 101), 101 };
	struct answer an;

	put(fd, S("PUT " C "small HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"));
	put(fd, more);
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	put(fd, S("PUT " C "small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"));
	put(fd, more);
	put(fd, S("\r\n0\r\n\r\n"));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	put(fd, S(GET(C "hello")));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	close(fd);
}

/* Each value of a tree costs a hundred times the two bytes that it has here: what is bounded is memory, not text alone.
 */
static void a_body_of_a_great_many_values_is_refused(void **state)
{
	enum { BYTES = 400000 };
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	char *text = arena_alloc(a, BYTES);
	struct answer an;

	for (size_t i = 0; i < BYTES; i++)
		text[i] = i % 2 ? ',' : '0';
	memcpy(text, "{\"a\":[", 6);
	memcpy(text + BYTES - 2, "]}", 2);
	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n"));
	put(fd, (str){ text, BYTES });
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	close(fd);
}

static void a_body_that_is_far_too_large_is_not_read(void **state)
{
	AUTO_ARENA a = arena_new();
	const str lots = { arena_zalloc(a, 1 << 20), 1 << 20 };
	struct answer an;
	int fd = dial(*state);

	put(fd, S("PUT " C "small HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"));
	get_answer(a, fd, false, &an);
	expect_error(a, &an, 413, "M_TOO_LARGE");
	assert_true(str_eq_nocase(answer_header(&an, "Connection"), S("close")));
	assert_true(is_closed(fd));
	close(fd);
	/* The same without saying so before. */
	fd = dial(*state);
	put(fd, S("PUT " C "small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"));
	for (int i = 0; i < 20; i++)
		put_maybe(fd, lots);
	assert_true(is_closed(fd));
	close(fd);
}

static void expect_100_continue(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	char interim[25];
	struct answer an;

	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
	assert_int_equal(recv(fd, interim, sizeof(interim), MSG_WAITALL), sizeof(interim));
	assert_memory_equal(interim, "HTTP/1.1 100 Continue\r\n\r\n", sizeof(interim));
	put(fd, S("{}"));
	get_answer(a, fd, false, &an);
	assert_true(str_eq(an.body, S("{\"bytes\":2}")));
	/* Refused by its head: no 100. */
	put(fd, S("POST " C "object HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n"));
	assert_int_equal(recv(fd, interim, 12, MSG_WAITALL), 12);
	assert_memory_equal(interim, "HTTP/1.1 413", 12);
	close(fd);
}

/* What a proxy could read differently, and what no client sends: answered, and closed. */
static void ambiguous_requests_are_refused_and_closed(void **state)
{
	AUTO_ARENA a = arena_new();
#define POST "POST " C "object HTTP/1.1\r\nHost: x\r\n"
	static const struct {
		const char *name, *request;
		int status;
	} cases[] = {
		{ "coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}", 400 },
		{ "length and coding", POST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400 },
		{ "two lengths", POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400 },
		{ "a list of lengths", POST "Content-Length: 2, 2\r\n\r\n{}", 400 },
		{ "negative length", POST "Content-Length: -2\r\n\r\n{}", 400 },
		{ "signed length", POST "Content-Length: +2\r\n\r\n{}", 400 },
		{ "two codings", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400 },
		{ "unknown coding", POST "Transfer-Encoding: gzip\r\n\r\n", 501 },
		{ "chunks in 1.0", "POST " C "object HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
		{ "space before the colon", POST "Content-Length : 2\r\n\r\n{}", 400 },
		{ "no host", "GET " C "hello HTTP/1.1\r\n\r\n", 400 },
		{ "two hosts", "GET " C "hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
		{ "space in the URL", "GET " C "hello x HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
		{ "no colon", "GET " C "hello HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400 },
		{ "folded length", POST "Content-Length:\r\n 2\r\n\r\n{}", 400 },
		{ "folded coding", POST "Transfer-Encoding:\r\n chunked\r\nA: b\r\n\r\n0\r\n\r\n", 400 },
		{ "folded value", POST "A: b\r\n\tc\r\nContent-Length: 2\r\n\r\n{}", 400 },
		{ "CR in a value", "GET " C "hello HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 2\r\n\r\n", 400 },
		{ "nonsense", "\x16\x03\x01\x02\r\n\r\n", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const int fd = dial(*state);
		struct answer an;

		put(fd, str_c(cases[i].request));
		get_answer(a, fd, false, &an);
		if (cases[i].status && an.status != cases[i].status)
			fail_msg("%s: %d", cases[i].name, an.status);
		/* The library's own pages are followed by a stray copy of their head. */
		while (an.status && !is_closed(fd))
			assert_false(str_eq(answer_header(&an, "Content-Type"), S("application/json")));
		close(fd);
	}
	assert_int_equal(ask(a, *state, POST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}").status, 200);
}

/* Bug: the library waited for ever, without a word, where the arguments did not fit its memory. */
static void a_query_of_too_many_arguments_is_refused(void **state)
{
	AUTO_ARENA a = arena_new();
	static const struct {
		size_t arguments;
		int status; /* 0: closed without an answer */
	} cases[] = { { 60, 200 }, { 100, 400 }, { 500, 0 }, { 4000, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_BUF head = BUF_INIT(100000);
		const int fd = dial(*state);
		struct answer an;

		buf_add(&head, S("GET " C "hello?"));
		for (size_t k = 0; k < cases[i].arguments; k++)
			buf_add(&head, S("a&"));
		buf_add(&head, S(" HTTP/1.1\r\nHost: x\r\n\r\n"));
		put_maybe(fd, buf_str(&head));
		if (cases[i].status) {
			get_answer(a, fd, false, &an);
			assert_int_equal(an.status, cases[i].status);
		} else {
			assert_true(is_closed(fd));
		}
		close(fd);
	}
}

static void oversized_heads_are_refused(void **state)
{
	AUTO_ARENA a = arena_new();
	static const struct {
		size_t url, header;
		int status;
	} cases[] = {
		{ 4000, 10, 404 }, { 8500, 10, 414 },   { 20000, 10, 414 },  { 10, 4000, 404 },
		{ 10, 8500, 431 }, { 10, 100000, 431 }, { 4500, 4500, 431 }, { 1000000, 10, 414 },
	};
	const str filler = { memset(arena_alloc(a, 1000000), 'a', 1000000), 1000000 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const int fd = dial(*state);
		struct answer an;

		put(fd, S("GET /"));
		put_maybe(fd, str_head(filler, cases[i].url));
		put_maybe(fd, S(" HTTP/1.1\r\nHost: x\r\nX: "));
		put_maybe(fd, str_head(filler, cases[i].header));
		put_maybe(fd, S("\r\n\r\n"));
		get_answer(a, fd, false, &an);
		/* Where the library stopped reading, the reset may overtake its answer. */
		if (an.status != cases[i].status && (an.status || cases[i].url + cases[i].header < 12000))
			fail_msg("%zu, %zu: %d", cases[i].url, cases[i].header, an.status);
		close(fd);
	}
}

static void too_many_headers_or_parameters_are_refused(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF many = BUF_INIT(100000);
	struct answer an;

	buf_add(&many, S("GET " C "hello HTTP/1.1\r\nHost: x\r\n"));
	for (int i = 0; i < 101; i++)
		buf_printf(&many, "H%d: v\r\n", i);
	buf_add(&many, S("\r\n"));
	buf_byte(&many, '\0');
	assert_int_equal(ask(a, *state, many.p).status, 431);
	buf_reset(&many);
	buf_add(&many, S("GET " C "query?"));
	for (int i = 0; i < 65; i++)
		buf_add(&many, S("a&"));
	buf_add(&many, S(" HTTP/1.1\r\nHost: x\r\n\r\n"));
	buf_byte(&many, '\0');
	an = ask(a, *state, many.p);
	expect_error(a, &an, 400, "M_INVALID_PARAM");
	assert_int_equal(ask(a, *state, GET(C "hello")).status, 200);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	AUTO_ARENA a = arena_new();
	const int fd = dial(*state);
	AUTO_BUF all = BUF_INIT(1 << 20);

	for (int i = 0; i < 50; i++) {
		buf_printf(&all, "GET " C "query?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", 2 * i);
		buf_printf(&all, "POST " C "object HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
	}
	put(fd, buf_str(&all));
	for (int i = 0; i < 50; i++) {
		struct answer an;
		int64_t n;

		get_answer(a, fd, false, &an);
		assert_true(json_get_int(body_json(a, &an), S("n"), &n));
		assert_int_equal(n, 2 * i);
		get_answer(a, fd, false, &an);
		assert_true(str_eq(an.body, S("{\"bytes\":2}")));
	}
	close(fd);
}

static void connections_are_kept_unless_told(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an;
	int fd = dial(*state);

	for (int i = 0; i < 3; i++) {
		put(fd, S(GET(C "hello")));
		get_answer(a, fd, false, &an);
		assert_int_equal(an.status, 200);
	}
	put(fd, S("GET " C "hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(is_closed(fd));
	close(fd);
	fd = dial(*state);
	put(fd, S("GET " C "hello HTTP/1.0\r\n\r\n"));
	get_answer(a, fd, false, &an);
	assert_int_equal(an.status, 200);
	assert_true(is_closed(fd));
	close(fd);
}

static void large_answers_are_compressed_for_who_can(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer plain = ask(a, *state, GET(C "big")), an;

	assert_true(str_is_none(answer_header(&plain, "Content-Encoding")));
	assert_true(str_eq(answer_header(&plain, "Vary"), S("Accept-Encoding")));
	an = ask(a, *state, "GET " C "big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n");
	assert_true(str_eq(answer_header(&an, "Content-Encoding"), S("gzip")));
	assert_true(an.body.n < plain.body.n);
	assert_memory_equal(an.body.p, "\x1f\x8b", 2);
	an = ask(a, *state, "GET " C "big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n");
	assert_true(str_is_none(answer_header(&an, "Content-Encoding")));
	an = ask(a, *state, "GET " C "big?n=10 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	assert_true(str_is_none(answer_header(&an, "Content-Encoding")));
}

static void health_and_metrics(void **state)
{
	AUTO_ARENA a = arena_new();
	struct answer an = ask(a, *state, GET("/health"));

	assert_true(str_eq(an.body, S("OK")));
	ask(a, *state, GET(C "path/a/x/b"));
	an = ask(a, *state, GET("/metrics"));
	assert_int_equal(an.status, 200);
	assert_true(str_contains(
		an.body, S("hearth_http_requests_total{method=\"GET\",route=\"" C "path/{a}/x/{b}\",status=\"2xx\"}")));
}

static void who_sends_half_a_request_does_not_hold_the_others(void **state)
{
	AUTO_ARENA a = arena_new();
	int fds[50];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = dial(*state);
		put(fds[i], i % 2 ? S("GET " C "hello HTTP/1.1\r\nHo") : S(POST "Content-Length: 9\r\n\r\n{"));
	}
	assert_int_equal(ask(a, *state, GET(C "hello")).status, 200);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	await_connections(*state, 0);
}

static int setup(void **state)
{
	world_init();
	*state = start_server((struct http_options){ .workers = { 4, 2, 2 } }, client_listener);
	return 0;
}

static int teardown(void **state)
{
	struct http *h = *state;

	await_connections(h, 0);
	http_stop(&h, 5);
	world_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_in_json_with_cors),
		cmocka_unit_test(options_runs_no_handler),
		cmocka_unit_test(unknown_paths_and_methods),
		cmocka_unit_test(a_head_request_has_no_body),
		cmocka_unit_test(paths_are_decoded),
		cmocka_unit_test(queries_are_decoded),
		cmocka_unit_test(what_cannot_be_decoded_is_refused),
		cmocka_unit_test(tokens_come_from_header_or_query),
		cmocka_unit_test(errors_take_the_standard_form),
		cmocka_unit_test(careless_handlers_hang_nobody),
		cmocka_unit_test(bodies_must_be_objects),
		cmocka_unit_test(chunked_bodies_arrive_whole),
		cmocka_unit_test(a_large_body_arrives_whole),
		cmocka_unit_test(a_body_that_is_a_little_too_large_costs_no_connection),
		cmocka_unit_test(a_body_of_a_great_many_values_is_refused),
		cmocka_unit_test(a_body_that_is_far_too_large_is_not_read),
		cmocka_unit_test(expect_100_continue),
		cmocka_unit_test(ambiguous_requests_are_refused_and_closed),
		cmocka_unit_test(oversized_heads_are_refused),
		cmocka_unit_test(a_query_of_too_many_arguments_is_refused),
		cmocka_unit_test(too_many_headers_or_parameters_are_refused),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(connections_are_kept_unless_told),
		cmocka_unit_test(large_answers_are_compressed_for_who_can),
		cmocka_unit_test(health_and_metrics),
		cmocka_unit_test(who_sends_half_a_request_does_not_hold_the_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
