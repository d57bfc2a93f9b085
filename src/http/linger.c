/*
 * linger.c - connections that were refused while their client still sends.
 *
 * Who closes a socket with bytes unread makes the kernel reset the connection, and the answer may never be read. The
 * library closes at once after an answer that did not wait for the body. So the watch thread keeps the socket open by
 * a second descriptor, and reads and drops, a while and a few MiB, until the client has seen the answer and closes.
 *
 * All of it under watch.lock, which a loop takes to begin.
 */
#include "http/internal_http.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t patience = INT64_C(1000000) * HTTP_LINGER_S;

void linger_begin(struct conn *c)
{
	struct watch *w = &c->h->watch;
	struct epoll_event ev = { .events = EPOLLIN };

	LOCKED(&w->lock);
	if (w->expired)
		return;
	for (size_t i = 0; i < HTTP_LINGERING; i++) {
		struct lingering *l = &w->lingering[i];

		if (l->until != 0)
			continue;
		l->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
		if (l->fd < 0)
			return;
		l->until = clock_mono_us() + patience;
		l->left = HTTP_BODY_DISCARD;
		w->n_lingering++;
		ev.data.u64 = WATCH_TAG_LINGER | i;
		epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, l->fd, &ev);
		return;
	}
}

static void end(struct watch *w, struct lingering *l)
{
	close(l->fd);
	l->until = 0;
	w->n_lingering--;
}

void linger_read(struct watch *w, size_t i)
{
	struct lingering *l = &w->lingering[i];
	static char dropped[64 * 1024]; /* nobody looks */
	ssize_t n;

	LOCKED(&w->lock);
	if (l->until == 0) /* ended, with the event on its way */
		return;
	n = recv(l->fd, dropped, sizeof(dropped), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (size_t)n >= l->left)
		end(w, l);
	else
		l->left -= (size_t)n;
}

int64_t linger_look(struct watch *w, int64_t now)
{
	int64_t next = INT64_MAX;

	lock_assert_held(&w->lock);
	for (size_t i = 0; i < HTTP_LINGERING && w->n_lingering > 0; i++) {
		struct lingering *l = &w->lingering[i];

		if (l->until != 0 && (l->until <= now || w->expired))
			end(w, l);
		else if (l->until != 0)
			next = MIN(next, l->until);
	}
	return next;
}
