/*
 * bench_http.c - what http/ itself costs: `ninja -C build tests/unit/http/bench_http &&
 * build/tests/unit/http/bench_http`.
 *
 * The server runs here, its clients in a child, so that getrusage tells the server's CPU time alone. A request is small
 * and its handler does next to nothing. Results: docs/internals/http.md.
 */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static long rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	if (f && fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * 4;
}

/* Answers a number of requests on `n` connections, each waiting for its answer before the next. */
static void client_loop(uint16_t port, const char *request, int n, int total)
{
	const int ep = epoll_create1(0);
	int sent = 0, got = 0;

	for (int i = 0; i < n; i++) {
		const int fd = dial_port(port);
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

		epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		put(fd, str_c(request));
		sent++;
	}
	while (got < total) {
		struct epoll_event ev[64];
		const int k = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < k; i++) {
			char buf[4096];

			if (recv(ev[i].data.fd, buf, sizeof(buf), 0) <= 0)
				_exit(1);
			got++;
			if (sent++ < total)
				put(ev[i].data.fd, str_c(request));
		}
	}
}

/* Runs fn in a child; gives the server's CPU time meanwhile. */
#define IN_CHILD(out_cpu, out_wall, ...)                                                                               \
	do {                                                                                                           \
		const int64_t cpu_ = cpu_us(), wall_ = clock_mono_us();                                                \
		const pid_t pid_ = fork();                                                                             \
		if (pid_ == 0) {                                                                                       \
			__VA_ARGS__;                                                                                   \
			_exit(0);                                                                                      \
		}                                                                                                      \
		waitpid(pid_, NULL, 0);                                                                                \
		(out_cpu) = cpu_us() - cpu_;                                                                           \
		(out_wall) = clock_mono_us() - wall_;                                                                  \
	} while (0)

static void gets(struct http *h, const char *name, const char *request, int conns)
{
	const int total = 100000;
	int64_t cpu, wall;

	IN_CHILD(cpu, wall, client_loop(http_port(h, 0), request, conns, total));
	printf("%-40s %3d connections: %5.1f us CPU, %6.0f /s\n", name, conns, (double)cpu / total,
	       total * 1e6 / (double)wall);
	fflush(stdout);
}

/* A child that keeps n polls open; it reads `rounds` answers from each, asking again after each. */
static pid_t hold_polls(struct http *h, int n, int before, int64_t since)
{
	const uint16_t port = http_port(h, 0);
	const pid_t pid = fork();

	if (pid == 0) {
		const int ep = epoll_create1(0);

		for (int i = 0; i < n; i++) {
			const int fd = dial_port(port);
			struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
			char buf[4096];

			/* As a client does: some requests on the connection before the poll. */
			for (int k = 0; k < before; k++) {
				put(fd, S(GET(C "hello")));
				if (recv(fd, buf, sizeof(buf), 0) <= 0)
					_exit(1);
			}
			AUTO_BUF b = BUF_INIT(1000);
			buf_printf(&b,
				   "GET " C "wait?user=%d&since=%" PRId64
				   "&timeout=600000 HTTP/1.1\r\nHost: localhost:8008\r\n"
				   "Authorization: Bearer syt_abcdefghijklmnopqrstuvwxyz\r\nUser-Agent: bench/1.0\r\n"
				   "Accept-Encoding: gzip\r\nAccept: */*\r\n\r\n",
				   i + 1, since);
			put(fd, buf_str(&b));
			epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
		}
		for (int open = n; open > 0;) {
			struct epoll_event ev[256];
			const int k = epoll_wait(ep, ev, 256, -1);

			for (int i = 0; i < k; i++) {
				char buf[4096];

				if (recv(ev[i].data.fd, buf, sizeof(buf), 0) > 0)
					close(ev[i].data.fd);
				open--;
			}
		}
		_exit(0);
	}
	return pid;
}

static void polls(struct http *h, int n, int64_t *position, bool gets_too)
{
	const long before = rss_kb();
	const pid_t pid = hold_polls(h, n, 2, *position);
	int64_t cpu, wall, held, own;

	await_parked(h, (size_t)n);
	printf("%d parked: %.1f KiB each (RSS %ld MB in all)\n", n, (double)(rss_kb() - before) / n, rss_kb() / 1024);
	if (gets_too) {
		gets(h, "GET on a worker, with those parked", GET(C "hello"), 1);
		gets(h, "GET on a worker, with those parked", GET(C "hello"), 16);
	}
	cpu = cpu_us();
	wall = clock_mono_us();
	own = clock_thread_us();
	++*position;
	bus_touch_room(world.bus, 1000, BUS_EVENTS, *position);
	bus_advance(world.bus, *position);
	held = clock_mono_us() - wall;
	own = clock_thread_us() - own;
	waitpid(pid, NULL, 0);
	printf("one publish to %d: %.1f us CPU each, %.1f ms until the last was read, publisher %.2f ms (CPU %.2f ms)\n",
	       n, (double)(cpu_us() - cpu) / n, (double)(clock_mono_us() - wall) / 1000, (double)held / 1000,
	       (double)own / 1000);
	fflush(stdout);
	await_connections(h, 0);
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 65536, 65536 };
	struct http_options opt = { .loops = argc > 1 ? (unsigned)str_c(argv[1]).p[0] - '0' : 0 };
	struct http *h;
	int64_t position = 1;

	setrlimit(RLIMIT_NOFILE, &files);
	world_init();
	bus_advance(world.bus, 1);
	h = start_server(opt, client_listener);
	printf("idle: RSS %ld KB\n", rss_kb());
	gets(h, "GET on the loop", GET(C "loop"), 1);
	gets(h, "GET on the loop", GET(C "loop"), 16);
	gets(h, "GET on a worker", GET(C "hello"), 1);
	gets(h, "GET on a worker", GET(C "hello"), 16);
	polls(h, 100, &position, false);
	polls(h, 1000, &position, false);
	polls(h, 10000, &position, true);
	http_stop(&h, 5);
	world_done();
	return 0;
}
