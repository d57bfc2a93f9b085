/*
 * discovery.h - where a server is reached. Server-Server API, "Resolving server names".
 *
 * What is found is kept for as long as it may be believed, a bounded number of servers; whoever asks for a server that
 * is being looked for waits for the same outcome. Connecting, and the check of certificates against the name that the
 * specification says, is http/client.h's work: a place is what it has to be told.
 */
#pragma once

#include "http/client.h"

struct discovery_options { /* borrowed for the life of the service */
	struct client *client;
	const struct client_nets *nets;
	str dns_servers;  /* "192.0.2.1:53,..."; STR_NONE: the machine's */
	size_t max_known; /* servers; 0: chosen */
	/* For tests: */
	uint16_t plain_port;  /* /.well-known is asked for there, without TLS; 0: https, as it must be */
	int64_t (*now)(void); /* ms since 1970; NULL: the clock */
};
struct discovery;
struct discovery *discovery_new(const struct discovery_options *opt);
void discovery_free(struct discovery **d);

/* One place where the server may be reached: for client_call. */
struct server_place {
	str authority;    /* the Host header, whose host part the certificate is for */
	str connect_host; /* a name, or an address without brackets */
	uint16_t connect_port;
};
enum { PLACES_MAX = 16 };
struct server_places { /* in the order in which they are to be tried; never none */
	struct server_place p[PLACES_MAX];
	size_t n;
};
/* Strings in a. ERR_INVALID_PARAM: no server's name. ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT. */
NODISCARD err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
			      struct server_places *out);
