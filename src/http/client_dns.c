/*
 * client_dns.c - names to addresses, without a thread that waits.
 *
 * Hops that ask for one name at a time share a lookup. A hop that ends earlier just leaves the list; the lookup runs on
 * until c-ares gives up. Answers are not kept: that is the resolver's work, which knows when they expire.
 */
#include "http/internal_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

struct lookup {
	struct client_dns *dns;
	str host;
	struct list hops;
	struct ip address[CLIENT_MAX_ADDRESSES];
	size_t n;
};
struct client_dns {
	struct client_loop *loop;
	ares_channel channel; /* NULL: not opened yet */
	struct timespec read; /* when resolv.conf was written that the channel goes by */
	struct map lookups;
	size_t asking; /* of the lookups, those that c-ares works at */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void library_init(void) { ares_library_init(ARES_LIB_INIT_ALL); }

struct client_dns *client_dns_new(struct client_loop *l)
{
	struct client_dns *d = MEM_NEW(struct client_dns);

	pthread_once(&library_once, library_init);
	d->loop = l;
	map_init(&d->lookups, NULL);
	return d;
}

void client_dns_free(struct client_dns **d)
{
	if ((*d)->channel)
		ares_destroy((*d)->channel); /* ends the lookups that are left */
	map_done(&(*d)->lookups);
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
	if (!d->channel && ares_init_options(&d->channel, &opt, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS)
		d->channel = NULL;
	d->read = st.st_mtim;
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

static void lookup_over(struct lookup *lu)
{
	struct list *node;

	map_del(&lu->dns->lookups, lu->host);
	while ((node = list_pop(&lu->hops))) {
		struct client_hop *h = LIST_ITEM(node, struct client_hop, node);

		memcpy(h->address, lu->address, sizeof(lu->address));
		h->n_addresses = lu->n;
		client_hop_resolved(h);
	}
	mem_free((void *)lu->host.p);
	mem_free(lu);
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct lookup *lu = arg;

	(void)timeouts;
	lu->dns->asking--;
	if (status == ARES_SUCCESS) {
		for (const struct ares_addrinfo_node *n = result->nodes; n && lu->n < CLIENT_MAX_ADDRESSES;
		     n = n->ai_next)
			lu->n += read_address(n->ai_addr, &lu->address[lu->n]);
	}
	if (result)
		ares_freeaddrinfo(result);
	lookup_over(lu);
}

/* Without the DNS: the host is an address, or a test answers. */
static bool answer_here(struct client_dns *d, struct client_hop *h)
{
	const struct client_options *opt = &d->loop->cl->opt;

	if (ip_parse(h->connect_host, &h->address[0]))
		h->n_addresses = 1;
	else if (opt->resolve)
		h->n_addresses = opt->resolve(opt->resolve_ctx, h->connect_host, h->address, CLIENT_MAX_ADDRESSES);
	else
		return false;
	return true;
}

static void look_up(struct client_dns *d, struct client_hop *h)
{
	static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct lookup *lu = MEM_NEW(struct lookup);

	lu->dns = d;
	lu->host = str_keep(h->connect_host);
	list_init(&lu->hops);
	list_add_tail(&lu->hops, &h->node);
	map_put(&d->lookups, lu->host, lu);
	d->asking++;
	ares_getaddrinfo(d->channel, lu->host.p, NULL, &hints, on_answer, lu); /* may call on_answer at once */
}

void client_dns_ask(struct client_dns *d, struct client_hop *h)
{
	struct lookup *known;

	if (answer_here(d, h)) {
		client_hop_resolved(h);
		return;
	}
	known = map_get(&d->lookups, h->connect_host);
	if (known)
		list_add_tail(&known->hops, &h->node);
	else if (d->lookups.n < CLIENT_MAX_LOOKUPS && open_channel(d))
		look_up(d, h);
	else
		client_hop_resolved(h);
}

size_t client_dns_fds(struct client_dns *d, struct curl_waitfd *out, size_t max, int *timeout_ms)
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	struct timeval tv, *t;
	size_t n = 0;
	int bits;

	if (!d->channel || d->asking == 0)
		return 0;
	bits = ares_getsock(d->channel, sockets, ARES_GETSOCK_MAXNUM);
	for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM && n < max; i++) {
		const bool in = ARES_GETSOCK_READABLE(bits, i), outward = ARES_GETSOCK_WRITABLE((unsigned)bits, i);

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
