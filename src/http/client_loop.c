/*
 * client_loop.c - the thread that does all the waiting: whose turn it is, who waited too long, what ended.
 *
 * A hop waits in its host's queue until both the host and the loop have room, hosts taking turns; then its host's name
 * is looked up, then libcurl has it. `early` holds those that libcurl does not have yet, whose time therefore is ours
 * to keep: when one of them expires is known as a lower bound only, so that it is looked for rarely.
 *
 * The thread sleeps in curl_multi_poll, for sockets of libcurl's and of the resolver's, and is woken by who submits,
 * nudges or stops. A hop that is over is told to its caller as the last thing done with it.
 */
#include "http/internal_client.h"

#include "base/clock.h"

#include <assert.h>

void client_submit(struct client_loop *l, struct client_hop *h)
{
	bool stopped;

	h->loop = l;
	lock_take(&l->lock);
	stopped = l->stop;
	if (!stopped)
		list_add_tail(&l->inbox, &h->node);
	lock_drop(&l->lock);
	if (stopped) {
		hop_fail(h, CLIENT_STOPPED, "the server stops");
		client_hop_over(h);
	} else {
		curl_multi_wakeup(l->multi);
	}
}

void client_nudge(struct client_hop *h, bool cancel)
{
	struct client_loop *l = h->loop;
	LOCKED(&l->lock);

	if (h->over)
		return;
	h->wants_cancel |= cancel;
	h->wants_resume |= !cancel;
	list_del(&h->nudge);
	list_add_tail(&l->nudged, &h->nudge);
	curl_multi_wakeup(l->multi);
}

/* ---- hosts and turns ---- */

static struct client_host *host_of(struct client_loop *l, const struct client_hop *h)
{
	AUTO_ARENA a = arena_new();
	const str key = arena_printf(a, "%.*s %u", STR_ARG(h->connect_host), h->connect_port);
	struct client_host *host = map_get(&l->hosts, key);

	if (!host) {
		host = MEM_NEW(struct client_host);
		host->key = str_keep(key);
		list_init(&host->queue);
		list_init(&host->node);
		map_put(&l->hosts, host->key, host);
	}
	return host;
}

static void host_changed(struct client_loop *l, struct client_host *host)
{
	const bool eligible = host->waiting > 0 && host->running < l->cl->opt.max_per_host;

	if (eligible && list_is_empty(&host->node))
		list_add_tail(&l->eligible, &host->node);
	if (!eligible)
		list_del(&host->node);
	if (host->running + host->waiting > 0)
		return;
	map_del(&l->hosts, host->key);
	mem_free((void *)host->key.p);
	mem_free(host);
}

/* ---- the end of a hop ---- */

/* Takes it from wherever it stands. */
static void leave(struct client_hop *h)
{
	struct client_loop *l = h->loop;
	struct client_host *host = h->host;

	list_del(&h->node);
	list_del(&h->by_age);
	if (h->state == HOP_WAITING) {
		host->waiting--;
		l->n_waiting--;
	} else if (h->state == HOP_RESOLVING || h->state == HOP_RUNNING) {
		host->running--;
		l->n_running--;
	}
	if (h->state == HOP_RUNNING)
		curl_multi_remove_handle(l->multi, h->easy);
	h->state = HOP_OVER;
	h->host = NULL;
	if (host)
		host_changed(l, host);
	hop_release(h);
}

void client_hop_over(struct client_hop *h)
{
	struct client_group *g = h->group;

	leave(h);
	lock_take(&h->loop->lock);
	h->over = true;
	list_del(&h->nudge);
	lock_drop(&h->loop->lock);
	lock_take(&g->lock);
	h->done = true;
	list_del(&h->ready);
	list_add_tail(&g->ready, &h->ready);
	cond_signal(&g->cond);
	lock_drop(&g->lock); /* from here on the hop is its caller's */
}

/* ---- the way of a hop ---- */

void client_hop_resolved(struct client_hop *h)
{
	assert(h->state == HOP_RESOLVING);
	list_del(&h->node);
	if (!hop_connect(h)) {
		client_hop_over(h);
		return;
	}
	h->state = HOP_RUNNING;
	list_del(&h->by_age);
	list_add_tail(&h->loop->running, &h->node);
	curl_multi_add_handle(h->loop->multi, h->easy);
}

/* Whom nobody asked did not keep us waiting. libcurl counts in milliseconds. */
static bool time_went_by_waiting(const struct client_hop *h)
{
	return h->deadline_us > h->queued_us && h->deadline_us - clock_mono_us() < 1000;
}

static void start(struct client_loop *l, struct client_host *host)
{
	struct client_hop *h = LIST_ITEM(list_pop(&host->queue), struct client_hop, node);

	host->waiting--;
	l->n_waiting--;
	host->running++;
	l->n_running++;
	list_del(&host->node); /* to the end of those who take turns */
	host_changed(l, host);
	h->state = HOP_RESOLVING;
	h->expires_us = h->deadline_us;
	if (time_went_by_waiting(h)) {
		hop_fail(h, CLIENT_BUSY, "it waited too long for its turn");
		client_hop_over(h);
	} else {
		client_dns_ask(l->dns, h);
	}
}

static void start_some(struct client_loop *l)
{
	while (!list_is_empty(&l->eligible) && l->n_running < MAX(l->cl->opt.max_running / l->cl->opt.loops, 1))
		start(l, LIST_ITEM(l->eligible.next, struct client_host, node));
}

static void enqueue(struct client_loop *l, struct client_hop *h, struct client_host *host, int64_t now)
{
	h->host = host;
	h->state = HOP_WAITING;
	h->queued_us = now;
	h->expires_us = MIN(h->deadline_us, now + (int64_t)l->cl->opt.queue_ms * 1000);
	l->next_expiry_us = MIN(l->next_expiry_us, h->expires_us);
	list_add_tail(&h->host->queue, &h->node);
	list_add_tail(&l->early, &h->by_age);
	h->host->waiting++;
	l->n_waiting++;
	host_changed(l, h->host);
}

static struct client_hop *next_submitted(struct client_loop *l)
{
	LOCKED(&l->lock);
	struct list *node = list_pop(&l->inbox);

	return node ? LIST_ITEM(node, struct client_hop, node) : NULL;
}

static void refuse(struct client_hop *h, const char *why)
{
	hop_fail(h, CLIENT_BUSY, "%s", why);
	client_hop_over(h);
}

/* One that answers slowly, or never, does not take the places of all others. */
static void take_inbox(struct client_loop *l, int64_t now)
{
	const unsigned most = MAX(l->cl->opt.max_waiting / l->cl->opt.loops, 1);
	const unsigned most_per_host = MAX(most / CLIENT_WAITING_SHARE, 1);
	struct client_hop *h;

	while ((h = next_submitted(l))) {
		struct client_host *host = l->n_waiting < most ? host_of(l, h) : NULL;

		if (!host) {
			refuse(h, "too many requests wait for their turn");
		} else if (host->waiting >= most_per_host) {
			refuse(h, "too many requests to this host wait for their turn");
		} else {
			enqueue(l, h, host, now);
			start_some(l); /* it may be over already */
		}
	}
}

/* The caller of a hop that is not over waits for it: it is there. One that is to be cancelled may not have been taken
 * from the inbox yet. */
static struct client_hop *next_nudged(struct client_loop *l, bool *out_cancel)
{
	LOCKED(&l->lock);
	struct list *node = list_pop(&l->nudged);
	struct client_hop *h = node ? LIST_ITEM(node, struct client_hop, nudge) : NULL;

	if (!h)
		return NULL;
	*out_cancel = h->wants_cancel;
	if (h->wants_cancel && h->state == HOP_NEW)
		list_del(&h->node);
	return h;
}

static void take_nudges(struct client_loop *l)
{
	struct client_hop *h;
	bool cancel;

	while ((h = next_nudged(l, &cancel))) {
		if (cancel) {
			hop_fail(h, CLIENT_NOT_TAKEN, "not taken");
			client_hop_over(h);
		} else if (h->state == HOP_RUNNING) {
			curl_easy_pause(h->easy, CURLPAUSE_CONT);
		}
	}
}

static void take_results(struct client_loop *l)
{
	const struct CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left))) {
		const CURLcode rc = m->data.result;
		struct client_hop *h;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &h);
		if (!hop_finished(h, rc)) {
			client_hop_over(h);
			continue;
		}
		curl_multi_remove_handle(l->multi, h->easy);
		curl_multi_add_handle(l->multi, h->easy);
	}
}

static void expire(struct client_loop *l, int64_t now)
{
	int64_t next = INT64_MAX;

	if (now < l->next_expiry_us)
		return;
	LIST_EACH_SAFE (&l->early, it) {
		struct client_hop *h = LIST_ITEM(it, struct client_hop, by_age);

		if (h->expires_us > now) {
			next = MIN(next, h->expires_us);
			continue;
		}
		if (h->state == HOP_WAITING)
			hop_fail(h, CLIENT_BUSY, "it waited too long for its turn");
		else
			hop_fail(h, CLIENT_TIMEOUT, "it took too long");
		client_hop_over(h);
	}
	l->next_expiry_us = next;
}

/* ---- the thread ---- */

static void fail(struct client_hop *h)
{
	hop_fail(h, CLIENT_STOPPED, "the server stops");
	client_hop_over(h);
}

static void fail_all(struct client_loop *l)
{
	struct client_hop *h;

	while ((h = next_submitted(l)))
		fail(h);
	while (!list_is_empty(&l->early))
		fail(LIST_ITEM(l->early.next, struct client_hop, by_age));
	while (!list_is_empty(&l->running))
		fail(LIST_ITEM(l->running.next, struct client_hop, node));
}

static bool stopping(struct client_loop *l)
{
	LOCKED(&l->lock);

	return l->stop;
}

static void sleep_until_something(struct client_loop *l)
{
	struct curl_waitfd fds[ARES_GETSOCK_MAXNUM];
	const int64_t left_ms = (l->next_expiry_us - clock_mono_us()) / 1000 + 1;
	int timeout_ms = l->next_expiry_us == INT64_MAX ? 3600 * 1000 : (int)MIN(MAX(left_ms, 0), 3600 * 1000);
	const size_t n = client_dns_fds(l->dns, fds, ARRAY_LEN(fds), &timeout_ms);

	curl_multi_poll(l->multi, fds, (unsigned)n, timeout_ms, NULL);
	client_dns_work(l->dns, fds, n);
}

static void run(void *loop)
{
	struct client_loop *l = loop;
	int running;

	while (!stopping(l)) {
		take_inbox(l, clock_mono_us());
		take_nudges(l);
		curl_multi_perform(l->multi, &running);
		take_results(l);
		expire(l, clock_mono_us());
		start_some(l);
		sleep_until_something(l);
	}
	fail_all(l);
}

void client_loop_start(struct client_loop *l, struct client *cl)
{
	*l = (struct client_loop){ .cl = cl, .next_expiry_us = INT64_MAX };
	lock_init(&l->lock, RANK_HTTP);
	list_init(&l->inbox);
	list_init(&l->nudged);
	list_init(&l->eligible);
	list_init(&l->early);
	list_init(&l->running);
	map_init(&l->hosts, NULL);
	l->multi = curl_multi_init();
	assert(l->multi);
	curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)MAX(cl->opt.max_idle / cl->opt.loops, 1));
	curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	l->dns = client_dns_new(l);
	l->thread = thread_start("client", run, l);
}

void client_loop_stop(struct client_loop *l)
{
	lock_take(&l->lock);
	l->stop = true;
	lock_drop(&l->lock);
	curl_multi_wakeup(l->multi);
}

void client_loop_done(struct client_loop *l)
{
	client_loop_stop(l);
	thread_join(&l->thread);
	client_dns_free(&l->dns);
	curl_multi_cleanup(l->multi);
	map_done(&l->hosts);
	lock_done(&l->lock);
}
