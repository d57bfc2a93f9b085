/*
 * discovery.h - where a server is reached. Server-Server API, "Resolving server names".
 *
 * What a server's host says is kept for as long as it may be believed, of a bounded number of servers; whoever asks for
 * a server that is being looked for waits for the same outcome. SRV records, addresses, and the check of certificates
 * against the name that the specification says are http/client.h's work: a place is what it has to be told.
 */
#pragma once

#include "http/client.h"

struct discovery_options { /* borrowed for the life of the service */
	struct client *client;
	const struct client_nets *nets;
	size_t max_known; /* servers; 0: chosen */
	/* For tests: */
	uint16_t plain_port;  /* /.well-known is asked for there, without TLS; 0: https, as it must be */
	int64_t (*now)(void); /* ms since 1970; NULL: the clock */
};
struct discovery;
struct discovery *discovery_new(const struct discovery_options *opt);
void discovery_free(struct discovery **d);

/* For a client_call. */
struct server_place {
	str authority; /* of the URL, and the Host header; the certificate is for its host part */
	str connect_host;
	uint16_t connect_port;
	str srv[2]; /* "_matrix-fed._tcp.example.org", and the deprecated "_matrix" */
	size_t n_srv;
};
/* Strings in a. ERR_INVALID_PARAM: no server's name. ERR_CONNECTION_TIMEOUT: somebody else is still looking. */
NODISCARD err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
			      struct server_place *out);
