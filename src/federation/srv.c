/*
 * srv.c - one question to the DNS, asked and waited for by the thread that wants to know.
 *
 * Each question has a channel of its own: it costs a fraction of a millisecond beside a question over the network, and
 * there is nothing to be shared, locked or kept up with a changed resolv.conf.
 */
#include "federation/srv.h"

#include "base/clock.h"
#include "base/rand.h"

#include <ares.h>
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void library_init(void) { ares_library_init(ARES_LIB_INIT_ALL); }

enum { T_SRV_ = 33, C_IN_ = 1 };

struct question {
	struct arena *a;
	bool over;
	int status;
	struct srv_target *out;
	size_t n;
	bool unavailable;
};

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int n)
{
	struct ares_srv_reply *list = NULL;
	struct question *q = arg;

	(void)timeouts;
	q->over = true;
	q->status = status == ARES_SUCCESS ? ares_parse_srv_reply(bytes, n, &list) : status;
	for (const struct ares_srv_reply *r = list; q->status == ARES_SUCCESS && r && q->n < SRV_MAX; r = r->next) {
		const str host = str_c(r->host);

		/* "A Target of "." means that the service is decidedly not available at this domain." */
		if (str_is_empty(host) || str_eq(host, S("."))) {
			q->unavailable = true;
			continue;
		}
		q->out[q->n++] =
			(struct srv_target){ arena_keep(q->a,
							str_ends(host, S(".")) ? str_head(host, host.n - 1) : host),
					     r->port, r->priority, r->weight };
	}
	if (list)
		ares_free_data(list);
}

/* Until it is answered, or the deadline has passed. */
static void wait_for_answer(ares_channel channel, const struct question *q, int64_t deadline_us)
{
	while (!q->over) {
		const int64_t left_us = deadline_us - clock_mono_us();
		struct pollfd fds[ARES_GETSOCK_MAXNUM];
		ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
		struct timeval tv, most = { left_us / 1000000, left_us % 1000000 }, *wait;
		const int bits = ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
		nfds_t n = 0;

		if (left_us <= 0)
			return;
		for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
			const bool in = ARES_GETSOCK_READABLE(bits, i),
				   outward = ARES_GETSOCK_WRITABLE((unsigned)bits, i);

			if (in || outward)
				fds[n++] = (struct pollfd){ sockets[i],
							    (short)((in ? POLLIN : 0) | (outward ? POLLOUT : 0)), 0 };
		}
		wait = ares_timeout(channel, &most, &tv);
		(void)poll(fds, n, (int)(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1));
		for (nfds_t i = 0; i < n; i++)
			ares_process_fd(channel,
					fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
					fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its own time-outs */
	}
}

static uint64_t chance(uint64_t below) { return rand_u64() % below; }

err *srv_look_up(struct arena *a, str dns_servers, str name, int64_t deadline_us, struct srv_target *out, size_t *out_n)
{
	struct ares_options opt = { .timeout = 3000, .tries = 3 };
	struct question q = { .a = a, .out = out };
	ares_channel channel;

	pthread_once(&library_once, library_init);
	if (ares_init_options(&channel, &opt, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
		return err_new(a, ERR_CONNECTION_FAILED, "the DNS cannot be asked");
	if (!str_is_none(dns_servers) &&
	    ares_set_servers_ports_csv(channel, arena_cstr(a, dns_servers)) != ARES_SUCCESS)
		on_answer(&q, ARES_EBADSTR, 0, NULL, 0);
	else
		ares_query(channel, arena_cstr(a, name), C_IN_, T_SRV_, on_answer, &q);
	wait_for_answer(channel, &q, deadline_us);
	ares_destroy(channel); /* answers what is open: `over` with ARES_EDESTRUCTION */
	*out_n = 0;
	if (q.status == ARES_ENOTFOUND || q.status == ARES_ENODATA)
		return NULL;
	if (q.status != ARES_SUCCESS)
		return err_new(a, ERR_CONNECTION_TIMEOUT, "the DNS does not answer for %.*s: %s", STR_ARG(name),
			       ares_strerror(q.status));
	if (q.n == 0 && q.unavailable)
		return err_new(a, ERR_CONNECTION_FAILED, "%.*s: the service is decidedly not available", STR_ARG(name));
	srv_order(out, q.n, chance);
	*out_n = q.n;
	return NULL;
}

/* RFC 2782: "Arrange all SRV RRs [of a priority] (that have not been ordered yet) in any order, except that all those
 * with weight 0 are placed at the beginning of the list", take one by the running sum of weights, and again. */
static size_t pick(const struct srv_target *t, size_t n, uint64_t (*fn)(uint64_t below))
{
	uint64_t sum = 0, at;

	for (size_t i = 0; i < n; i++)
		sum += t[i].weight;
	at = fn(sum + 1);
	for (size_t i = 0; i < n; i++)
		if (t[i].weight == 0 && at == 0)
			return i;
	for (size_t i = 0; i < n; i++) {
		if (t[i].weight > 0 && at <= t[i].weight)
			return i;
		at -= t[i].weight;
	}
	return 0;
}

static void swap(struct srv_target *x, struct srv_target *y)
{
	const struct srv_target kept = *x;

	*x = *y;
	*y = kept;
}

void srv_order(struct srv_target *t, size_t n, uint64_t (*fn)(uint64_t below))
{
	for (size_t i = 0; i < n; i++) {
		size_t peers = 1;

		for (size_t j = i + 1; j < n; j++)
			if (t[j].priority < t[i].priority)
				swap(&t[i], &t[j]);
		for (size_t j = i + 1; j < n; j++)
			if (t[j].priority == t[i].priority)
				swap(&t[i + peers++], &t[j]);
		swap(&t[i], &t[i + pick(t + i, peers, fn)]);
	}
}
