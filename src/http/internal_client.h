/*
 * internal_client.h - inside the client: hops, loops, lookups. http/ alone.
 *
 * A call is one hop, or with redirects several. The calling thread makes hops, looks at what became of them and makes
 * the next; a loop's thread does all that waits for the network. A hop belongs to its caller's batch, which frees it
 * once the loop said that it is done; the loop always says so, by the hop's deadline at the latest.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "http/client.h"
#include "http/client_url.h"
#include "http/limits.h"

#include <ares.h>
#include <curl/curl.h>

/* Hops that one thread waits for. */
struct client_group {
	struct lock lock; /* and of what hops say to their caller */
	struct cond cond;
	struct list ready;
	bool woken;
};

struct client_host { /* of one loop: while it has hops */
	str key;
	unsigned running, waiting;
	struct list queue;
	struct list node; /* in client_loop.eligible, while one more of it may start */
};

struct srv_target { /* of an SRV record */
	str host;   /* without the last dot; "": "the service is decidedly not available at this domain" */
	uint16_t port, priority, weight;
};

enum client_hop_state { HOP_NEW, HOP_WAITING, HOP_RESOLVING, HOP_RUNNING, HOP_OVER };
struct client_hop {
	/* the caller's, unchanged while the loop has it */
	struct client_call *call;
	struct arena *arena;  /* the call's */
	struct list of_batch; /* client_batch.hops */
	struct client_group *group;
	struct client_loop *loop;
	struct client_url url;
	str connect_host;
	uint16_t connect_port;
	const str *srv; /* names of SRV records */
	size_t n_srv;
	bool same_origin; /* as the call's own URL */
	struct client_tls tls;
	bool may_redirect;
	int64_t deadline_us;

	/* the loop's */
	enum client_hop_state state;
	struct list node;   /* in the inbox, the host's queue, a lookup, client_loop.running */
	struct list by_age; /* in client_loop.early, until it runs */
	int64_t queued_us, expires_us;
	struct client_host *host;
	struct srv_target target[CLIENT_MAX_TARGETS];
	size_t next_srv, n_targets, next_target;
	struct arena *names; /* holds the targets' */
	struct ip address[CLIENT_MAX_ADDRESSES];
	uint16_t port[CLIENT_MAX_ADDRESSES];
	size_t n_addresses, next_address;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	char curl_text[CURL_ERROR_SIZE];
	size_t head_bytes, body_bytes;
	bool has_body, is_enough; /* stopped reading on purpose */
	enum client_failure failure;
	char why[256];

	/* under loop->lock */
	struct list nudge; /* in client_loop.nudged */
	bool over, wants_cancel, wants_resume;

	/* written by the loop; the caller reads the head when it has bytes, the rest when it is done */
	int status;
	struct buf head; /* "name\0value\0" ... of the newest answer */
	size_t n_head;
	struct buf body;

	/* under group->lock */
	struct list ready;
	struct buf pending; /* for `take` */
	bool paused, done;
};

struct client_loop {
	struct client *cl;
	struct thread *thread;
	struct lock lock;
	struct list inbox, nudged; /* under lock, as is: */
	bool stop;
	/* the thread's own */
	CURLM *multi;
	struct client_dns *dns;
	struct map hosts;
	struct list eligible, early, running;
	int64_t next_expiry_us; /* no hop of `early` expires before it */
	unsigned n_running, n_waiting;
};

struct client {
	const struct log *log;
	struct client_options opt; /* its zeros filled in */
	const char *user_agent, *ca_file, *dns_servers;
	struct client_loop *loops;
};

/* client_batch.c: at start */
void client_count_outcomes(void);

/* client_loop.c */
void client_loop_start(struct client_loop *l, struct client *cl);
void client_loop_stop(struct client_loop *l); /* everything under way fails; returns at once */
void client_loop_done(struct client_loop *l);
void client_submit(struct client_loop *l, struct client_hop *h);
void client_nudge(struct client_hop *h, bool cancel); /* cancel it, or go on reading */
/* On the loop's thread: it is over, with what hop_fail set before, or well. */
void client_hop_over(struct client_hop *h);
void client_hop_resolved(struct client_hop *h); /* with addresses, or without */

/* client_transfer.c: a hop in libcurl's hands */
void hop_fail(struct client_hop *h, enum client_failure f, const char *fmt, ...) PRINTF(3, 4);
/* Begins with the next address that may be tried; false: it failed. */
bool hop_connect(struct client_hop *h);
/* libcurl is done with it. True: it goes on with the next address. */
bool hop_finished(struct client_hop *h, CURLcode rc);
void hop_release(struct client_hop *h);

/* client_answer.c: what comes back */
size_t hop_take_header(char *p, size_t size, size_t n, void *hop);
size_t hop_take_body(char *p, size_t size, size_t n, void *hop);
str hop_header(const struct client_hop *h, str name);
bool hop_is_redirect(const struct client_hop *h);

/* client_srv.c: SRV records, RFC 2782 */
/* Of an answer of the DNS. False: it is none. */
bool srv_read(struct arena *a, const unsigned char *answer, size_t n, struct srv_target out[CLIENT_MAX_TARGETS],
	      size_t *out_n);
/* Into the order in which they are to be tried. `chance` gives a number below its argument. */
void srv_order(struct srv_target *t, size_t n, uint64_t (*chance)(uint64_t below));

/* client_dns.c: names to addresses, on a loop's thread */
struct client_dns *client_dns_new(struct client_loop *l);
void client_dns_free(struct client_dns **d); /* no hop may be waiting any more */
/* Calls client_hop_resolved, now or later; hop_forget_lookup before it: never. */
void client_dns_ask(struct client_dns *d, struct client_hop *h);
/* What to wait for, and for how long at most; what to do afterwards. */
size_t client_dns_fds(struct client_dns *d, struct curl_waitfd *out, size_t max, int *timeout_ms);
void client_dns_work(struct client_dns *d, const struct curl_waitfd *fds, size_t n);
