/*
 * discovery.c - the six steps from a name to places, and what is remembered of them.
 *
 * Kept for each name: what /.well-known said (for hours or days), and the places that follow from it (for minutes, as
 * long as SRV records are believed here). A host whose /.well-known fails for the moment keeps the delegation that it
 * had: who trips over a restarted web server would otherwise ask the wrong machine for an hour. Failures are believed
 * for longer with each one.
 *
 * The entry that somebody works at is marked and stays; the lock is never held over a question.
 */
#include "federation/discovery.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "federation/srv.h"
#include "federation/well_known.h"
#include "matrix/id.h"

#include <assert.h>

#define PLACES_MS      INT64_C(300000)
#define FIRST_RETRY_MS INT64_C(120000)
#define MOST_RETRY_MS  INT64_C(3600000) /* "Errors are recommended to be cached for up to an hour" */
enum { MAX_KNOWN = 10000, DEFAULT_PORT = 8448, WELL_KNOWN_TIME_US = 10 * 1000000 };

struct entry {
	struct list node; /* by last use */
	str name;
	bool busy;                                /* somebody is finding out */
	unsigned waiting;                         /* for them */
	str delegated;                            /* STR_NONE: none */
	int64_t well_known_until, believed_until; /* asked again from the first on; forgotten at the second */
	unsigned failures;
	struct arena *mem; /* of the places */
	struct server_places places;
	int64_t places_until;
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
	if (e->mem)
		arena_free(&e->mem);
	mem_free((void *)e->delegated.p);
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

static void copy_places(struct arena *a, const struct server_places *from, struct server_places *out)
{
	*out = *from;
	for (size_t i = 0; i < from->n; i++) {
		out->p[i].authority = arena_keep(a, from->p[i].authority);
		out->p[i].connect_host = arena_keep(a, from->p[i].connect_host);
	}
}

/*
 * The steps. What one of them gathers lives in the arena of who asks.
 */
struct search {
	struct discovery *d;
	struct arena *a;
	int64_t deadline_us, now;
	str host; /* of the name that was asked for */
	/* what is known of its /.well-known, and then what was learned */
	str delegated;
	int64_t well_known_until, believed_until;
	unsigned failures;
	struct server_places out;
};

static str without_brackets(str host) { return str_starts(host, S("[")) ? (str){ host.p + 1, host.n - 2 } : host; }

static bool is_literal(str host) { return str_starts(host, S("[")) || id_is_ipv4(host); }

static void add_place(struct search *s, str authority, str host, int port)
{
	if (s->out.n < PLACES_MAX)
		s->out.p[s->out.n++] = (struct server_place){ authority, without_brackets(host), (uint16_t)port };
}

/* "3.3 an SRV record is looked up for _matrix-fed._tcp.<delegated_hostname> [...] 3.4 [Deprecated] _matrix._tcp
 * [...] 3.5 If no SRV record is found, an IP address is resolved [...] and a port of 8448": and 4, 5 and 6, the same
 * for the name itself. "The target server must present a valid certificate for <hostname>." */
static err *by_srv(struct search *s, str host)
{
	static const str services[] = { STR("_matrix-fed._tcp."), STR("_matrix._tcp.") };
	struct srv_target targets[SRV_MAX];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(services) && n == 0; i++)
		TRY(srv_look_up(s->a, s->d->opt.dns_servers, arena_join2(s->a, services[i], host), s->deadline_us,
				targets, &n));
	for (size_t i = 0; i < n; i++)
		add_place(s, host, targets[i].host, targets[i].port);
	if (n == 0)
		add_place(s, host, host, DEFAULT_PORT);
	return NULL;
}

/* Steps 1 and 2, and 3.1 and 3.2, which say the same of the delegated name; then SRV. */
static err *by_name(struct search *s, str name, str host, int port)
{
	if (is_literal(host) || port >= 0)
		add_place(s, name, host, port >= 0 ? port : DEFAULT_PORT);
	else
		return by_srv(s, host);
	return NULL;
}

static void learn(struct search *s, const struct well_known *w)
{
	s->failures = w->found ? 0 : s->failures + 1;
	if (w->found) {
		s->delegated = w->delegated;
		s->well_known_until = s->now + w->for_ms;
		s->believed_until = s->now + WELL_KNOWN_MOST_MS;
		return;
	}
	if (!w->passing || s->now >= s->believed_until)
		s->delegated = STR_NONE;
	s->well_known_until = s->now + MIN(FIRST_RETRY_MS << MIN(s->failures - 1, 8), MOST_RETRY_MS);
}

static void ask_well_known(struct search *s)
{
	const struct discovery_options *opt = &s->d->opt;
	struct client_call call = {
		.url = arena_join3(s->a, opt->plain_port ? S("http://") : S("https://"), s->host,
				   S("/.well-known/matrix/server")),
		.nets = opt->nets,
		.connect_host = opt->plain_port ? s->host : STR_NONE,
		.connect_port = opt->plain_port,
		.max_redirects = WELL_KNOWN_REDIRECTS,
		.max_bytes = WELL_KNOWN_MAX_BYTES,
	};
	struct well_known w;

	client_all(opt->client, s->a, &call, 1, MIN(s->deadline_us, clock_mono_us() + WELL_KNOWN_TIME_US));
	well_known_read(s->a, &call, s->now, &w);
	learn(s, &w);
}

static err *search(struct search *s, str server_name, int port)
{
	str delegated_host;
	int delegated_port;

	if (is_literal(s->host) || port >= 0)
		return by_name(s, server_name, s->host, port);
	if (s->now >= s->well_known_until)
		ask_well_known(s);
	if (str_is_none(s->delegated))
		return by_srv(s, s->host);
	if (!id_server_name_split(s->delegated, &delegated_host, &delegated_port))
		return err_new(s->a, ERR_INTERNAL, "a delegation that is no server's name was kept");
	return by_name(s, s->delegated, delegated_host, delegated_port);
}

/*
 * Together
 */
static void search_begin(struct search *s, struct entry *e)
{
	e->busy = true;
	s->delegated = str_is_none(e->delegated) ? STR_NONE : arena_keep(s->a, e->delegated);
	s->well_known_until = e->well_known_until;
	s->believed_until = e->believed_until;
	s->failures = e->failures;
}

static void search_end(struct search *s, struct entry *e, bool good)
{
	mem_free((void *)e->delegated.p);
	e->delegated = str_is_none(s->delegated) ? STR_NONE : str_keep(s->delegated);
	e->well_known_until = s->well_known_until;
	e->believed_until = s->believed_until;
	e->failures = s->failures;
	if (good) {
		if (e->mem)
			arena_free(&e->mem);
		e->mem = arena_new();
		copy_places(e->mem, &s->out, &e->places);
		e->places_until = MIN(s->now + PLACES_MS, str_is_none(s->delegated) ? INT64_MAX : s->well_known_until);
	}
	e->busy = false;
	cond_broadcast(&s->d->found);
}

/* With the lock. True: *out is the answer. False: the entry is ours to fill. */
static err *known_or_ours(struct search *s, struct entry *e, bool *out_known, struct server_places *out)
{
	struct discovery *d = s->d;
	bool in_time = true;

	e->waiting++;
	while (e->busy && in_time)
		in_time = cond_wait_until(&d->found, &d->lock, s->deadline_us);
	e->waiting--;
	if (e->busy)
		return err_new(s->a, ERR_CONNECTION_TIMEOUT, "finding the server %.*s takes too long",
			       STR_ARG(e->name));
	*out_known = s->now < e->places_until;
	if (*out_known)
		copy_places(s->a, &e->places, out);
	else
		search_begin(s, e);
	return NULL;
}

err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
		    struct server_places *out)
{
	struct search s = { .d = d, .a = a, .deadline_us = deadline_us, .now = d->opt.now() };
	struct entry *entry;
	bool known;
	int port;
	err *e;

	if (!id_server_name_split(server_name, &s.host, &port) || port > UINT16_MAX)
		return err_new(a, ERR_INVALID_PARAM, "this is no server's name");
	lock_take(&d->lock);
	entry = entry_of(d, server_name);
	e = known_or_ours(&s, entry, &known, out);
	lock_drop(&d->lock);
	if (e || known)
		return e;
	e = search(&s, server_name, port);
	lock_take(&d->lock);
	search_end(&s, entry, !e);
	lock_drop(&d->lock);
	if (!e)
		copy_places(a, &s.out, out);
	return e;
}
