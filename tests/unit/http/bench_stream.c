/*
 * bench_stream.c - what a megabyte up or down costs in http/ alone: `ninja -C build tests/unit/http/bench_stream &&
 * build/tests/unit/http/bench_stream [MB a transfer] [transfers]`.
 *
 * The server runs here, its client in a child, so that getrusage tells the server's CPU time alone. The sink looks at
 * nothing; the source reads a file that is in the page cache. Results: docs/internals/http.md.
 */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static long peak_kb(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static uint64_t taken;
static int file;

static err *begin(struct req *rq, void **out)
{
	(void)rq;
	*out = NULL;
	return NULL;
}

static err *take(struct req *rq, void *sink, str bytes)
{
	(void)rq;
	(void)sink;
	taken += bytes.n;
	return NULL;
}

static void drop(void *sink) { (void)sink; }

static const struct sink_ops sink = { begin, take, drop };

static err *put_up(struct req *rq)
{
	reply_empty(rq);
	return NULL;
}

static err *fill(void *source, struct arena *a, char *p, size_t max, size_t *out_n)
{
	off_t *at = source;
	const ssize_t n = pread(file, p, max, *at);

	if (n <= 0)
		return err_new(a, ERR_INTERNAL, "read");
	*at += n;
	*out_n = (size_t)n;
	return NULL;
}

static const struct source_ops source = { fill, mem_free };

static err *get_down(struct req *rq)
{
	int64_t n = 0;

	TRY(req_query_int(rq, "n", 0, &n));
	reply_stream(rq, 200, S("application/octet-stream"), (uint64_t)n, &source, MEM_NEW(off_t));
	return NULL;
}

static const struct route routes[] = {
	{ "PUT", C "up", put_up, AUTH_NONE, RATE_NONE, LANE_SLOW, 0, &sink },
	{ "GET", C "down", get_down, AUTH_NONE, RATE_NONE, LANE_SLOW, 0 },
	{ 0 },
};
static const struct route *const tables[] = { routes, test_routes, NULL };

static void client(uint16_t port, bool up, size_t size, int times)
{
	const int fd = dial_port(port);
	char *p = mem_zalloc(1 << 20);
	char head[200];

	for (int i = 0; i < times; i++) {
		size_t left = size;

		snprintf(head, sizeof(head),
			 up ? "PUT " C "up HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n"
			    : "GET " C "down?n=%zu HTTP/1.1\r\nHost: x\r\n\r\n",
			 size);
		put(fd, str_c(head));
		for (size_t n; up && left > 0; left -= n) {
			n = MIN(left, 1u << 20);
			put(fd, (str){ p, n });
		}
		if (!up) {
			AUTO_ARENA a = arena_new();
			struct answer an;

			get_answer(a, fd, true, &an);
		}
		while (!up && left > 0) {
			const ssize_t n = recv(fd, p, MIN(left, 1u << 20), 0);

			if (n <= 0)
				_exit(1);
			left -= (size_t)n;
		}
		if (up && recv(fd, p, 1 << 20, 0) <= 0)
			_exit(1);
	}
	_exit(0);
}

static void run(struct http *h, const char *name, bool up, size_t size, int times)
{
	const int64_t cpu = cpu_us(), wall = clock_mono_us();
	const double mb = (double)size * times / 1e6;
	const pid_t pid = fork();
	int status;

	if (pid == 0)
		client(http_port(h, 0), up, size, times);
	waitpid(pid, &status, 0);
	if (status)
		printf("failed ");
	printf("%-6s %9zu bytes x %5d: %6.3f ms CPU/MB, %5.0f MB/s, %6.1f us each, peak RSS %ld KB\n", name, size,
	       times, (double)(cpu_us() - cpu) / 1000 / mb, mb * 1e6 / (double)(clock_mono_us() - wall),
	       (double)(cpu_us() - cpu) / times, peak_kb());
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const size_t big = (size_t)(argc > 1 ? atol(argv[1]) : 64) * 1000000;
	const int times = argc > 2 ? (int)atol(argv[2]) : 10;
	struct http_options opt = { .tables = tables };
	char name[] = "/tmp/bench_stream.XXXXXX", zeros[65536] = { 0 };
	struct http *h;

	file = mkstemp(name);
	unlink(name);
	for (size_t n = 0; n < big; n += sizeof(zeros))
		if (write(file, zeros, sizeof(zeros)) < 0)
			return 1;
	world_init();
	h = start_server(opt, client_listener);
	for (int i = 0; i < 2; i++) {
		run(h, "up", true, big, times);
		run(h, "down", false, big, times);
	}
	run(h, "up", true, 100000, 1000);
	run(h, "down", false, 100000, 1000);
	run(h, "up", true, 2000000, 100);
	run(h, "down", false, 2000000, 100);
	http_stop(&h, 5);
	world_done();
	return 0;
}
