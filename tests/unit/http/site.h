/* site.h - servers on loopback that say exactly what a test wants them to say. */
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/thread.h"
#include "http/client.h"

#define MAYBE_UNUSED __attribute__((unused)) static

enum { MOST_VISITS = 256 };
struct site;
struct visit { /* one connection */
	struct site *site;
	int fd;
	struct thread *thread;
	struct buf in;
	str request; /* head and body of the request at hand */
};
struct site {
	/* Answers v->request; false: the connection is closed. */
	bool (*answer)(struct visit *v);
	str greeting; /* said before anything was asked */
	int fd;
	uint16_t port;
	struct thread *thread;
	struct lock lock;
	struct cond changed;
	struct visit visits[MOST_VISITS];
	_Atomic unsigned n_visits;
	int inside, peak, arrived; /* for tests, under lock */
	bool flag;
};

/* False: the peer went away. */
MAYBE_UNUSED bool say(struct visit *v, str bytes)
{
	while (bytes.n > 0) {
		const ssize_t n = send(v->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		bytes = str_from(bytes, (size_t)n);
	}
	return true;
}
#define SAY(v, text) say((v), S(text))

/* Until the peer goes away. */
MAYBE_UNUSED void keep_silent(struct visit *v)
{
	char c[256];

	while (recv(v->fd, c, sizeof(c), 0) > 0)
		;
}

MAYBE_UNUSED bool say_ok(struct visit *v, str headers, str body)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	buf_printf(&b, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%.*s\r\n", body.n, STR_ARG(headers));
	buf_add(&b, body);
	return say(v, buf_str(&b));
}

/* The path of the request at hand. */
MAYBE_UNUSED str path_of(const struct visit *v)
{
	const str rest = str_from(v->request, str_find(v->request, ' ') + 1);

	return str_head(rest, str_find(rest, ' '));
}

MAYBE_UNUSED bool asks(const struct visit *v, const char *path) { return str_eq(path_of(v), str_c(path)); }

static size_t request_length(str in)
{
	const char *end = in.n ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
	const char *length = end ? memmem(in.p, (size_t)(end - in.p), "Content-Length: ", 16) : NULL;
	uint64_t n = 0;

	if (!end)
		return 0;
	if (length) {
		const str rest = { length + 16, (size_t)(end - length) - 16 };

		assert_true(str_to_u64(str_head(rest, str_find(rest, '\r')), &n));
	}
	n += (size_t)(end - in.p) + 4;
	return n <= in.n ? n : 0;
}

static bool next_request(struct visit *v)
{
	size_t n;

	while ((n = request_length(buf_str(&v->in))) == 0) {
		const ssize_t got = recv(v->fd, buf_reserve(&v->in, 4096), 4096, 0);

		if (got <= 0)
			return false;
		buf_commit(&v->in, (size_t)got);
	}
	v->request = str_head(buf_str(&v->in), n);
	return true;
}

static void visit_run(void *visit)
{
	struct visit *v = visit;

	v->in = (struct buf)BUF_INIT(1 << 20);
	say(v, v->site->greeting);
	while (next_request(v)) {
		const size_t n = v->request.n;

		if (!v->site->answer(v))
			break;
		memmove(v->in.p, v->in.p + n, v->in.n - n);
		v->in.n -= n;
	}
	shutdown(v->fd, SHUT_RDWR);
	buf_done(&v->in);
}

static void site_run(void *site)
{
	struct site *s = site;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct visit *v = &s->visits[s->n_visits++];

		*v = (struct visit){ .site = s, .fd = fd };
		v->thread = thread_start("visit", visit_run, v);
	}
}

static int listen_at(str address, uint16_t *port)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(*port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(*port) };
	const bool is_v4 = inet_pton(AF_INET, address.p, &a4.sin_addr) == 1;
	struct sockaddr *sa = is_v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t n = is_v4 ? sizeof(a4) : sizeof(a6);
	const int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(is_v4 || inet_pton(AF_INET6, address.p, &a6.sin6_addr) == 1);
	assert_int_equal(bind(fd, sa, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, sa, &n), 0);
	*port = ntohs(is_v4 ? a4.sin_port : a6.sin6_port);
	return fd;
}

static struct site *site_open_greeting(str address, bool (*answer)(struct visit *), str greeting)
{
	struct site *s = MEM_NEW(struct site);

	s->answer = answer;
	s->greeting = greeting;
	s->fd = listen_at(address, &s->port);
	lock_init(&s->lock, RANK_LEAF);
	cond_init(&s->changed);
	s->thread = thread_start("site", site_run, s);
	return s;
}

MAYBE_UNUSED struct site *site_open(str address, bool (*answer)(struct visit *))
{
	return site_open_greeting(address, answer, S(""));
}

MAYBE_UNUSED void site_close(struct site *s)
{
	shutdown(s->fd, SHUT_RDWR);
	thread_join(&s->thread);
	for (unsigned i = 0; i < s->n_visits; i++) {
		shutdown(s->visits[i].fd, SHUT_RDWR);
		thread_join(&s->visits[i].thread);
		close(s->visits[i].fd);
	}
	close(s->fd);
	cond_done(&s->changed);
	lock_done(&s->lock);
	mem_free(s);
}

/* ---- the other side ---- */

static struct ip_net loopback[2], everything[2];
/* This machine alone; and what the public internet is not. */
static const struct client_nets here = { .deny = everything, .n_deny = 2, .allow = loopback, .n_allow = 2 };
static struct ip_net private_nets[40];
static struct client_nets public_only = { .deny = private_nets };

MAYBE_UNUSED int nets_init(void **state)
{
	(void)state;
	assert_true(ip_net_parse(S("127.0.0.1"), &loopback[0]) && ip_net_parse(S("::1"), &loopback[1]));
	assert_true(ip_net_parse(S("0.0.0.0/0"), &everything[0]) && ip_net_parse(S("::/0"), &everything[1]));
	public_only.n_deny = 0;
	for (size_t i = 0; client_private_networks[i]; i++)
		assert_true(ip_net_parse(str_c(client_private_networks[i]), &private_nets[public_only.n_deny++]));
	return 0;
}

MAYBE_UNUSED int64_t in_seconds(int s) { return clock_mono_us() + (int64_t)s * 1000000; }

/* Every name is here, but one. */
MAYBE_UNUSED size_t everybody_is_here(void *ctx, str host, struct ip *out, size_t max)
{
	(void)ctx;
	(void)max;
	if (str_eq(host, S("nowhere.example")))
		return 0;
	assert_true(ip_parse(S("127.0.0.1"), out));
	return 1;
}

MAYBE_UNUSED struct client *client_with(struct arena *a, struct client_options opt)
{
	struct client *cl;

	opt.user_agent = S("Hearth test");
	good(client_new(a, &opt, &cl));
	return cl;
}

/* http://127.0.0.1:PORT/path, up to 1 MB. */
MAYBE_UNUSED struct client_call call_to(struct arena *a, const struct site *s, const char *path)
{
	return (struct client_call){
		.url = arena_printf(a, "http://127.0.0.1:%u%s", s->port, path),
		.nets = &here,
		.max_bytes = 1 << 20,
		.max_redirects = 3,
	};
}

#define breaks_with(cl, a, call, failure) breaks_with_at((cl), (a), (call), (failure), __FILE__, __LINE__)
MAYBE_UNUSED void breaks_with_at(struct client *cl, struct arena *a, struct client_call call, unsigned failure,
				 const char *file, int line)
{
	const err *e = client_one(cl, a, &call, in_seconds(20));

	if (e && e->detail == failure)
		return;
	print_error("%s:%d: %.*s: %s %.*s\n", file, line, STR_ARG(call.url), e ? "another failure:" : "no failure",
		    e ? (int)e->msg.n : 0, e ? e->msg.p : "");
	fail();
}
