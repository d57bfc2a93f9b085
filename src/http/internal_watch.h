/* internal_watch.h - connections and deadlines (watch.c), lanes of workers (lanes.c), requests that wait (park.c). */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "http/limits.h"
#include "http/server.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>

struct req_internal;
struct worker;
struct lane_pool {
	struct lock lock;
	struct http *h;
	struct list queue;
	struct req_internal *_Atomic inbox; /* returned, newest first, by next_returned: not yet in the queue */
	struct worker *idle, *all;          /* idle: the one that worked last first */
	unsigned started, max;
	unsigned enough;       /* so many running keep the cores busy */
	bool waking, stopping; /* waking: a worker was called and has not come yet */
	const char *name;
	_Atomic size_t waiting;   /* in the queue, or with a place in it */
	_Atomic unsigned running; /* workers in a handler that does not wait */
	size_t limit;
};
void lane_init(struct lane_pool *l, struct http *h, const char *name, unsigned workers, size_t limit);
/* A place in the queue; false when it is full. Then lane_push, which has no limit of its own. */
bool lane_reserve(struct lane_pool *l);
/* For a further piece of a request that was begun. */
void lane_reserve_more(struct lane_pool *l);
void lane_push(struct lane_pool *l, struct req_internal *r);
/* A request that was parked comes back: needs no place. Cheap for who calls, also a thousand times in a row. */
void lane_return(struct lane_pool *l, struct req_internal *r);
/* Calls a worker if the queue's head is stale; false when the queue is empty. */
bool lane_check(struct lane_pool *l);
/* Requests that nobody has begun are given to `refuse`; waits for the others; afterwards lane_reserve is false. */
void lane_stop(struct lane_pool *l, void (*refuse)(struct req_internal *r));
void lane_done(struct lane_pool *l);

struct listener {
	struct http *h;
	int fd, index;
	uint16_t port;
	bool paused; /* out of descriptors: not accepting for a while */
	struct http_listener opt;
	struct tls_cert *_Atomic cert;
};
struct loop {
	struct MHD_Daemon *daemon;
	_Atomic unsigned conns;
};
struct conn {
	struct list node;
	struct http *h;
	struct loop *loop;
	const struct listener *listener;
	int fd;
	int64_t id;
	_Atomic int64_t deadline_us; /* clock_mono_us; 0: none (a request is being worked on) */
	_Atomic bool busy;           /* between a request line and its answer's end */
	_Atomic bool receiving;      /* a body that goes to a sink */
	/* under watch.lock */
	bool watched, hup;
	struct req_internal *parked;
	char address[INET6_ADDRSTRLEN];
};
/* Tags of the watch thread's epoll events; those of connections are their id, from 1 on. */
#define WATCH_TAG_LISTENER (UINT64_C(1) << 62)
#define WATCH_TAG_LINGER   (UINT64_C(1) << 61)
struct lingering {
	int fd;
	int64_t until; /* 0: a free place */
	size_t left;   /* bytes that are read and dropped */
};
struct watch {
	struct lock lock;
	struct list conns;
	struct map by_id, by_fd; /* by_fd: accepted, not yet known to the library */
	size_t n_conns;
	int64_t next_id;
	struct req_internal **heap; /* parked requests by deadline */
	size_t n_parked, cap_parked;
	int64_t sleeps_until; /* what the thread's wait was planned for */
	int epoll_fd, event_fd;
	int nudge_fd; /* in the epoll of every loop: see watch.c */
	_Atomic bool stopping;
	bool expired; /* parked requests are run a last time, no more are parked */
	_Atomic bool lanes_wait;
	int64_t lanes_at;
	int64_t sweep_at, accept_at; /* when deadlines of connections, and paused listeners, are looked at; 0: never */
	struct lingering lingering[HTTP_LINGERING];
	size_t n_lingering;
	struct thread *thread;
};
err *watch_start(struct http *h, struct arena *a);
/* The loop will be called now and then while there are connections. False: out of memory for it. */
bool watch_add_loop(struct http *h, struct MHD_Daemon *d);
void watch_add_listener(struct http *h, struct listener *l);
/* No new connections; idle ones are closed once what they sent was read; parked requests run a last time. */
void watch_expire(struct http *h);
void watch_call(struct watch *w); /* its thread looks at the deadlines anew */
void watch_lanes(struct http *h); /* it looks after the lanes as long as they have queues */
void watch_stop(struct http *h);
void watch_done(struct http *h);
void watch_conn_started(struct http *h, struct MHD_Connection *mhd, struct conn **out);
void watch_conn_closed(struct http *h, struct conn *c);
/* Under watch.lock: from now on `hup` tells whether the client hung up. */
void watch_socket(struct conn *c);
/* A deadline for the next piece of a body; a moment where the client hung up, for what it had sent before. */
void watch_receiving(struct conn *c, int64_t deadline_us);

/* linger.c: before the answer to a request whose body will not be read. */
void linger_begin(struct conn *c);
void linger_read(struct watch *w, size_t i);
int64_t linger_look(struct watch *w, int64_t now); /* under watch.lock; when to look again */

enum park_cause { PARK_WOKEN, PARK_DEADLINE, PARK_HUNG_UP };
/* Parks the request, which then belongs to whoever resumes it; or tells why it must be run (or dropped) now. */
bool park_begin(struct req_internal *r, enum park_cause *out_why_not);
/* Under watch.lock: is the caller the one to resume it? Then park_finish follows, without the lock. */
bool park_take(struct req_internal *r, enum park_cause cause);
void park_finish(struct req_internal *r);
/* At the begin of its next run, or instead of it: whoever woke it may have left it in the heap. */
void park_left(struct req_internal *r);
