/*
 * bench_client.c - what a request of ours to another server costs, with many servers and connections that are kept.
 *
 *     bench_client HOSTS ROUNDS LOOPS IDLE
 *
 * The servers are one process on loopback that answers everything; each has a name of its own, and so a connection.
 * Shown is this process's CPU for each request.
 */
#include "site.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

static void serve(int listener)
{
	const int ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener };
	char in[8192];

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	while (epoll_wait(ep, &ev, 1, -1) > 0) {
		if (ev.data.fd == listener) {
			ev.data.fd = accept(listener, NULL, NULL);
			epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev);
		} else if (recv(ev.data.fd, in, sizeof(in), 0) > 0) {
			(void)send(ev.data.fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		} else {
			close(ev.data.fd);
		}
	}
	_exit(0);
}

static size_t all_here(void *ctx, str host, struct ip *out, size_t max)
{
	(void)ctx;
	(void)host;
	(void)max;
	return ip_parse(S("127.0.0.1"), out);
}

static int64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static unsigned number(const char *text)
{
	uint64_t n;

	assert_true(str_to_u64(str_c(text), &n));
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	const unsigned hosts = argc > 1 ? number(argv[1]) : 400, rounds = argc > 2 ? number(argv[2]) : 20;
	const unsigned loops = argc > 3 ? number(argv[3]) : 4, idle = argc > 4 ? number(argv[4]) : 256;
	AUTO_ARENA a = arena_new();
	struct client_call *calls = ARENA_ARRAY(a, struct client_call, hosts);
	struct client *cl;
	uint16_t port = 0;
	const int listener = listen_at(S("127.0.0.1"), &port);
	const pid_t child = fork();
	int64_t began, first = 0;

	if (child == 0)
		serve(listener);
	nets_init(NULL);
	cl = client_with(a, (struct client_options){ .resolve = all_here,
						     .loops = loops,
						     .max_idle = idle,
						     .max_running = 1000,
						     .max_waiting = 100000 });
	began = cpu_us();
	for (unsigned round = 0; round < rounds; round++) {
		AUTO_ARENA for_round = arena_new();

		for (unsigned i = 0; i < hosts; i++)
			calls[i] = (struct client_call){ .url = arena_printf(for_round, "http://h%u.example:%u/x", i,
									     port),
							 .nets = &here,
							 .max_bytes = 1000 };
		client_all(cl, for_round, calls, hosts, in_seconds(60));
		for (unsigned i = 0; i < hosts; i++)
			good(calls[i].error);
		if (round == 0)
			first = cpu_us() - began;
	}
	printf("%u hosts, %u loops, %u idle: first %.0f us each, then %.0f us\n", hosts, loops, idle,
	       (double)first / hosts, (double)(cpu_us() - began - first) / hosts / MAX(rounds - 1, 1));
	client_free(&cl);
	kill(child, SIGKILL);
	return 0;
}
