/*
 * watch.c - one thread that sleeps on everything that is not a request: new connections, deadlines, hang-ups.
 *
 * - It accepts, and hands each connection to an event loop in turn. (The library's own listening has a race at shutdown
 *   that ends the process, spreads connections unevenly, and would need loops for each listener.)
 * - Every connection has a deadline: for its first request to arrive whole, for the next one, for an answer to be
 *   taken. The library's timeout is for inactivity only: a byte a second lives for ever. Once a second the deadlines
 *   are compared; a connection that is late is shut down, and its loop finds that out and closes it.
 * - Parked requests whose time has come are run again. The library does not read from a suspended connection, so
 *   hang-ups come from an epoll of our own. Of uploads, too, for the library overlooks some.
 * - Once a second the loops are nudged. The library takes 128 events at a time, and when it got exactly as many it asks
 *   for more, without an end to that wait, before it looks at those it has: in a quiet server a whole batch of requests
 *   would lie there until somebody else came.
 *
 * A connection is in `conns` from the moment a loop knows it until the loop closes its socket; under the lock its
 * descriptor is therefore right.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t second = 1000000, accept_pause = 100000, lanes_pause = 2000, hup_patience = 1000000;
static const uint64_t tag_call = 0;

/* Accepting ------------------------------------------------------------------------------------------------------ */
static void poll_listener(struct watch *w, struct listener *l, int op)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = WATCH_TAG_LISTENER | (unsigned)l->index };

	epoll_ctl(w->epoll_fd, op, l->fd, &ev);
}

static struct conn *conn_new(struct http *h, struct listener *l, int fd, const struct sockaddr_storage *sa)
{
	struct conn *c = MEM_NEW(struct conn);
	const void *address = sa->ss_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr
							: (const void *)&((const struct sockaddr_in *)sa)->sin_addr;

	c->h = h;
	c->listener = l;
	c->fd = fd;
	list_init(&c->node);
	inet_ntop(sa->ss_family, address, c->address, sizeof(c->address));
	return c;
}

static void conn_free(struct conn *c)
{
	if (c)
		atomic_fetch_sub(&c->loop->conns, 1);
	mem_free(c);
}

static void adopt(struct http *h, struct listener *l, int fd, const struct sockaddr_storage *sa, socklen_t n)
{
	struct watch *w = &h->watch;
	struct loop *loop = server_loop(h, l->opt.tls);
	struct conn *c, *gone = NULL;
	bool full;

	lock_take(&w->lock);
	full = w->n_conns + w->by_fd.n >= h->opt.max_connections;
	if (!full) {
		c = conn_new(h, l, fd, sa);
		c->loop = loop;
		/* One that a loop gave up before it began: its descriptor was closed, and is this one now. */
		gone = map_put_i(&w->by_fd, fd, c);
	}
	lock_drop(&w->lock);
	conn_free(gone);
	if (full) {
		metric_add(metrics_http()->refused_connections, 1);
		close(fd);
		return;
	}
	atomic_fetch_add(&loop->conns, 1);
	if (MHD_add_connection(loop->daemon, fd, (const struct sockaddr *)sa, n) == MHD_YES)
		return; /* the loop's, which closes it in the end */
	lock_take(&w->lock);
	gone = map_del_i(&w->by_fd, fd);
	lock_drop(&w->lock);
	conn_free(gone);
}

static void accept_some(struct http *h, struct listener *l)
{
	for (unsigned i = 0; i < 64; i++) {
		struct sockaddr_storage sa = { 0 };
		socklen_t n = sizeof(sa);
		const int fd = accept4(l->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			adopt(h, l, fd, &sa, n);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			/* The connection stays in the queue, and would be reported again and again. */
			metric_add(metrics_http()->refused_connections, 1);
			poll_listener(&h->watch, l, EPOLL_CTL_DEL);
			l->paused = true;
			h->watch.accept_at = clock_mono_us() + accept_pause;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void accept_again(struct http *h)
{
	bool expired;

	h->watch.accept_at = 0;
	lock_take(&h->watch.lock);
	expired = h->watch.expired;
	lock_drop(&h->watch.lock);
	for (size_t i = 0; i < h->n_listeners; i++) {
		struct listener *l = h->listeners[i];

		if (l->paused && !expired)
			poll_listener(&h->watch, l, EPOLL_CTL_ADD);
		l->paused = false;
	}
}

void watch_conn_started(struct http *h, struct MHD_Connection *mhd, struct conn **out)
{
	const int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	struct watch *w = &h->watch;
	bool first;

	lock_take(&w->lock);
	struct conn *c = map_del_i(&w->by_fd, fd);
	assert(c);
	c->id = ++w->next_id;
	atomic_store(&c->deadline_us, clock_mono_us() + h->opt.request_timeout_s * second);
	map_put_i(&w->by_id, c->id, c);
	list_add_tail(&w->conns, &c->node);
	first = w->n_conns++ == 0;
	lock_drop(&w->lock);
	metric_add(metrics_http()->connections, 1);
	*out = c;
	if (first)
		watch_call(w);
}

void watch_conn_closed(struct http *h, struct conn *c)
{
	struct watch *w = &h->watch;

	lock_take(&w->lock);
	assert(!c->parked);
	map_del_i(&w->by_id, c->id);
	list_del(&c->node);
	w->n_conns--;
	lock_drop(&w->lock);
	metric_add(metrics_http()->connections, -1);
	conn_free(c);
}

/* Nudging -------------------------------------------------------------------------------------------------------- */
/* An event without a pointer is one that the library's loops wake for and pass over; at an edge, so nobody reads it. */
bool watch_add_loop(struct http *h, struct MHD_Daemon *d)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
	const int fd = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;

	return epoll_ctl(fd, EPOLL_CTL_ADD, h->watch.nudge_fd, &ev) == 0;
}

static void nudge(struct watch *w)
{
	const uint64_t one = 1;
	const ssize_t n = write(w->nudge_fd, &one, sizeof(one));

	assert(n == sizeof(one));
}

/* Deadlines ------------------------------------------------------------------------------------------------------ */
static void sweep(struct watch *w, int64_t now)
{
	lock_assert_held(&w->lock);
	if (w->n_conns == 0) {
		w->sweep_at = 0;
		return;
	}
	if (w->sweep_at > now)
		return;
	w->sweep_at = now + second;
	nudge(w);
	LIST_EACH (&w->conns, it) {
		struct conn *c = LIST_ITEM(it, struct conn, node);
		int64_t deadline = atomic_load(&c->deadline_us);

		if (deadline == 0 || deadline > now)
			continue;
		/* Unless a whole request arrived this very moment. */
		if (!atomic_compare_exchange_strong(&c->deadline_us, &deadline, now + 60 * second))
			continue;
		shutdown(c->fd, SHUT_RDWR);
		if (atomic_load(&c->busy))
			metric_add(metrics_http()->timed_out, 1);
	}
}

/* A lane calls its workers itself; this is for the case that all who run are stuck where nobody tells. */
void watch_lanes(struct http *h)
{
	if (!atomic_exchange(&h->watch.lanes_wait, true))
		watch_call(&h->watch);
}

static void look_after_lanes(struct http *h, int64_t now)
{
	struct watch *w = &h->watch;
	bool more = false;

	if (w->lanes_at == 0 && atomic_load(&w->lanes_wait))
		w->lanes_at = now + lanes_pause;
	if (w->lanes_at == 0 || w->lanes_at > now)
		return;
	atomic_store(&w->lanes_wait, false);
	for (size_t i = 0; i < LANES; i++)
		more |= lane_check(&h->lanes[i]);
	w->lanes_at = more ? now + lanes_pause : 0;
}

/* Takes the parked requests whose time has come, and plans the next look. */
static int64_t look(struct watch *w, struct list *out_due)
{
	const int64_t now = clock_mono_us();
	int64_t next = INT64_MAX;

	LOCKED(&w->lock);
	while (w->n_parked > 0 && (w->expired || w->heap[0]->park_deadline <= now)) {
		struct req_internal *r = w->heap[0];

		if (park_take(r, PARK_DEADLINE))
			list_add_tail(out_due, &r->node);
	}
	sweep(w, now);
	next = linger_look(w, now);
	if (w->n_parked > 0)
		next = MIN(next, MAX(w->heap[0]->park_deadline, now + 1000));
	if (w->sweep_at)
		next = MIN(next, w->sweep_at);
	if (w->accept_at)
		next = MIN(next, w->accept_at);
	if (w->lanes_at)
		next = MIN(next, w->lanes_at);
	w->sleeps_until = next;
	return next;
}

/* A hang-up is reported once, whether anybody cares at that moment or not: so the socket is watched from the first time
 * on, at no cost for the later ones. */
void watch_socket(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLRDHUP | EPOLLET, .data.u64 = (uint64_t)c->id };

	lock_assert_held(&c->h->watch.lock);
	if (!c->watched)
		epoll_ctl(c->h->watch.epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
	c->watched = true;
}

void watch_receiving(struct conn *c, int64_t deadline_us)
{
	LOCKED(&c->h->watch.lock);
	watch_socket(c);
	atomic_store(&c->receiving, true);
	atomic_store(&c->deadline_us, c->hup ? MIN(deadline_us, clock_mono_us() + hup_patience) : deadline_us);
}

/* The library takes a short read for the end of what there is, and so overlooks the end of the connection where that
 * arrived with the last bytes. Those may be the body's last, and are then about to be read. */
static void shorten(struct conn *c)
{
	int64_t deadline = atomic_load(&c->deadline_us);
	const int64_t soon = clock_mono_us() + hup_patience;

	if (atomic_load(&c->receiving) && deadline > soon)
		atomic_compare_exchange_strong(&c->deadline_us, &deadline, soon);
}

static void hung_up(struct watch *w, int64_t id)
{
	struct req_internal *taken = NULL;
	struct conn *c;

	lock_take(&w->lock);
	c = map_get_i(&w->by_id, id);
	if (c) {
		c->hup = true;
		taken = c->parked;
		shorten(c);
	}
	if (taken && !park_take(taken, PARK_HUNG_UP))
		taken = NULL;
	lock_drop(&w->lock);
	if (taken)
		park_finish(taken);
}

/* The thread ----------------------------------------------------------------------------------------------------- */
static void serve(struct http *h, const struct epoll_event *ev)
{
	struct watch *w = &h->watch;
	uint64_t count;

	if (ev->data.u64 == tag_call) {
		if (read(w->event_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN);
	} else if (ev->data.u64 & WATCH_TAG_LISTENER) {
		accept_some(h, h->listeners[ev->data.u64 & ~WATCH_TAG_LISTENER]);
	} else if (ev->data.u64 & WATCH_TAG_LINGER) {
		linger_read(w, (size_t)(ev->data.u64 & ~WATCH_TAG_LINGER));
	} else {
		hung_up(w, (int64_t)ev->data.u64);
	}
}

static int ms_until(int64_t when)
{
	const int64_t us = when == INT64_MAX ? -1 : MAX(when - clock_mono_us(), 0);

	return us < 0 ? -1 : (int)MIN((us + 999) / 1000, 60000);
}

static void watch_main(void *arg)
{
	struct http *h = arg;
	struct watch *w = &h->watch;
	struct epoll_event events[64];

	while (!atomic_load(&w->stopping)) {
		struct list due, *node;
		int n;

		list_init(&due);
		look_after_lanes(h, clock_mono_us());
		n = ms_until(look(w, &due));
		while ((node = list_pop(&due)))
			park_finish(LIST_ITEM(node, struct req_internal, node));
		n = epoll_wait(w->epoll_fd, events, ARRAY_LEN(events), n);
		assert(n >= 0 || errno == EINTR);
		for (int i = 0; i < n; i++)
			serve(h, &events[i]);
		if (w->accept_at && w->accept_at <= clock_mono_us())
			accept_again(h);
	}
}

void watch_call(struct watch *w)
{
	const uint64_t one = 1;
	const ssize_t n = write(w->event_fd, &one, sizeof(one));

	assert(n == sizeof(one) || errno == EAGAIN);
}

err *watch_start(struct http *h, struct arena *a)
{
	struct watch *w = &h->watch;
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = tag_call };

	lock_init(&w->lock, RANK_HTTP);
	list_init(&w->conns);
	map_init(&w->by_id, NULL);
	map_init(&w->by_fd, NULL);
	w->sleeps_until = INT64_MAX;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll_fd < 0 || w->event_fd < 0 || w->nudge_fd < 0)
		return err_new(a, ERR_CONFIG, "out of file descriptors");
	epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->event_fd, &ev);
	w->thread = thread_start("http-watch", watch_main, h);
	return NULL;
}

void watch_add_listener(struct http *h, struct listener *l) { poll_listener(&h->watch, l, EPOLL_CTL_ADD); }

void watch_expire(struct http *h)
{
	struct watch *w = &h->watch;

	for (size_t i = 0; i < h->n_listeners; i++) {
		poll_listener(w, h->listeners[i], EPOLL_CTL_DEL);
		shutdown(h->listeners[i]->fd, SHUT_RDWR);
	}
	lock_take(&w->lock);
	w->expired = true;
	LIST_EACH (&w->conns, it) {
		struct conn *c = LIST_ITEM(it, struct conn, node);

		if (!atomic_load(&c->busy))
			shutdown(c->fd, SHUT_RD);
	}
	lock_drop(&w->lock);
	watch_call(w);
}

void watch_stop(struct http *h)
{
	struct watch *w = &h->watch;

	atomic_store(&w->stopping, true);
	watch_call(w);
	thread_join(&w->thread);
}

void watch_done(struct http *h)
{
	struct watch *w = &h->watch;
	size_t at = 0;
	int64_t fd;
	void *c;

	assert(w->n_conns == 0 && w->n_parked == 0);
	w->expired = true;
	lock_take(&w->lock);
	linger_look(w, 0);
	lock_drop(&w->lock);
	while (map_next_i(&w->by_fd, &at, &fd, &c))
		conn_free(c);
	map_done(&w->by_fd);
	map_done(&w->by_id);
	mem_free(w->heap);
	close(w->epoll_fd);
	close(w->event_fd);
	close(w->nudge_fd);
	lock_done(&w->lock);
}
