/*
 * server.c - the whole server's life: start, listeners, event loops, stop.
 *
 * A loop is one of the library's daemons without a listening socket: a thread with an epoll. Each holds its share of
 * the connections of all listeners, whichever they are (TLS has loops of its own). Few, so that one wake-up of a loop
 * serves several answers; but more as connections come: the library looks at every suspended connection of a loop
 * when one of them resumes, so that the share of 10,000 parked requests that a loop holds must be small.
 *
 * Stopping, in this order: no new connections; parked requests run a last time; what was taken is answered, with
 * "Connection: close"; after the grace, what nobody has begun is refused; workers end; only then, with nothing
 * suspended any more, the loops.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const size_t loop_stack = (size_t)2 << 20;
#else
static const size_t loop_stack = (size_t)256 << 10;
#endif

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		watch_conn_started(arg, mhd, (struct conn **)context);
	} else if (*context) {
		watch_conn_closed(arg, *context);
		*context = NULL;
	}
}

/* Paths are decoded by args.c: %2F is no '/', %00 ends nothing. */
static size_t keep_escapes(void *arg, struct MHD_Connection *mhd, char *s)
{
	(void)arg;
	(void)mhd;
	return strlen(s);
}

static struct MHD_Daemon *start_loop(struct http *h, bool tls)
{
	const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			       (tls ? MHD_USE_TLS : 0u);
	/* RFC 8996: "TLS 1.0 MUST NOT be used", nor 1.1. */
	static const char versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";
	struct MHD_OptionItem for_tls[] = { { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_chooser() },
					    { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)versions },
					    { MHD_OPTION_END, 0, NULL } };
	struct MHD_Daemon *d;
	sigset_t all, before;

	if (!tls)
		for_tls[0].option = MHD_OPTION_END;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	d = MHD_start_daemon(flags, 0, NULL, NULL, request_step, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
			     MHD_OPTION_NOTIFY_COMPLETED, request_end, h, MHD_OPTION_URI_LOG_CALLBACK, request_begin, h,
			     MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			     (size_t)HTTP_CONNECTION_POOL, MHD_OPTION_CONNECTION_LIMIT, h->opt.max_connections,
			     MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_THREAD_STACK_SIZE, loop_stack,
			     MHD_OPTION_ARRAY, for_tls, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return d;
}

static bool add_loop(struct http *h, bool tls)
{
	struct MHD_Daemon *d = start_loop(h, tls);

	if (!d)
		return false;
	if (!watch_add_loop(h, d)) {
		MHD_stop_daemon(d);
		return false;
	}
	h->loops[tls][h->n_loops[tls]++].daemon = d;
	return true;
}

static err *start_loops(struct http *h, struct arena *a, bool tls)
{
	while (h->n_loops[tls] < h->opt.loops)
		if (!add_loop(h, tls))
			return err_new(a, ERR_CONFIG, "cannot start an event loop: %s", strerror(errno));
	return NULL;
}

struct loop *server_loop(struct http *h, bool tls)
{
	struct loop *best = &h->loops[tls][0];

	for (unsigned i = 1; i < h->n_loops[tls]; i++)
		if (atomic_load(&h->loops[tls][i].conns) < atomic_load(&best->conns))
			best = &h->loops[tls][i];
	if (atomic_load(&best->conns) < HTTP_LOOP_SHARE || h->n_loops[tls] == HTTP_MAX_LOOPS || !add_loop(h, tls))
		return best;
	return &h->loops[tls][h->n_loops[tls] - 1];
}

static void choose(struct http_options *o)
{
	static const unsigned workers[] = { HTTP_WORKERS_FAST, HTTP_WORKERS_SLOW, HTTP_WORKERS_FEDERATION,
					    HTTP_WORKERS_REMOTE };
	static const unsigned limits[] = { HTTP_QUEUE_FAST, HTTP_QUEUE_SLOW, HTTP_QUEUE_FEDERATION, HTTP_QUEUE_REMOTE };

	static_assert(ARRAY_LEN(workers) == LANES && ARRAY_LEN(limits) == LANES, "one of each for every lane");
	for (size_t i = 0; i < LANES; i++) {
		o->workers[i] = o->workers[i] ? o->workers[i] : workers[i];
		o->queue_limit[i] = o->queue_limit[i] ? o->queue_limit[i] : limits[i];
	}
	o->origin_running = o->origin_running ? o->origin_running : HTTP_ORIGIN_RUNNING;
	o->origin_waiting = o->origin_waiting ? o->origin_waiting : HTTP_ORIGIN_WAITING;
	o->loops = o->loops ? MIN(o->loops, HTTP_MAX_LOOPS) : (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN) / 2, 1);
	o->max_connections = o->max_connections ? o->max_connections : HTTP_CONNECTIONS;
	o->min_bytes_s = o->min_bytes_s ? o->min_bytes_s : HTTP_MIN_BYTES_S;
	o->request_timeout_s = o->request_timeout_s ? o->request_timeout_s : HTTP_REQUEST_TIMEOUT_S;
}

err *http_start(struct arena *a, const struct http_options *opt, struct http **out)
{
	static const char *const names[] = { "http-fast", "http-slow", "http-fed", "http-remote" };
	struct http *h = MEM_NEW(struct http);

	assert(opt->bus && opt->tables);
	h->opt = *opt;
	choose(&h->opt);
	lock_init(&h->lock, RANK_HTTP);
	cond_init(&h->ended);
	h->router = router_new(opt->tables);
	rates_init(&h->rates, opt->rates);
	shares_init(&h->servers, h->opt.origin_running, h->opt.origin_waiting);
	shares_init(&h->askers, MAX(h->opt.workers[LANE_REMOTE] / HTTP_ASKER_PART, 1), HTTP_ASKER_WAITING);
	gzip_init(&h->gzip);
	for (size_t i = 0; i < LANES; i++)
		lane_init(&h->lanes[i], h, names[i], h->opt.workers[i], h->opt.queue_limit[i]);
	TRY(watch_start(h, a));
	*out = h;
	return NULL;
}

static err *open_socket(struct arena *a, const struct http_listener *l, int *out_fd, uint16_t *out_port)
{
	const struct addrinfo want = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	struct sockaddr_storage bound;
	struct addrinfo *found = NULL;
	socklen_t n = sizeof(bound);
	const int one = 1;
	int fd, rc;

	if (getaddrinfo(arena_cstr(a, l->address), arena_cstr(a, arena_printf(a, "%u", l->port)), &want, &found) != 0)
		return err_new(a, ERR_CONFIG, "%.*s is no address to listen on", STR_ARG(l->address));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* accepted sockets inherit it */
		if (found->ai_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	}
	rc = fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1024) ||
	     getsockname(fd, (struct sockaddr *)&bound, &n);
	freeaddrinfo(found);
	if (rc) {
		err *e = err_new(a, ERR_CONFIG, "cannot listen on %.*s port %u: %s", STR_ARG(l->address), l->port,
				 strerror(errno));

		if (fd >= 0)
			close(fd);
		return e;
	}
	*out_fd = fd;
	*out_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
						      : ((struct sockaddr_in *)&bound)->sin_port);
	return NULL;
}

static void keep_cert(struct http *h, struct tls_cert *cert)
{
	*tls_cert_next(cert) = h->certs;
	h->certs = cert;
}

err *http_listen(struct http *h, struct arena *a, const struct http_listener *opt)
{
	struct tls_cert *cert = NULL;
	struct listener *l;
	uint16_t port;
	int fd;

	if (h->n_listeners == ARRAY_LEN(h->listeners))
		return err_new(a, ERR_CONFIG, "more than %zu addresses to listen on", ARRAY_LEN(h->listeners));
	if (opt->tls)
		TRY(tls_cert_load(a, opt->cert_pem, opt->key_pem, &cert));
	if (cert)
		keep_cert(h, cert);
	TRY(start_loops(h, a, opt->tls));
	TRY(open_socket(a, opt, &fd, &port));
	l = MEM_NEW(struct listener);
	*l = (struct listener){ .h = h, .fd = fd, .port = port, .index = (int)h->n_listeners, .opt = *opt };
	l->opt.address = l->opt.cert_pem = l->opt.key_pem = STR_NONE;
	atomic_store(&l->cert, cert);
	h->listeners[h->n_listeners++] = l;
	watch_add_listener(h, l);
	return NULL;
}

uint16_t http_port(const struct http *h, size_t listener)
{
	assert(listener < h->n_listeners);
	return h->listeners[listener]->port;
}

err *http_reload_tls(struct http *h, struct arena *a, str cert_pem, str key_pem)
{
	struct tls_cert *cert;

	TRY(tls_cert_load(a, cert_pem, key_pem, &cert));
	keep_cert(h, cert);
	for (size_t i = 0; i < h->n_listeners; i++)
		if (h->listeners[i]->opt.tls)
			atomic_store(&h->listeners[i]->cert, cert);
	return NULL;
}

void http_set_rates(struct http *h, const struct rate_limit rates[RATE_CLASSES])
{
	LOCKED(&h->rates.lock);
	memcpy(h->rates.limits, rates, sizeof(h->rates.limits));
}

static void wait_for_answers(struct http *h, unsigned grace_s)
{
	const int64_t until = clock_mono_us() + (int64_t)grace_s * 1000000;

	LOCKED(&h->lock);
	while (atomic_load(&h->active) > 0)
		if (!cond_wait_until(&h->ended, &h->lock, until))
			return;
}

static void free_all(struct http *h)
{
	watch_done(h);
	for (size_t i = 0; i < h->n_listeners; i++) {
		close(h->listeners[i]->fd);
		mem_free(h->listeners[i]);
	}
	for (size_t i = 0; i < LANES; i++)
		lane_done(&h->lanes[i]);
	for (struct tls_cert *c = h->certs, *next; c; c = next) {
		next = *tls_cert_next(c);
		tls_cert_free(&c);
	}
	router_free(&h->router);
	rates_done(&h->rates);
	shares_done(&h->servers);
	shares_done(&h->askers);
	gzip_done(&h->gzip);
	cond_done(&h->ended);
	lock_done(&h->lock);
	mem_free(h);
}

void http_stop(struct http **hp, unsigned grace_s)
{
	struct http *h = *hp;

	if (!h)
		return;
	atomic_store(&h->stopping, true);
	watch_expire(h);
	wait_for_answers(h, grace_s);
	for (size_t i = 0; i < LANES; i++)
		lane_stop(&h->lanes[i], run_never);
	watch_stop(h);
	for (size_t tls = 0; tls < 2; tls++)
		for (unsigned i = 0; i < h->n_loops[tls]; i++)
			MHD_stop_daemon(h->loops[tls][i].daemon);
	free_all(h);
	*hp = NULL;
}
