/*
 * discovery.c - the six steps from a name to a place, and what is remembered of them.
 *
 * Kept for each name: what /.well-known said, for hours or days. A host whose /.well-known fails for the moment keeps
 * the delegation that it had: who trips over a restarted web server would otherwise ask the wrong machine for an hour.
 * Failures are believed for longer with each one.
 *
 * The entry that somebody asks for is marked and stays, as does one that somebody waits at; the lock is never held over
 * a question. Whoever asks and gives up (or has too little time to tell a slow host from none) leaves the question to
 * those who waited: one of them asks next.
 */
#include "federation/discovery.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "federation/well_known.h"
#include "http/client_url.h"
#include "matrix/id.h"

#include <assert.h>

#define FIRST_RETRY_MS INT64_C(120000)
#define MOST_RETRY_MS  INT64_C(3600000) /* "Errors are recommended to be cached for up to an hour" */
enum { MAX_KNOWN = 10000, DEFAULT_PORT = 8448, WELL_KNOWN_TIME_US = 10 * 1000000, FAIR_TIME_US = 3 * 1000000 };

/* What is known of a host's /.well-known. */
struct knowledge {
	str delegated;           /* STR_NONE: none */
	int64_t asked_until;     /* then it is asked again */
	int64_t delegated_until; /* a delegation does not outlive this, whatever fails */
	unsigned failures;       /* since the last good answer */
};
struct entry {
	struct list node; /* by last use */
	str name;
	bool busy;              /* somebody is asking */
	struct list waiting;    /* searches */
	struct knowledge known; /* owns `delegated` */
};
struct discovery {
	struct discovery_options opt;
	struct lock lock;
	struct cond left; /* some waiting list was emptied */
	struct map known;
	struct list by_use; /* the newest last */
};

struct discovery *discovery_new(const struct discovery_options *opt)
{
	struct discovery *d = MEM_NEW(struct discovery);

	d->opt = *opt;
	d->opt.max_known = opt->max_known ? opt->max_known : MAX_KNOWN;
	d->opt.now = opt->now ? opt->now : clock_ms;
	lock_init(&d->lock, RANK_SERVICE);
	cond_init(&d->left);
	map_init(&d->known, NULL);
	list_init(&d->by_use);
	return d;
}

static void entry_free(struct discovery *d, struct entry *e)
{
	map_del(&d->known, e->name);
	list_del(&e->node);
	mem_free((void *)e->known.delegated.p);
	mem_free((void *)e->name.p);
	mem_free(e);
}

void discovery_free(struct discovery **d)
{
	if (!*d)
		return;
	while (!list_is_empty(&(*d)->by_use))
		entry_free(*d, LIST_ITEM((*d)->by_use.next, struct entry, node));
	map_done(&(*d)->known);
	cond_done(&(*d)->left);
	lock_done(&(*d)->lock);
	mem_free(*d);
	*d = NULL;
}

/*
 * What is remembered
 */
static void make_room(struct discovery *d)
{
	for (struct list *n = d->by_use.next, *next; n != &d->by_use && d->known.n >= d->opt.max_known; n = next) {
		struct entry *e = LIST_ITEM(n, struct entry, node);

		next = n->next;
		if (!e->busy && list_is_empty(&e->waiting))
			entry_free(d, e);
	}
}

static struct entry *entry_of(struct discovery *d, str name)
{
	struct entry *e = map_get(&d->known, name);

	if (e) {
		list_del(&e->node);
	} else {
		make_room(d);
		e = MEM_NEW(struct entry);
		e->name = str_keep(name);
		list_init(&e->waiting);
		map_put(&d->known, e->name, e);
	}
	list_add_tail(&d->by_use, &e->node);
	return e;
}

/*
 * /.well-known
 */
static void learn(struct knowledge *k, const struct well_known *w, int64_t now)
{
	k->failures = w->found ? 0 : k->failures + 1;
	if (w->found) {
		k->delegated = w->delegated;
		k->asked_until = now + w->for_ms;
		k->delegated_until = now + WELL_KNOWN_MOST_MS;
		return;
	}
	if (!w->passing || now >= k->delegated_until)
		k->delegated = STR_NONE;
	k->asked_until = now + MIN(FIRST_RETRY_MS << MIN(k->failures - 1, 8), MOST_RETRY_MS);
}

/* Under the lock: those who waited look again. */
static void let_go(struct discovery *d, struct entry *e)
{
	e->busy = false;
	LIST_EACH_SAFE (&e->waiting, it) {
		struct discovery_search *s = LIST_ITEM(it, struct discovery_search, node);

		list_del(&s->node);
		if (s->ready)
			s->ready(s->ctx);
	}
	cond_broadcast(&d->left);
}

/* "a regular HTTPS request": who can change what passes on the way must not name another server by a redirect. */
static bool is_safe(void *discovery, const struct client_url *url)
{
	const struct discovery *d = discovery;

	return url->tls || d->opt.plain_port;
}

static const struct client_tls *tls_of(void *discovery, str host)
{
	const struct discovery *d = discovery;

	return tls_rules_for(d->opt.tls, host);
}

static void prepare(struct discovery *d, struct discovery_search *s)
{
	const struct discovery_options *opt = &d->opt;
	const uint16_t port = opt->plain_port ? opt->plain_port : opt->tls_port;

	s->call = (struct client_call){
		.url = arena_join3(s->arena, opt->plain_port ? S("http://") : S("https://"), s->host,
				   S("/.well-known/matrix/server")),
		.nets = opt->nets,
		.tls = tls_rules_for(opt->tls, s->host),
		.connect_host = port ? s->host : STR_NONE,
		.connect_port = port,
		.max_redirects = WELL_KNOWN_REDIRECTS,
		.may_follow = is_safe,
		.tls_of = tls_of,
		.follow_ctx = d,
		.max_bytes = WELL_KNOWN_MAX_BYTES,
	};
	s->asked_us = clock_mono_us();
	/* Many a server's host says nothing there (nobody listens, a firewall drops it): that leaves time to ask the
	 * server itself. */
	s->call_deadline_us = s->asked_us + MIN((s->deadline_us - s->asked_us) / 2, (int64_t)WELL_KNOWN_TIME_US);
}

/* In a: what is known, if it is to be believed still. Else the entry is marked as ours, or we wait at it. */
static enum discovery_step look_up(struct discovery *d, struct discovery_search *s, str *out_delegated)
{
	LOCKED(&d->lock);
	struct entry *e = entry_of(d, s->host);

	s->entry = e;
	if (e->busy) {
		list_add_tail(&e->waiting, &s->node);
		return DISCOVERY_WAIT;
	}
	if (d->opt.now() >= e->known.asked_until) {
		e->busy = s->asks = true;
		return DISCOVERY_ASK;
	}
	*out_delegated = arena_keep(s->arena, e->known.delegated);
	return DISCOVERY_FOUND;
}

static void keep(struct entry *e, const struct knowledge *k)
{
	const str before = e->known.delegated;

	e->known = *k;
	e->known.delegated = str_keep(k->delegated);
	mem_free((void *)before.p);
}

/* What the call said, for all. */
static str take_answer(struct discovery *d, struct discovery_search *s)
{
	const int64_t now = d->opt.now();
	struct well_known w;
	struct knowledge k;

	well_known_read(s->arena, &s->call, now, &w);
	LOCKED(&d->lock);
	k = s->entry->known;
	learn(&k, &w, now);
	k.delegated = arena_keep(s->arena, k.delegated);
	keep(s->entry, &k);
	let_go(d, s->entry);
	return k.delegated;
}

/*
 * The steps
 */
static bool is_literal(str host) { return str_starts(host, S("[")) || id_is_ipv4(host); }

/* Where a name leads that is not delegated, or to which another one was. Steps 1 and 2, which are 3.1 and 3.2, too:
 * a literal or a port is taken as it is. Else SRV records are asked for first, and "the target server must present a
 * valid certificate for <hostname>", whatever they say. */
static void go_to(const struct discovery *d, struct arena *a, str name, str host, int port, struct server_place *out)
{
	const bool bracketed = str_starts(host, S("["));

	*out = (struct server_place){
		.authority = name,
		.connect_host = bracketed ? (str){ host.p + 1, host.n - 2 } : host,
		.connect_port = port >= 0 ? (uint16_t)port : DEFAULT_PORT,
		.tls = tls_rules_for(d->opt.tls, bracketed ? (str){ host.p + 1, host.n - 2 } : host),
	};
	if (is_literal(host) || port >= 0)
		return;
	out->srv[0] = arena_join2(a, S("_matrix-fed._tcp."), host);
	out->srv[1] = arena_join2(a, S("_matrix._tcp."), host);
	out->n_srv = 2;
}

/* One step only: "parsed as <delegated_hostname>[:<delegated_port>]", which is not delegated again. */
static void go_on(const struct discovery *d, struct discovery_search *s, str delegated)
{
	str host;
	int port;

	s->entry = NULL;
	if (id_server_name_split(delegated, &host, &port))
		go_to(d, s->arena, delegated, host, port, &s->place);
	else
		go_to(d, s->arena, s->name, s->host, -1, &s->place);
}

err *discovery_look(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
		    struct discovery_search *s, enum discovery_step *out)
{
	str delegated;
	int port;

	s->entry = NULL;
	s->asks = false;
	list_init(&s->node);
	s->arena = a;
	s->deadline_us = deadline_us;
	s->name = arena_keep(a, server_name);
	if (!id_server_name_split(s->name, &s->host, &port) || port > UINT16_MAX)
		return err_new(a, ERR_INVALID_PARAM, "this is no server's name");
	*out = DISCOVERY_FOUND;
	if (is_literal(s->host) || port >= 0) {
		go_to(d, a, s->name, s->host, port, &s->place);
		return NULL;
	}
	*out = look_up(d, s, &delegated);
	if (*out == DISCOVERY_FOUND)
		go_on(d, s, delegated);
	if (*out == DISCOVERY_ASK)
		prepare(d, s);
	return NULL;
}

void discovery_leave(struct discovery *d, struct discovery_search *s)
{
	LOCKED(&d->lock);

	if (s->entry && s->asks)
		let_go(d, s->entry);
	list_del(&s->node);
	s->entry = NULL;
	s->asks = false;
}

/* Is it our haste alone that the host has not answered? Then nothing was learned. */
static bool was_cut(const struct discovery_search *s)
{
	const err *e = s->call.error;

	return e && (e->detail == CLIENT_STOPPED || e->detail == CLIENT_BUSY ||
		     (e->detail == CLIENT_TIMEOUT && s->call_deadline_us - s->asked_us < FAIR_TIME_US));
}

err *discovery_asked(struct discovery *d, struct discovery_search *s)
{
	assert(s->entry && s->asks);
	if (was_cut(s)) {
		discovery_leave(d, s);
		return err_new(s->arena, s->call.error->code, "finding the server %.*s: %.*s", STR_ARG(s->name),
			       STR_ARG(s->call.error->msg));
	}
	s->asks = false;
	go_on(d, s, take_answer(d, s));
	return NULL;
}

/* False: not by then. */
static bool wait_for_others(struct discovery *d, struct discovery_search *s)
{
	LOCKED(&d->lock);
	bool in_time = true;

	while (!list_is_empty(&s->node) && in_time)
		in_time = cond_wait_until(&d->left, &d->lock, MAX(s->deadline_us, 0));
	in_time = list_is_empty(&s->node);
	list_del(&s->node);
	return in_time;
}

err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
		    struct server_place *out)
{
	struct discovery_search s = { 0 };
	enum discovery_step step;

	TRY(discovery_look(d, a, server_name, deadline_us, &s, &step));
	while (step == DISCOVERY_WAIT) {
		if (!wait_for_others(d, &s))
			return err_new(a, ERR_CONNECTION_TIMEOUT, "finding the server %.*s takes too long",
				       STR_ARG(s.name));
		TRY(discovery_look(d, a, server_name, deadline_us, &s, &step));
	}
	if (step == DISCOVERY_ASK) {
		client_all(d->opt.client, a, &s.call, 1, s.call_deadline_us);
		TRY(discovery_asked(d, &s));
	}
	*out = s.place;
	return NULL;
}
