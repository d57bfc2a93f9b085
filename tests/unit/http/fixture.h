/* fixture.h - a server with a few routes, and a client that writes its bytes itself. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "http/internal_http.h"
#include "json/json.h"

#define MAYBE_UNUSED __attribute__((unused)) static

/* What handlers and tests share. */
static struct {
	struct bus *bus;
	struct lock lock;
	struct cond changed;
	int inside, open; /* handlers in /gate, and how many may leave it */
	int plug[2];      /* a pipe: /stuck takes a byte from it */
	_Atomic int wait_runs, wait_answers, proofs;
} world;

static void world_init(void)
{
	world.bus = bus_new(100000);
	world.inside = world.open = 0;
	world.wait_runs = world.wait_answers = world.proofs = 0;
	assert_int_equal(pipe(world.plug), 0);
	lock_init(&world.lock, RANK_LEAF);
	cond_init(&world.changed);
}

static void world_done(void)
{
	close(world.plug[0]);
	close(world.plug[1]);
	bus_free(&world.bus);
	cond_done(&world.changed);
	lock_done(&world.lock);
}

static err *get_hello(struct req *rq)
{
	jw_str(reply_json(rq, 200), "hello", rq->address);
	return NULL;
}

static err *get_path(struct req *rq)
{
	struct jw *w = reply_json(rq, 200);

	jw_str(w, "a", req_param(rq, "a"));
	jw_str(w, "b", req_param(rq, "b"));
	jw_str(w, "before_b", req_path_before(rq, "b"));
	return NULL;
}

static err *get_rest(struct req *rq)
{
	jw_str(reply_json(rq, 200), "rest", req_param(rq, "rest"));
	return NULL;
}

static err *get_query(struct req *rq)
{
	int64_t n;
	bool flag;
	struct jw *w;

	TRY(req_query_int(rq, "n", -1, &n));
	TRY(req_query_bool(rq, "flag", false, &flag));
	w = reply_json(rq, 200);
	jw_int(w, "n", n);
	jw_bool(w, "flag", flag);
	if (!str_is_none(req_query(rq, "s")))
		jw_str(w, "s", req_query(rq, "s"));
	if (!str_is_none(req_access_token(rq)))
		jw_str(w, "token", req_access_token(rq));
	return NULL;
}

static err *post_object(struct req *rq)
{
	const struct json *o;

	TRY(req_body_object(rq, &o));
	jw_int(reply_json(rq, 200), "bytes", (int64_t)req_body(rq).n);
	return NULL;
}

static err *get_big(struct req *rq)
{
	int64_t n;
	struct jw *w;

	TRY(req_query_int(rq, "n", 1000, &n));
	w = reply_json(rq, 200);
	jw_array(w, "list");
	for (int64_t i = 0; i < n; i++)
		jw_int(w, NULL, i);
	jw_end(w);
	return NULL;
}

static err *get_error(struct req *rq)
{
	const str what = req_query(rq, "what");
	err *e;

	jw_str(reply_json(rq, 200), "begun", S("and discarded"));
	if (str_eq(what, S("limit"))) {
		e = err_new(rq->arena, ERR_LIMIT_EXCEEDED, "slow down");
		e->extra = S("\"retry_after_ms\":2500");
		return e;
	}
	if (str_eq(what, S("body"))) {
		e = err_new(rq->arena, ERR_UIA, "authenticate");
		e->body = S("{\"flows\":[]}");
		return e;
	}
	if (str_eq(what, S("busy")))
		return err_new(rq->arena, ERR_BUSY, "busy");
	e = err_new(rq->arena, ERR_UNKNOWN_TOKEN, "who \"are\" you?");
	e->extra = S("\"soft_logout\":true");
	return e;
}

static err *get_silent(struct req *rq)
{
	(void)rq;
	return NULL;
}

/* Finds out that it belongs elsewhere; then as get_gate where ?gate stands. */
static err *get_gate(struct req *rq);
static err *get_mover(struct req *rq)
{
	if (req_lane(rq) == LANE_FAST)
		return req_move(rq, LANE_REMOTE);
	assert_int_equal(req_lane(rq), LANE_REMOTE);
	return get_gate(rq);
}

/* Stays until the test lets it go. */
static err *get_gate(struct req *rq)
{
	lock_take(&world.lock);
	world.inside++;
	cond_broadcast(&world.changed);
	while (world.open == 0)
		cond_wait(&world.changed, &world.lock);
	world.open--;
	world.inside--;
	cond_broadcast(&world.changed);
	lock_drop(&world.lock);
	reply_empty(rq);
	return NULL;
}

static err *get_stuck(struct req *rq)
{
	char c;

	if (read(world.plug[0], &c, 1) != 1)
		return err_new(rq->arena, ERR_INTERNAL, "unplugged");
	reply_empty(rq);
	return NULL;
}

/* ?user=7&timeout=1000: answers when the user's bus key moved, or in the end. */
static err *get_wait(struct req *rq)
{
	const int64_t rooms[] = { 1000 };
	struct bus_known k;
	int64_t user, timeout, since;

	TRY(req_query_int(rq, "user", 1, &user));
	TRY(req_query_int(rq, "timeout", 60000, &timeout));
	TRY(req_query_int(rq, "since", 0, &since));
	atomic_fetch_add(&world.wait_runs, 1);
	if (bus_watch_begin(world.bus, user))
		bus_watch_rooms(world.bus, user, bus_position(world.bus), rooms, 1);
	if (!bus_known(world.bus, user, &k))
		return err_new(rq->arena, ERR_INTERNAL, "not watched");
	if (k.last[BUS_EVENTS] <= since && !req_park_expired(rq))
		return req_park(rq, user, k.seq, rq->arrived_us + timeout * 1000);
	jw_bool(reply_json(rq, 200), "expired", req_park_expired(rq));
	atomic_fetch_add(&world.wait_answers, 1);
	return NULL;
}

/* Parks on a key that is never still. */
static err *get_restless(struct req *rq)
{
	if (!req_park_expired(rq))
		return req_park(rq, 424242, 1, clock_mono_us() + 60000000);
	reply_empty(rq);
	return NULL;
}

#define C "/_matrix/client/v3/"
static const struct route test_routes[] = {
	{ "GET", C "hello", get_hello, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "POST", C "hello", get_hello, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "loop", get_hello, AUTH_NONE, RATE_NONE, LANE_LOOP, 0 },
	{ "GET", C "path/{a}/x/{b}", get_path, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "rest/{rest*}", get_rest, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "query", get_query, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "POST", C "object", post_object, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "PUT", C "small", post_object, AUTH_NONE, RATE_NONE, LANE_FAST, 100 },
	{ "GET", C "big", get_big, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "error", get_error, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "silent", get_silent, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "gate", get_gate, AUTH_NONE, RATE_NONE, LANE_SLOW, 0 },
	{ "GET", C "loop-gate", get_gate, AUTH_NONE, RATE_NONE, LANE_LOOP, 0 },
	{ "GET", C "mover", get_mover, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "stuck", get_stuck, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "wait", get_wait, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "restless", get_restless, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", C "limited", get_hello, AUTH_NONE, RATE_LOGIN, LANE_FAST, 0 },
	{ "GET", C "whoami", get_hello, AUTH_USER, RATE_MESSAGE, LANE_FAST, 0 },
	{ "GET", "/_matrix/federation/v1/version", get_hello, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ "GET", "/.well-known/matrix/server", get_hello, AUTH_NONE, RATE_NONE, LANE_FAST, 0 },
	{ 0 },
};
static const struct route *const test_tables[] = { test_routes, http_system_routes, NULL };

static err *test_authenticate(struct req *rq, enum auth auth)
{
	const str token = req_access_token(rq);

	if (str_is_none(token))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "no token");
	if (!str_starts(token, S("good")))
		return err_new(rq->arena, ERR_UNKNOWN_TOKEN, "bad token");
	if (auth == AUTH_SERVER) {
		atomic_fetch_add(&world.proofs, 1);
		rq->origin = arena_keep(rq->arena, token);
	} else {
		rq->user_id = token;
	}
	return NULL;
}

static struct http *start_server(struct http_options opt, struct http_listener listener)
{
	AUTO_ARENA a = arena_new();
	struct http *h = NULL;
	err *e;

	opt.bus = world.bus;
	opt.tables = opt.tables ? opt.tables : test_tables;
	opt.authenticate = test_authenticate;
	if (opt.request_timeout_s == 0)
		opt.request_timeout_s = 20;
	listener.address = S("127.0.0.1");
	e = http_start(a, &opt, &h);
	assert_null(e);
	e = http_listen(h, a, &listener);
	if (e)
		fail_msg("%.*s", STR_ARG(e->msg));
	return h;
}

MAYBE_UNUSED const struct http_listener client_listener = { .client = true, .metrics = true, .health = true };

/* The client --------------------------------------------------------------------------------------------------------
 */
static int dial_port(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval patience = { .tv_sec = 20 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* a test that hangs should say where */
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static int dial(const struct http *h) { return dial_port(http_port(h, 0)); }

static void put(int fd, str s)
{
	while (s.n > 0) {
		const ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		assert_true(n > 0);
		s = str_from(s, (size_t)n);
	}
}

/* The server may have closed already: then what is left is not sent. */
MAYBE_UNUSED void put_maybe(int fd, str s)
{
	while (s.n > 0) {
		const ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s = str_from(s, (size_t)n);
	}
}

struct answer {
	int status; /* 0: closed without one */
	char *head;
	str headers, body;
};

MAYBE_UNUSED bool is_closed(int fd)
{
	char c;
	const ssize_t n = recv(fd, &c, 1, 0);

	assert_false(n < 0 && errno == EAGAIN);
	return n <= 0;
}

static str answer_header(const struct answer *an, const char *name)
{
	str rest = an->headers, line, key;

	while (str_split_next(&rest, '\n', &line)) {
		str value = line;

		str_split_next(&value, ':', &key);
		if (str_eq_nocase(key, str_c(name)))
			return str_trim(value);
	}
	return STR_NONE;
}

/* One answer, whose body is as long as Content-Length says. */
static void get_answer(struct arena *a, int fd, bool no_body, struct answer *an)
{
	const size_t max = 8192;
	size_t n = 0, want;
	uint64_t length = 0;
	char *body;

	*an = (struct answer){ .head = arena_alloc(a, max) };
	while (n < 4 || memcmp(an->head + n - 4, "\r\n\r\n", 4) != 0) {
		ssize_t k;

		assert_true(n < max);
		k = recv(fd, an->head + n, 1, 0);
		assert_false(k < 0 && errno == EAGAIN);
		if (k <= 0)
			return;
		n += (size_t)k;
	}
	an->headers = (str){ an->head, n };
	assert_true(str_starts(an->headers, S("HTTP/1.1 ")) || str_starts(an->headers, S("HTTP/1.0 ")));
	an->status = (an->head[9] - '0') * 100 + (an->head[10] - '0') * 10 + (an->head[11] - '0');
	if (!str_is_none(answer_header(an, "Content-Length")))
		assert_true(str_to_u64(answer_header(an, "Content-Length"), &length));
	want = no_body ? 0 : (size_t)length;
	body = arena_alloc(a, want + 1);
	for (n = 0; n < want;) {
		const ssize_t k = recv(fd, body + n, want - n, 0);

		assert_true(k > 0);
		n += (size_t)k;
	}
	an->body = (str){ body, want };
}

static const struct json *body_json(struct arena *a, const struct answer *an)
{
	struct json *j = NULL;

	assert_null(json_parse(a, an->body, &json_limits_request, &j));
	return j;
}

MAYBE_UNUSED void expect_error(struct arena *a, const struct answer *an, int status, const char *errcode)
{
	const struct json *j;

	assert_int_equal(an->status, status);
	assert_true(str_eq(answer_header(an, "Content-Type"), S("application/json")));
	j = body_json(a, an);
	assert_true(str_eq(json_get_str(j, S("errcode")), str_c(errcode)));
	assert_false(str_is_none(json_get_str(j, S("error"))));
}

/* Sends a whole request on a connection of its own and gives the answer. */
MAYBE_UNUSED struct answer ask(struct arena *a, const struct http *h, const char *request)
{
	const int fd = dial(h);
	struct answer an;

	put(fd, str_c(request));
	get_answer(a, fd, strncmp(request, "HEAD", 4) == 0, &an);
	close(fd);
	return an;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* Between two looks at the server's own tables, which nothing signals to a test. */
static void look_again(void) { poll(NULL, 0, 1); }

static void await_counts(const struct http *h, size_t conns, size_t parked, bool by_parked)
{
	struct watch *w = (struct watch *)(uintptr_t)&h->watch;

	for (;;) {
		bool there;

		lock_take(&w->lock);
		there = by_parked ? w->n_parked == parked : w->n_conns == conns;
		lock_drop(&w->lock);
		if (there)
			return;
		look_again();
	}
}

MAYBE_UNUSED void await_parked(const struct http *h, size_t n) { await_counts(h, 0, n, true); }
MAYBE_UNUSED void await_connections(const struct http *h, size_t n) { await_counts(h, n, 0, false); }

MAYBE_UNUSED void await_inside(int n)
{
	LOCKED(&world.lock);
	while (world.inside != n)
		cond_wait(&world.changed, &world.lock);
}

MAYBE_UNUSED void open_gate(int n)
{
	LOCKED(&world.lock);
	world.open += n;
	cond_broadcast(&world.changed);
}
