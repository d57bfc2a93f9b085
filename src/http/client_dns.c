/*
 * client_dns.c - names to addresses, without a thread that waits.
 *
 * A hop has its questions answered one after the other: names of SRV records until one has any, then the hosts that
 * they point to, or else its own. Hops that ask for one name at a time share a lookup. A hop that ends earlier just
 * leaves the list; the lookup runs on until c-ares gives up. Answers are not kept: that is the resolver's work, which
 * knows when they expire.
 */
#include "http/internal_client.h"

#include "base/rand.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netinet/in.h>
#include <sys/stat.h>

struct lookup {
	struct client_dns *dns;
	str name;
	bool srv;
	int status; /* of c-ares */
	struct list hops;
	struct ip address[CLIENT_MAX_ADDRESSES];
	struct srv_target target[CLIENT_MAX_TARGETS];
	size_t n;
	struct arena *names; /* of the targets, or NULL */
};
struct client_dns {
	struct client_loop *loop;
	ares_channel channel;  /* NULL: not opened yet */
	struct timespec read;  /* when resolv.conf was written that the channel goes by */
	struct map lookups[2]; /* of hosts; of SRV records */
	size_t asking;         /* of the lookups, those that c-ares works at */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void library_init(void) { ares_library_init(ARES_LIB_INIT_ALL); }

struct client_dns *client_dns_new(struct client_loop *l)
{
	struct client_dns *d = MEM_NEW(struct client_dns);

	pthread_once(&library_once, library_init);
	d->loop = l;
	map_init(&d->lookups[false], NULL);
	map_init(&d->lookups[true], NULL);
	return d;
}

void client_dns_free(struct client_dns **d)
{
	if ((*d)->channel)
		ares_destroy((*d)->channel); /* ends the lookups that are left */
	map_done(&(*d)->lookups[false]);
	map_done(&(*d)->lookups[true]);
	mem_free(*d);
	*d = NULL;
}

/* A machine gets other servers while we run: with nothing under way, changed settings are read again. */
static bool open_channel(struct client_dns *d)
{
	struct ares_options opt = { .timeout = 3000, .tries = 3 };
	struct stat st = { 0 };

	stat("/etc/resolv.conf", &st);
	if (d->channel && d->asking == 0 &&
	    (st.st_mtim.tv_sec != d->read.tv_sec || st.st_mtim.tv_nsec != d->read.tv_nsec)) {
		ares_destroy(d->channel);
		d->channel = NULL;
	}
	if (d->channel)
		return true;
	d->read = st.st_mtim;
	if (ares_init_options(&d->channel, &opt, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
		d->channel = NULL;
	else if (d->loop->cl->dns_servers)
		ares_set_servers_ports_csv(d->channel, d->loop->cl->dns_servers);
	return d->channel != NULL;
}

static bool read_address(const struct sockaddr *sa, struct ip *out)
{
	struct ip ip = { { [10] = 0xff, [11] = 0xff } };

	if (sa->sa_family == AF_INET)
		memcpy(ip.bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa->sa_family == AF_INET6)
		memcpy(ip.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return false;
	*out = ip;
	return true;
}

/* ---- answers ---- */

static void take_addresses(struct client_hop *h, const struct ip *address, size_t n)
{
	const uint16_t port = h->n_targets ? h->target[h->next_target].port : h->connect_port;

	h->next_target++;
	for (size_t i = 0; i < n && h->n_addresses < CLIENT_MAX_ADDRESSES; i++) {
		h->address[h->n_addresses] = address[i];
		h->port[h->n_addresses++] = port;
	}
}

static uint64_t chance(uint64_t below) { return rand_u64() % below; }

static void take_targets(struct client_hop *h, const struct lookup *lu)
{
	if (lu->status != ARES_SUCCESS) {
		/* No answer is not "no such record": whoever takes it for that asks the wrong machine. */
		if (lu->status != ARES_ENOTFOUND && lu->status != ARES_ENODATA)
			hop_fail(h, CLIENT_NO_HOST, "the DNS does not answer: %s", ares_strerror(lu->status));
		return;
	}
	h->names = arena_new();
	for (size_t i = 0; i < lu->n; i++) {
		if (str_is_empty(lu->target[i].host))
			continue;
		h->target[h->n_targets] = lu->target[i];
		h->target[h->n_targets++].host = arena_keep(h->names, lu->target[i].host);
	}
	if (h->n_targets == 0)
		hop_fail(h, CLIENT_NO_HOST, "the service is decidedly not available");
	srv_order(h->target, h->n_targets, chance);
}

static void lookup_over(struct lookup *lu)
{
	struct list *node;

	map_del(&lu->dns->lookups[lu->srv], lu->name);
	while ((node = list_pop(&lu->hops))) {
		struct client_hop *h = LIST_ITEM(node, struct client_hop, node);

		if (lu->srv)
			take_targets(h, lu);
		else
			take_addresses(h, lu->address, lu->n);
		client_dns_ask(lu->dns, h);
	}
	if (lu->names)
		arena_free(&lu->names);
	mem_free((void *)lu->name.p);
	mem_free(lu);
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct lookup *lu = arg;

	(void)timeouts;
	lu->dns->asking--;
	lu->status = status;
	if (status == ARES_SUCCESS) {
		for (const struct ares_addrinfo_node *n = result->nodes; n && lu->n < CLIENT_MAX_ADDRESSES;
		     n = n->ai_next)
			lu->n += read_address(n->ai_addr, &lu->address[lu->n]);
	}
	if (result)
		ares_freeaddrinfo(result);
	lookup_over(lu);
}

static void on_targets(void *arg, int status, int timeouts, unsigned char *answer, int n)
{
	struct lookup *lu = arg;

	(void)timeouts;
	lu->dns->asking--;
	lu->status = status;
	if (status == ARES_SUCCESS) {
		lu->names = arena_new();
		if (!srv_read(lu->names, answer, (size_t)n, lu->target, &lu->n))
			lu->status = ARES_EBADRESP;
	}
	lookup_over(lu);
}

/* ---- questions ---- */

/* Without the DNS: the host is an address, or a test answers. */
static bool answer_here(struct client_dns *d, struct client_hop *h, str host)
{
	const struct client_options *opt = &d->loop->cl->opt;
	struct ip address[CLIENT_MAX_ADDRESSES];
	size_t n = 1;

	if (!ip_parse(host, &address[0])) {
		if (!opt->resolve)
			return false;
		n = opt->resolve(opt->resolve_ctx, host, address, CLIENT_MAX_ADDRESSES);
	}
	take_addresses(h, address, n);
	return true;
}

static void look_up(struct client_dns *d, struct client_hop *h, str name, bool srv)
{
	static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct lookup *lu = MEM_NEW(struct lookup);

	lu->dns = d;
	lu->name = str_keep(name);
	lu->srv = srv;
	list_init(&lu->hops);
	list_add_tail(&lu->hops, &h->node);
	map_put(&d->lookups[srv], lu->name, lu);
	d->asking++;
	if (srv) /* either may call back at once */
		ares_query(d->channel, lu->name.p, ns_c_in, ns_t_srv, on_targets, lu);
	else
		ares_getaddrinfo(d->channel, lu->name.p, NULL, &hints, on_addresses, lu);
}

/* What has to be known next; false: nothing more. */
static bool next_name(struct client_hop *h, str *out, bool *out_srv)
{
	*out_srv = h->n_targets == 0 && h->next_srv < h->n_srv;
	if (h->failure)
		return false;
	if (*out_srv)
		*out = h->srv[h->next_srv++];
	else if (h->next_target < h->n_targets && h->n_addresses < CLIENT_MAX_ADDRESSES)
		*out = h->target[h->next_target].host;
	else if (h->n_targets == 0 && h->next_target == 0)
		*out = h->connect_host;
	else
		return false;
	return true;
}

void client_dns_ask(struct client_dns *d, struct client_hop *h)
{
	bool srv;
	str name;

	while (next_name(h, &name, &srv)) {
		struct lookup *known;

		if (!srv && answer_here(d, h, name))
			continue;
		known = map_get(&d->lookups[srv], name);
		if (known) {
			list_del(&h->node);
			list_add_tail(&known->hops, &h->node);
			return;
		}
		if (d->asking < CLIENT_MAX_LOOKUPS && open_channel(d)) {
			list_del(&h->node);
			look_up(d, h, name, srv);
			return;
		}
		hop_fail(h, CLIENT_BUSY, "too many names are being looked up");
	}
	client_hop_resolved(h);
}

size_t client_dns_fds(struct client_dns *d, struct curl_waitfd *out, size_t max, int *timeout_ms)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct timeval tv, *t;
	size_t n = 0;
	unsigned bits;

	if (!d->channel || d->asking == 0)
		return 0;
	bits = (unsigned)ares_getsock(d->channel, sockets, ARES_GETSOCK_MAXNUM);
	for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM && n < max; i++) {
		/* What the library's own macros do, which shift into the sign. */
		const bool in = bits >> i & 1, outward = bits >> (i + ARES_GETSOCK_MAXNUM) & 1;

		if (in || outward)
			out[n++] = (struct curl_waitfd){
				sockets[i], (short)((in ? CURL_WAIT_POLLIN : 0) | (outward ? CURL_WAIT_POLLOUT : 0)), 0
			};
	}
	t = ares_timeout(d->channel, NULL, &tv);
	if (t)
		*timeout_ms = (int)MIN((int64_t)*timeout_ms, (int64_t)t->tv_sec * 1000 + t->tv_usec / 1000 + 1);
	return n;
}

void client_dns_work(struct client_dns *d, const struct curl_waitfd *fds, size_t n)
{
	if (!d->channel || d->asking == 0)
		return;
	for (size_t i = 0; i < n; i++)
		ares_process_fd(d->channel, fds[i].revents & CURL_WAIT_POLLIN ? fds[i].fd : ARES_SOCKET_BAD,
				fds[i].revents & CURL_WAIT_POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
	if (d->asking > 0)
		ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* time-outs */
}
