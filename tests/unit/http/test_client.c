/* The client asks, follows, limits and stops: against servers that do what no good server does. */
#include "site.h"

#include "http/client_url.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

/* ---- what it asks and gets ---- */

static bool echo(struct visit *v) { return say_ok(v, S("Content-Type: text/plain\r\nX-Two: 2\r\n"), v->request); }

static void test_a_request_and_its_answer(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	const struct client_header headers[] = { { S("Accept-Language"), S("en") }, { S("X-Empty"), S("") } };
	struct client_call c = call_to(a, s, "/a%20b?c#fragment");

	(void)state;
	c.headers = headers;
	c.n_headers = 2;
	good(client_one(cl, a, &c, in_seconds(20)));
	assert_int_equal(c.status, 200);
	ok(str_starts(c.answer, S("GET /a%20b?c HTTP/1.1\r\n")), "%.*s", STR_ARG(c.answer));
	ok(str_contains(c.answer, S("Accept-Language: en\r\n")), "headers are sent");
	ok(str_contains(c.answer, S("X-Empty:\r\n")), "empty ones too: %.*s", STR_ARG(c.answer));
	ok(str_contains(c.answer, S("User-Agent: Hearth test\r\n")), "it says who it is");
	ok(!str_contains(c.answer, S("Cookie")) && !str_contains(c.answer, S("Authorization")), "and no more");
	same_str(client_answer_header(&c, "content-type"), S("text/plain"));
	same_str(client_answer_header(&c, "X-Two"), S("2"));
	same_str(client_answer_header(&c, "X-Three"), STR_NONE);
	same_str(c.final_url, arena_printf(a, "http://127.0.0.1:%u/a%%20b?c", s->port));
	client_free(&cl);
	site_close(s);
}

static void expect_path(struct client *cl, struct arena *a, struct client_call c, const char *path)
{
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_starts(c.answer, arena_printf(a, "GET %s HTTP/1.1\r\n", path)), "%.*s", STR_ARG(c.answer));
}

/* What is signed, or names an event, is what is written; elsewhere addresses are put in order first. */
static void test_paths_go_out_as_they_are(void **state)
{
	static const char *const paths[] = { "/a/../b/./c/..", "/a/%2e%2E/%c3%C3?x=%2e./../y", "//a//b%2F%20" };
	static const char *const none[] = { "/a b", "/a?b c", "/\xc3\xa9", "/a?\xc3\xa9", "/a\tb", "/a\r\nX: y" };
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		c = call_to(a, s, paths[i]);
		c.path_as_is = true;
		expect_path(cl, a, c, paths[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		c = call_to(a, s, none[i]);
		c.path_as_is = true;
		breaks_with(cl, a, c, CLIENT_BAD_URL);
	}
	expect_path(cl, a, call_to(a, s, "/a/../b/./c/.."), "/b/");
	client_free(&cl);
	site_close(s);
}

static void test_a_body_is_sent(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	const struct client_header type = { S("Content-Type"), S("application/json") };
	struct client_call c = call_to(a, s, "/send");

	(void)state;
	c.method = S("PUT");
	c.body = S("{}");
	c.headers = &type;
	c.n_headers = 1;
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_starts(c.answer, S("PUT /send HTTP/1.1\r\n")) && str_ends(c.answer, S("\r\n\r\n{}")), "%.*s",
	   STR_ARG(c.answer));
	ok(str_contains(c.answer, S("Content-Type: application/json\r\n")), "%.*s", STR_ARG(c.answer));
	ok(!str_contains(c.answer, S("x-www-form")), "%.*s", STR_ARG(c.answer));
	client_free(&cl);
	site_close(s);
}

static void test_proxy_variables_are_ignored(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	good(client_one(cl, a, &c, in_seconds(20)));
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	client_free(&cl);
	site_close(s);
}

static void test_a_connection_is_used_again(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct client_call c = call_to(a, s, "/");

		good(client_one(cl, a, &c, in_seconds(20)));
	}
	assert_int_equal(s->n_visits, 1);
	client_free(&cl);
	site_close(s);
}

/* ---- redirects ---- */

static bool redirects(struct visit *v)
{
	const str path = path_of(v);
	AUTO_BUF b = BUF_INIT(4096);
	str to = STR_NONE;

	if (str_starts(path, S("/to/")))
		to = str_from(path, 4);
	else if (str_eq(path, S("/loop")))
		to = S("/loop");
	else if (str_eq(path, S("/relative/a")))
		to = S("../end");
	if (str_eq(path, S("/short")))
		return SAY(v, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
	if (str_is_none(to))
		return echo(v);
	buf_printf(&b, "HTTP/1.1 302 Found\r\nLocation: %.*s\r\nContent-Length: 1000000000\r\n\r\nendless",
		   STR_ARG(to));
	say(v, buf_str(&b));
	keep_silent(v);
	return false;
}

static void test_redirects_are_followed(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), redirects), *other = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/relative/a");
	const struct client_header auth = { S("Authorization"), S("secret") };

	(void)state;
	c.headers = &auth;
	c.n_headers = 1;
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_starts(c.answer, S("GET /end ")), "a relative one");
	ok(str_contains(c.answer, S("Authorization: secret")), "on the same server");
	same_str(c.final_url, arena_printf(a, "http://127.0.0.1:%u/end", s->port));
	c.url = arena_printf(a, "http://127.0.0.1:%u/to/http://127.0.0.1:%u/there", s->port, other->port);
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_starts(c.answer, S("GET /there ")), "to another server");
	ok(!str_contains(c.answer, S("secret")), "which is told no secret");
	c.url = call_to(a, s, "/short").url;
	c.max_redirects = 0;
	good(client_one(cl, a, &c, in_seconds(20)));
	assert_int_equal(c.status, 302);
	c.max_redirects = 3;
	c.method = S("POST");
	c.body = S("x");
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(c.status == 302, "a POST is never repeated elsewhere");
	client_free(&cl);
	site_close(s);
	site_close(other);
}

static void test_bad_redirects(void **state)
{
	static const struct {
		const char *path;
		enum client_failure failure;
	} cases[] = {
		{ "/loop", CLIENT_BAD_REDIRECT },
		{ "/to/ftp://127.0.0.1/", CLIENT_BAD_REDIRECT },
		{ "/to/file:///etc/passwd", CLIENT_BAD_REDIRECT },
		{ "/to/gopher://127.0.0.1:1/_x", CLIENT_BAD_REDIRECT },
		{ "/to/http://user:pass@127.0.0.1/", CLIENT_BAD_REDIRECT },
		{ "/to/http://10.0.0.1/", CLIENT_REFUSED },
		{ "/to/http://[fe80::1]/", CLIENT_REFUSED },
		{ "/to/http://169.254.169.254/latest/meta-data/", CLIENT_REFUSED },
		{ "/to///10.0.0.1/", CLIENT_REFUSED },
	};
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), redirects);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		breaks_with(cl, a, call_to(a, s, cases[i].path), cases[i].failure);
	client_free(&cl);
	site_close(s);
}

static bool no_end(void *seen, const struct client_url *url)
{
	*(size_t *)seen += 1;
	return !str_eq(url->path, S("/end"));
}

static void test_the_caller_says_where_redirects_may_lead(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), redirects);
	struct client_call c = call_to(a, s, "/to//end");
	size_t seen = 0;

	(void)state;
	c.may_follow = no_end;
	c.follow_ctx = &seen;
	breaks_with(cl, a, c, CLIENT_REFUSED);
	assert_int_equal(seen, 1);
	assert_int_equal(s->n_visits, 1);
	c.url = call_to(a, s, "/to//to//there").url;
	good(client_one(cl, a, &c, in_seconds(20)));
	assert_int_equal(seen, 3); /* each, and not the address that was asked for */
	client_free(&cl);
	site_close(s);
}

/* ---- sizes ---- */

enum { MB = 1 << 20 };

static bool say_gzip(struct visit *v, size_t n)
{
	AUTO_ARENA a = arena_new();
	char *zeros = arena_zalloc(a, n);
	z_stream z = { .next_in = (Bytef *)zeros, .avail_in = (uInt)n };
	const size_t room = n / 100 + 1000;
	char *out = arena_alloc(a, room);
	bool sent;

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	SAY(v, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n");
	sent = say(v, (str){ out, z.total_out });
	deflateEnd(&z);
	return sent;
}

static bool many(struct visit *v, str piece)
{
	while (say(v, piece))
		;
	return false;
}

static bool sizes(struct visit *v)
{
	AUTO_ARENA a = arena_new();
	const str mb = { arena_zalloc(a, MB + 1), MB };

	if (asks(v, "/exact") || asks(v, "/over")) {
		SAY(v, "HTTP/1.1 200 OK\r\n\r\n");
		say(v, (str){ mb.p, asks(v, "/over") ? MB + 1 : MB });
		return false;
	}
	if (asks(v, "/declared")) {
		SAY(v, "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\nx");
		keep_silent(v); /* refused by what it says alone */
		return false;
	}
	if (asks(v, "/endless"))
		return SAY(v, "HTTP/1.1 200 OK\r\n\r\n") && many(v, mb);
	if (asks(v, "/gzip"))
		return say_gzip(v, MB) && false;
	if (asks(v, "/bomb"))
		return say_gzip(v, 100 * (size_t)MB) && false;
	if (asks(v, "/headers"))
		return SAY(v, "HTTP/1.1 200 OK\r\n") &&
		       many(v, S("X-Flood: some more of them, and then some more\r\n"));
	if (asks(v, "/header"))
		return SAY(v, "HTTP/1.1 200 OK\r\nX-Flood: ") && many(v, S("and a very long header, which is longer"));
	if (asks(v, "/continue"))
		return many(v, S("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"));
	if (asks(v, "/trailers"))
		return SAY(v, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nx\r\n0\r\n") &&
		       many(v, S("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"));
	if (asks(v, "/short"))
		return SAY(v, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly so many") && false;
	if (asks(v, "/long"))
		return SAY(v, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour and more") && false;
	if (asks(v, "/garbage"))
		return SAY(v, "220 mail.example.org ESMTP\r\n") && false;
	return false;
}

static void test_sizes(void **state)
{
	static const struct {
		const char *path;
		unsigned failure;
	} cases[] = {
		{ "/over", CLIENT_TOO_LARGE },     { "/declared", CLIENT_TOO_LARGE }, { "/endless", CLIENT_TOO_LARGE },
		{ "/bomb", CLIENT_TOO_LARGE },     { "/headers", CLIENT_TOO_LARGE },  { "/header", CLIENT_TOO_LARGE },
		{ "/continue", CLIENT_TOO_LARGE }, { "/trailers", CLIENT_TOO_LARGE }, { "/short", CLIENT_BROKEN },
		{ "/garbage", CLIENT_BROKEN },     { "/hangs-up", CLIENT_BROKEN },
	};
	static const struct {
		const char *path;
		size_t n;
	} good_ones[] = { { "/exact", MB }, { "/gzip", MB }, { "/long", 4 } };
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), sizes);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		breaks_with(cl, a, call_to(a, s, cases[i].path), cases[i].failure);
	for (size_t i = 0; i < ARRAY_LEN(good_ones); i++) {
		struct client_call c = call_to(a, s, good_ones[i].path);

		good(client_one(cl, a, &c, in_seconds(20)));
		assert_int_equal(c.answer.n, good_ones[i].n);
	}
	client_free(&cl);
	site_close(s);
}

/* ---- time ---- */

static bool silent(struct visit *v)
{
	if (asks(v, "/trickle"))
		SAY(v, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
	keep_silent(v);
	return false;
}

static void test_time(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ .slow_ms = 1000 });
	struct site *s = site_open(S("127.0.0.1"), silent);
	struct client_call c = call_to(a, s, "/");
	const err *e;

	(void)state;
	e = client_one(cl, a, &c, clock_mono_us() + 50000);
	ok(e && e->detail == CLIENT_TIMEOUT && str_contains(e->msg, S("too long")), "the deadline");
	c = call_to(a, s, "/trickle");
	e = client_one(cl, a, &c, in_seconds(60));
	ok(e && e->detail == CLIENT_TIMEOUT && str_contains(e->msg, S("next to nothing")), "a byte and no more");
	c.slow_ms = 60000; /* this one may think for as long */
	e = client_one(cl, a, &c, in_seconds(4));
	ok(e && e->detail == CLIENT_TIMEOUT && str_contains(e->msg, S("too long")), "by its own deadline");
	e = client_one(cl, a, &c, clock_mono_us() - 1);
	ok(e && e->detail == CLIENT_TIMEOUT, "a deadline that has passed");
	client_free(&cl);
	site_close(s);
}

static bool in_pairs(struct visit *v)
{
	struct site *s = v->site;

	lock_take(&s->lock);
	s->inside++;
	s->arrived++;
	s->peak = MAX(s->peak, s->inside);
	cond_broadcast(&s->changed);
	while (s->arrived < 2)
		cond_wait(&s->changed, &s->lock);
	s->inside--;
	lock_drop(&s->lock);
	return say_ok(v, S(""), S("x"));
}

static void test_so_many_at_once(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ .max_per_host = 2 });
	struct site *s = site_open(S("127.0.0.1"), in_pairs);
	struct client_call calls[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		calls[i] = call_to(a, s, "/");
	client_all(cl, a, calls, ARRAY_LEN(calls), in_seconds(20));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		good(calls[i].error);
		same_str(calls[i].answer, S("x"));
	}
	assert_int_equal(s->peak, 2);
	client_free(&cl);
	site_close(s);
}

static void test_waiting_too_long(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(
		a, (struct client_options){ .max_running = 1, .loops = 1, .queue_ms = 20, .max_waiting = 2 });
	struct site *s = site_open(S("127.0.0.1"), silent), *other = site_open(S("127.0.0.1"), silent);
	struct client_call calls[] = { call_to(a, s, "/"), call_to(a, other, "/"), call_to(a, s, "/"),
				       call_to(a, s, "/") };

	(void)state;
	client_all(cl, a, calls, 4, clock_mono_us() + 300000);
	assert_int_equal(calls[0].error->detail, CLIENT_TIMEOUT);
	ok(calls[1].error->detail == CLIENT_BUSY && str_contains(calls[1].error->msg, S("too long")), "its turn");
	ok(calls[2].error->detail == CLIENT_BUSY && str_contains(calls[2].error->msg, S("too long")), "its turn");
	ok(calls[3].error->detail == CLIENT_BUSY && str_contains(calls[3].error->msg, S("too many")), "no room");
	assert_int_equal(calls[3].error->code, ERR_BUSY);
	client_free(&cl);
	site_close(s);
	site_close(other);
}

/* Bug: a server was taken for dead because of requests that had never been sent to it. */
static void test_its_turn_never_came(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ .max_per_host = 1 });
	struct site *s = site_open(S("127.0.0.1"), silent);
	struct client_call calls[] = { call_to(a, s, "/"), call_to(a, s, "/") };

	(void)state;
	client_all(cl, a, calls, 2, clock_mono_us() + 50000);
	assert_int_equal(calls[0].error->detail, CLIENT_TIMEOUT);
	assert_int_equal(calls[1].error->detail, CLIENT_BUSY);
	client_free(&cl);
	site_close(s);
}

struct stopper {
	struct client *cl;
	struct site *s;
};
static bool tells_silent(struct visit *v)
{
	lock_take(&v->site->lock);
	v->site->arrived++;
	cond_broadcast(&v->site->changed);
	lock_drop(&v->site->lock);
	keep_silent(v);
	return false;
}

static void stop_when_asked(void *arg)
{
	struct stopper *st = arg;

	lock_take(&st->s->lock);
	while (st->s->arrived == 0)
		cond_wait(&st->s->changed, &st->s->lock);
	lock_drop(&st->s->lock);
	client_stop(st->cl);
}

static void test_stopping_ends_all(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ .max_per_host = 1 });
	struct site *s = site_open(S("127.0.0.1"), tells_silent);
	struct client_call calls[] = { call_to(a, s, "/"), call_to(a, s, "/waits") };
	struct stopper st = { cl, s };
	struct thread *t = thread_start("stopper", stop_when_asked, &st);

	(void)state;
	client_all(cl, a, calls, 2, in_seconds(60));
	assert_int_equal(calls[0].error->detail, CLIENT_STOPPED);
	assert_int_equal(calls[1].error->detail, CLIENT_STOPPED);
	thread_join(&t);
	breaks_with(cl, a, call_to(a, s, "/"), CLIENT_STOPPED);
	client_free(&cl);
	site_close(s);
}

/* ---- bodies that are not held ---- */

enum { STREAM = 64 * MB };
static bool streams(struct visit *v)
{
	AUTO_ARENA a = arena_new();
	char *piece = arena_alloc(a, MB);
	struct pollfd p = { .fd = v->fd, .events = POLLOUT };
	AUTO_BUF head = BUF_INIT(1000);

	if (asks(v, "/gone"))
		return SAY(v, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
	if (asks(v, "/gzip"))
		return say_gzip(v, MB) && false;
	buf_printf(&head, "HTTP/1.1 200 OK\r\nX-Here: yes\r\nContent-Length: %d\r\n\r\n", STREAM);
	say(v, buf_str(&head));
	for (int i = 0; i < STREAM / MB; i++) {
		memset(piece, i, MB);
		for (size_t at = 0; at < MB;) {
			ssize_t n;

			if (poll(&p, 1, 100) == 0) { /* nobody takes it */
				lock_take(&v->site->lock);
				v->site->flag = true;
				cond_broadcast(&v->site->changed);
				lock_drop(&v->site->lock);
			}
			n = send(v->fd, piece + at, MB - at, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return false;
			at += n > 0 ? (size_t)n : 0;
		}
	}
	lock_take(&v->site->lock);
	v->site->arrived = 1;
	cond_broadcast(&v->site->changed);
	lock_drop(&v->site->lock);
	return true;
}

struct taker {
	struct arena *a;
	struct site *s;
	size_t n, stop_at;
	bool wrong, was_held_back;
};

static err *take(void *ctx, struct client_call *c, str bytes)
{
	struct taker *t = ctx;

	if (t->n == 0) {
		same_str(client_answer_header(c, "x-here"), S("yes"));
		assert_int_equal(c->status, 200);
		lock_take(&t->s->lock);
		while (!t->s->flag && t->s->arrived == 0)
			cond_wait(&t->s->changed, &t->s->lock);
		t->was_held_back = t->s->arrived == 0;
		lock_drop(&t->s->lock);
	}
	for (size_t i = 0; i < bytes.n; i++, t->n++)
		t->wrong |= (unsigned char)bytes.p[i] != t->n / MB;
	return t->stop_at && t->n >= t->stop_at ? err_new(t->a, ERR_RESOURCE_LIMIT, "no more") : NULL;
}

static void test_a_body_is_taken_as_it_comes(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), streams);
	struct taker t = { .a = a, .s = s };
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.take = take;
	c.take_ctx = &t;
	c.max_bytes = STREAM;
	good(client_one(cl, a, &c, in_seconds(60)));
	assert_int_equal(t.n, STREAM);
	ok(!t.wrong, "in order");
	ok(t.was_held_back, "who takes slowly is sent slowly");
	same_str(c.answer, STR_NONE);
	t = (struct taker){ .a = a, .s = s, .stop_at = 3 * MB };
	fails_with(client_one(cl, a, &c, in_seconds(60)), ERR_RESOURCE_LIMIT);
	t = (struct taker){ .a = a, .s = s };
	c.max_bytes = MB;
	breaks_with(cl, a, c, CLIENT_TOO_LARGE);
	c.max_bytes = STREAM;
	c.url = call_to(a, s, "/gone").url;
	good(client_one(cl, a, &c, in_seconds(60)));
	assert_int_equal(c.status, 404);
	same_str(c.answer, S("gone"));
	c.url = call_to(a, s, "/gzip").url;
	breaks_with(cl, a, c, CLIENT_BROKEN);
	client_free(&cl);
	site_close(s);
}

static bool endless_text(struct visit *v)
{
	return SAY(v, "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=x\r\n\r\n") && many(v, S("endless"));
}

static void test_types_that_are_wanted(void **state)
{
	static const char *const images[] = { "image/", NULL }, *const texts[] = { "image/", "text/html", NULL };
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), endless_text);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.types = images;
	breaks_with(cl, a, c, CLIENT_WRONG_TYPE);
	c.types = texts;
	breaks_with(cl, a, c, CLIENT_TOO_LARGE);
	client_free(&cl);
	site_close(s);
}

static void test_headers_hold_no_further_lines(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");
	const struct client_header bad = { S("X"), S("y\r\nCookie: z") };

	(void)state;
	c.headers = &bad;
	c.n_headers = 1;
	breaks_with(cl, a, c, CLIENT_BAD_URL);
	client_free(&cl);
	site_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_and_its_answer),
		cmocka_unit_test(test_paths_go_out_as_they_are),
		cmocka_unit_test(test_a_body_is_sent),
		cmocka_unit_test(test_proxy_variables_are_ignored),
		cmocka_unit_test(test_a_connection_is_used_again),
		cmocka_unit_test(test_redirects_are_followed),
		cmocka_unit_test(test_bad_redirects),
		cmocka_unit_test(test_the_caller_says_where_redirects_may_lead),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_so_many_at_once),
		cmocka_unit_test(test_waiting_too_long),
		cmocka_unit_test(test_its_turn_never_came),
		cmocka_unit_test(test_stopping_ends_all),
		cmocka_unit_test(test_a_body_is_taken_as_it_comes),
		cmocka_unit_test(test_types_that_are_wanted),
		cmocka_unit_test(test_headers_hold_no_further_lines),
	};

	return cmocka_run_group_tests(tests, nets_init, NULL);
}
