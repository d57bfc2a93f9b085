/*
 * client_transfer.c - a hop in libcurl's hands.
 *
 * libcurl resolves nothing here: it is told to connect to one address that passed the check (CONNECT_TO), while Host,
 * SNI and certificate stay those of the URL. It keeps a connection apart by that address, too, so that a connection is
 * taken up again only by a hop that may go where it leads. The function that opens sockets looks once more, and refuses
 * any other address, whatever the reason may be.
 */
#include "http/internal_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"

#include <assert.h>

void hop_fail(struct client_hop *h, enum client_failure f, const char *fmt, ...)
{
	va_list args;

	if (h->failure)
		return; /* the first reason is the reason */
	h->failure = f;
	va_start(args, fmt);
	vsnprintf(h->why, sizeof(h->why), fmt, args);
	va_end(args);
}

static bool same_address(const struct sockaddr *sa, const struct ip *ip)
{
	struct ip got = { { [10] = 0xff, [11] = 0xff } };

	if (sa->sa_family == AF_INET)
		memcpy(got.bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else if (sa->sa_family == AF_INET6)
		memcpy(got.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	else
		return false;
	return memcmp(&got, ip, sizeof(got)) == 0;
}

static curl_socket_t open_socket(void *hop, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct client_hop *h = hop;

	if (purpose != CURLSOCKTYPE_IPCXN || !same_address(&to->addr, &h->address[h->next_address - 1])) {
		hop_fail(h, CLIENT_REFUSED, "the address is not the one that was checked");
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* "::ADDRESS:PORT": whatever the URL says, connect there. */
static void pin(struct client_hop *h, const struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const bool is_v4 = memcmp(ip->bytes, mapped, sizeof(mapped)) == 0;
	char text[INET6_ADDRSTRLEN], entry[INET6_ADDRSTRLEN + 16];

	inet_ntop(is_v4 ? AF_INET : AF_INET6, ip->bytes + (is_v4 ? 12 : 0), text, sizeof(text));
	snprintf(entry, sizeof(entry), is_v4 ? "::%s:%u" : "::[%s]:%u", text, h->port[h->next_address - 1]);
	curl_slist_free_all(h->connect_to);
	h->connect_to = curl_slist_append(NULL, entry);
}

static void add_header(struct client_hop *h, struct arena *a, str name, str value)
{
	/* A header without a value is written so for libcurl, which would take it away otherwise. */
	const str line = value.n == 0 ? arena_join2(a, name, S(";")) : arena_join3(a, name, S(": "), value);

	h->headers = curl_slist_append(h->headers, line.p);
}

static void set_headers(struct client_hop *h)
{
	AUTO_ARENA a = arena_new();
	bool has_type = false;

	h->headers = curl_slist_append(NULL, "Expect:");
	for (size_t i = 0; i < h->call->n_headers; i++) {
		const struct client_header *f = &h->call->headers[i];

		has_type |= str_eq_nocase(f->name, S("Content-Type"));
		if (h->same_origin || !str_eq_nocase(f->name, S("Authorization")))
			add_header(h, a, f->name, f->value);
	}
	if (!has_type)
		h->headers = curl_slist_append(h->headers, "Content-Type:");
	curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
}

static void set_method(struct client_hop *h)
{
	const struct client_call *c = h->call;
	AUTO_ARENA a = arena_new();

	if (!str_is_none(c->body)) {
		curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
		curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, c->body.p);
	}
	if (str_eq(c->method, S("HEAD")))
		curl_easy_setopt(h->easy, CURLOPT_NOBODY, 1L);
	else if (!str_is_none(c->method))
		curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, arena_cstr(a, c->method));
}

/* What is the same for all, and mostly: what libcurl shall not do. */
static void set_habits(CURL *e, const struct client *cl)
{
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, ""); /* not even what the environment says */
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_USERAGENT, cl->user_agent);
	curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, (long)CLIENT_SLOW_BYTES);
	if (cl->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, cl->ca_file);
}

/* libcurl takes no connection up again that was made with other authorities, or without them. */
static void set_tls(CURL *e, const struct client_tls *tls)
{
	struct curl_blob ca = { .flags = CURL_BLOB_NOCOPY };

	if (!str_is_none(tls->ca_pem)) {
		ca.data = (void *)(uintptr_t)tls->ca_pem.p;
		ca.len = tls->ca_pem.n;
		curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &ca);
	}
	if (tls->only_13)
		curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	if (tls->unverified) {
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_up(struct client_hop *h)
{
	h->easy = curl_easy_init();
	assert(h->easy);
	set_habits(h->easy, h->loop->cl);
	curl_easy_setopt(h->easy, CURLOPT_LOW_SPEED_TIME,
			 (long)MAX((h->call->slow_ms ? h->call->slow_ms : h->loop->cl->opt.slow_ms) / 1000, 1));
	set_tls(h->easy, &h->tls);
	set_headers(h);
	set_method(h);
	curl_easy_setopt(h->easy, CURLOPT_URL, h->url.text.p);
	curl_easy_setopt(h->easy, CURLOPT_PATH_AS_IS, (long)h->call->path_as_is);
	curl_easy_setopt(h->easy, CURLOPT_PRIVATE, h);
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->curl_text);
	curl_easy_setopt(h->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(h->easy, CURLOPT_OPENSOCKETDATA, h);
	curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, hop_take_header);
	curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, hop_take_body);
	curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	if (!h->call->take)
		curl_easy_setopt(h->easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
}

/* The next address that may be gone to. */
static const struct ip *choose(struct client_hop *h)
{
	while (h->next_address < h->n_addresses) {
		const struct ip *ip = &h->address[h->next_address++];

		if (client_nets_allow(h->call->nets, ip))
			return ip;
	}
	return NULL;
}

bool hop_connect(struct client_hop *h)
{
	const int64_t left_ms = (h->deadline_us - clock_mono_us()) / 1000;
	const int64_t connect_ms = h->loop->cl->opt.connect_ms;
	const struct ip *ip = choose(h);

	if (left_ms <= 0)
		hop_fail(h, CLIENT_TIMEOUT, "it took too long");
	else if (!ip && h->n_addresses == 0)
		hop_fail(h, CLIENT_NO_HOST, "the host has no address");
	else if (!ip)
		hop_fail(h, CLIENT_REFUSED, "the host's address is in a network that is not asked");
	if (h->failure)
		return false;
	if (!h->easy)
		set_up(h);
	pin(h, ip);
	curl_easy_setopt(h->easy, CURLOPT_CONNECT_TO, h->connect_to);
	curl_easy_setopt(h->easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
	/* One that does not answer must leave time for those after it. */
	curl_easy_setopt(h->easy, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(h->next_address < h->n_addresses ? MAX(connect_ms / 3, 1) : connect_ms));
	return true;
}

static bool is_connected(struct client_hop *h)
{
	curl_off_t us = 0;

	curl_easy_getinfo(h->easy, CURLINFO_CONNECT_TIME_T, &us);
	return us > 0;
}

static void fail_by_time(struct client_hop *h)
{
	const int64_t rounding_us = 5000; /* libcurl counts in milliseconds */

	if (clock_mono_us() >= h->deadline_us - rounding_us)
		hop_fail(h, CLIENT_TIMEOUT, "it took too long");
	else if (is_connected(h))
		hop_fail(h, CLIENT_TIMEOUT, "next to nothing came for a while");
	else
		hop_fail(h, CLIENT_NO_CONNECT, "no connection: nobody answers");
}

static void fail_with(struct client_hop *h, CURLcode rc)
{
	const char *text = h->curl_text[0] ? h->curl_text : curl_easy_strerror(rc);

	switch (rc) {
	case CURLE_COULDNT_CONNECT:
		hop_fail(h, CLIENT_NO_CONNECT, "no connection: %s", text);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		fail_by_time(h);
		break;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CACERT_BADFILE:
		hop_fail(h, CLIENT_TLS, "no TLS with the right certificate: %s", text);
		break;
	case CURLE_OUT_OF_MEMORY: /* its own limits: memory itself never runs out here */
		hop_fail(h, CLIENT_TOO_LARGE, "a header of its answer is longer than is read");
		break;
	default:
		hop_fail(h, CLIENT_BROKEN, "no whole answer: %s", text);
	}
}

bool hop_finished(struct client_hop *h, CURLcode rc)
{
	const bool unreached = rc == CURLE_COULDNT_CONNECT || (rc == CURLE_OPERATION_TIMEDOUT && !is_connected(h));
	long status = 0;

	if (unreached && !h->failure && h->next_address < h->n_addresses && hop_connect(h))
		return true;
	if (rc != CURLE_OK && !h->is_enough)
		fail_with(h, rc);
	if (h->has_body)
		return false; /* the status is known, and read by another thread */
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->status = (int)status;
	if (h->status == 0)
		hop_fail(h, CLIENT_BROKEN, "no answer");
	return false;
}

void hop_release(struct client_hop *h)
{
	if (h->easy)
		curl_easy_cleanup(h->easy);
	curl_slist_free_all(h->headers);
	curl_slist_free_all(h->connect_to);
	if (h->names)
		arena_free(&h->names);
	h->easy = NULL;
	h->headers = h->connect_to = NULL;
}
