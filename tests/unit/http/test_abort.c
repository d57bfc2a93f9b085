/* Clients that go away at any byte of what they send or are sent, many at once: nothing of them stays. Worth most under
 * ThreadSanitizer: connections are suspended, resumed and ended here from all sides. */
#include "stream_fixture.h"

#include <dirent.h>

enum { CLIENTS = 12, TURNS = 170 };

struct crowd {
	struct http *h;
	unsigned seed;
};

static uint64_t chance(struct crowd *c, uint64_t below)
{
	c->seed = c->seed * 1103515245 + 12345;
	return (c->seed >> 8) % below;
}

/* As much of it as there is, until `at` bytes of the conversation have gone. */
static bool send_until(int fd, const char *text, uint64_t *at)
{
	const size_t n = (size_t)MIN(strlen(text), *at);

	*at -= n;
	return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n && *at > 0;
}

static void body_until(int fd, uint64_t n, uint64_t at) { put_bytes(fd, 0, MIN(n, at)); }

/* A body of 600 KB, of a length that is said or not, wanted or not, with a request behind it. */
static void break_upload(struct crowd *c, int fd)
{
	static const char *const heads[] = {
		"PUT " C "sink HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n",
		"PUT " C "sink HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\nExpect: 100-continue\r\n\r\n",
		"PUT " C "sink?fail_at=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n",
		"PUT " C "sink?max=10 HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n",
		"PUT " C "mine HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n",
		"PUT " C "sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n927c0\r\n",
		"PUT " C "nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n",
	};
	/* As often within the head as within the body and behind it. */
	uint64_t at = chance(c, 2) ? chance(c, 200) : chance(c, 700000);

	if (!send_until(fd, heads[chance(c, ARRAY_LEN(heads))], &at))
		return;
	body_until(fd, 600000, at);
	if (at > 600000)
		put_maybe(fd, S("\r\n0\r\n\r\n" GET(C "hello")));
}

static void break_download(struct crowd *c, int fd)
{
	static const char *const requests[] = {
		GET(C "source?n=200000"),
		GET(C "source?n=3000000"),
		GET(C "source?n=3000000&fail_at=600000"),
		GET(C "source?n=1000000&unknown=yes"),
		GET(C "source?n=3000000") GET(C "source?n=3000000"),
		GET(C "hello") "PUT " C "sink HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123",
	};
	uint64_t left = chance(c, 2) ? chance(c, 300) : chance(c, 3100000);
	char piece[16384];

	put_maybe(fd, str_c(requests[chance(c, ARRAY_LEN(requests))]));
	while (left > 0) {
		const ssize_t n = recv(fd, piece, (size_t)MIN(left, sizeof(piece)), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			look_again();
		else if (n <= 0)
			return;
		left -= n > 0 ? (uint64_t)n : MIN(left, 20000);
	}
}

static void come_and_go(void *arg)
{
	struct crowd *c = arg;
	const struct linger reset = { .l_onoff = 1 };

	for (int i = 0; i < TURNS; i++) {
		const int fd = dial(c->h);

		if (chance(c, 2))
			break_upload(c, fd);
		else
			break_download(c, fd);
		if (chance(c, 2))
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		else if (chance(c, 4) == 0)
			shutdown(fd, SHUT_WR);
		close(fd);
	}
}

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void nothing_stays_of_those_who_go(void **state)
{
	const size_t before = open_files();
	struct http *h = start((struct http_options){ .request_timeout_s = 2 });
	struct crowd crowds[CLIENTS];
	struct thread *t[CLIENTS];
	AUTO_ARENA a = arena_new();
	struct answer an;

	(void)state;
	for (unsigned i = 0; i < CLIENTS; i++) {
		crowds[i] = (struct crowd){ h, i + 1 };
		t[i] = thread_start("client", come_and_go, &crowds[i]);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		thread_join(&t[i]);
	an = ask(a, h, GET(C "hello"));
	assert_int_equal(an.status, 200);
	assert_true(SEEN(sinks) > 100 && SEEN(sources) > 100);
	http_stop(&h, 20);
	assert_int_equal(SEEN(sinks), seen.sinks_dropped);
	assert_int_equal(SEEN(sources), seen.sources_dropped);
	assert_false(seen.wrong);
	world_done();
	assert_int_equal(open_files(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_stays_of_those_who_go) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
