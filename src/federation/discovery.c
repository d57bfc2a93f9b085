/*
 * discovery.c - the six steps from a name to a place, and what is remembered of them.
 *
 * Kept for each name: what /.well-known said, for hours or days. A host whose /.well-known fails for the moment keeps
 * the delegation that it had: who trips over a restarted web server would otherwise ask the wrong machine for an hour.
 * Failures are believed for longer with each one.
 *
 * The entry that somebody works at is marked and stays; the lock is never held over a question.
 */
#include "federation/discovery.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "federation/well_known.h"
#include "matrix/id.h"

#define FIRST_RETRY_MS INT64_C(120000)
#define MOST_RETRY_MS  INT64_C(3600000) /* "Errors are recommended to be cached for up to an hour" */
enum { MAX_KNOWN = 10000, DEFAULT_PORT = 8448, WELL_KNOWN_TIME_US = 10 * 1000000 };

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
	bool busy;              /* somebody is finding out */
	unsigned waiting;       /* for them */
	struct knowledge known; /* owns `delegated` */
};
struct discovery {
	struct discovery_options opt;
	struct lock lock;
	struct cond found;
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
	cond_init(&d->found);
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
	cond_done(&(*d)->found);
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
		if (!e->busy && e->waiting == 0)
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

static void ask(const struct discovery_options *opt, struct arena *a, str host, int64_t deadline_us,
		struct knowledge *k)
{
	struct client_call call = {
		.url = arena_join3(a, opt->plain_port ? S("http://") : S("https://"), host,
				   S("/.well-known/matrix/server")),
		.nets = opt->nets,
		.connect_host = opt->plain_port ? host : STR_NONE,
		.connect_port = opt->plain_port,
		.max_redirects = WELL_KNOWN_REDIRECTS,
		.max_bytes = WELL_KNOWN_MAX_BYTES,
	};
	const int64_t now = opt->now();
	struct well_known w;

	client_all(opt->client, a, &call, 1, MIN(deadline_us, clock_mono_us() + WELL_KNOWN_TIME_US));
	well_known_read(a, &call, now, &w);
	learn(k, &w, now);
}

/* In a: what is known, if it is to be believed still; else the entry is marked as ours. */
static err *known_or_ours(struct discovery *d, struct arena *a, struct entry *e, int64_t deadline_us, bool *out_ours,
			  struct knowledge *out)
{
	bool in_time = true;

	e->waiting++;
	while (e->busy && in_time)
		in_time = cond_wait_until(&d->found, &d->lock, deadline_us);
	e->waiting--;
	if (e->busy)
		return err_new(a, ERR_CONNECTION_TIMEOUT, "finding the server %.*s takes too long", STR_ARG(e->name));
	*out = e->known;
	out->delegated = str_is_none(e->known.delegated) ? STR_NONE : arena_keep(a, e->known.delegated);
	e->busy = *out_ours = d->opt.now() >= e->known.asked_until;
	return NULL;
}

static void keep(struct entry *e, const struct knowledge *k)
{
	mem_free((void *)e->known.delegated.p);
	e->known = *k;
	e->known.delegated = str_is_none(k->delegated) ? STR_NONE : str_keep(k->delegated);
	e->busy = false;
}

static err *find_delegated(struct discovery *d, struct arena *a, str host, int64_t deadline_us, str *out)
{
	struct knowledge k;
	struct entry *entry;
	bool ours;
	err *e;

	lock_take(&d->lock);
	entry = entry_of(d, host);
	e = known_or_ours(d, a, entry, deadline_us, &ours, &k);
	lock_drop(&d->lock);
	if (!e && ours) {
		ask(&d->opt, a, host, deadline_us, &k);
		lock_take(&d->lock);
		keep(entry, &k);
		cond_broadcast(&d->found);
		lock_drop(&d->lock);
	}
	if (!e)
		*out = k.delegated;
	return e;
}

/*
 * The steps
 */
static bool is_literal(str host) { return str_starts(host, S("[")) || id_is_ipv4(host); }

/* Where a name leads that is not delegated, or to which another one was. Steps 1 and 2, which are 3.1 and 3.2, too:
 * a literal or a port is taken as it is. Else SRV records are asked for first, and "the target server must present a
 * valid certificate for <hostname>", whatever they say. */
static void go_to(struct arena *a, str name, str host, int port, struct server_place *out)
{
	const bool bracketed = str_starts(host, S("["));

	*out = (struct server_place){
		.authority = name,
		.connect_host = bracketed ? (str){ host.p + 1, host.n - 2 } : host,
		.connect_port = port >= 0 ? (uint16_t)port : DEFAULT_PORT,
	};
	if (is_literal(host) || port >= 0)
		return;
	out->srv[0] = arena_join2(a, S("_matrix-fed._tcp."), host);
	out->srv[1] = arena_join2(a, S("_matrix._tcp."), host);
	out->n_srv = 2;
}

err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
		    struct server_place *out)
{
	str name = arena_keep(a, server_name), host, delegated;
	int port;

	if (!id_server_name_split(name, &host, &port) || port > UINT16_MAX)
		return err_new(a, ERR_INVALID_PARAM, "this is no server's name");
	if (!is_literal(host) && port < 0) {
		TRY(find_delegated(d, a, host, deadline_us, &delegated));
		/* One step only: "parsed as <delegated_hostname>[:<delegated_port>]", which is not delegated again. */
		if (id_server_name_split(delegated, &host, &port))
			name = delegated;
	}
	go_to(a, name, host, port, out);
	return NULL;
}
