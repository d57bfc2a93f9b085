/*
 * discovery.h - where a server is reached. Server-Server API, "Resolving server names".
 *
 * What a server's host says is kept for as long as it may be believed, of a bounded number of servers; whoever asks for
 * a server that is being looked for waits for the same outcome. SRV records, addresses, and the check of certificates
 * against the name that the specification says are http/client.h's work: a place is what it has to be told.
 */
#pragma once

#include "federation/tls_rules.h"
#include "base/list.h"

struct discovery_options { /* borrowed for the life of the service */
	struct client *client;
	const struct client_nets *nets;
	const struct tls_rules *tls; /* NULL: as usual */
	size_t max_known;            /* servers; 0: chosen */
	/* For tests: */
	uint16_t plain_port;  /* /.well-known is asked for there, without TLS; 0: https, as it must be, */
	uint16_t tls_port;    /* there; 0: where https is */
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
	const struct client_tls *tls;
};
/* Strings in a. ERR_INVALID_PARAM: no server's name. ERR_CONNECTION_TIMEOUT: the deadline passed before it was clear
 * whether the server is delegated; or somebody else is still looking. */
NODISCARD err *discovery_find(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
			      struct server_place *out);

/*
 * The same without waiting, for a thread that does other things meanwhile. discovery_look says what comes next:
 *
 * FOUND  `place` is set, the search has ended.
 * ASK    the caller makes `call`, until call_deadline_us, then calls discovery_asked, with which the search ends.
 * WAIT   somebody else is asking: `ready` will be called, after which discovery_look is called once more.
 *
 * discovery_leave ends one that is not over. An error ends it as well.
 */
enum discovery_step { DISCOVERY_FOUND, DISCOVERY_ASK, DISCOVERY_WAIT };
struct discovery_search {
	/* set by the caller. From any thread, with a lock of the service's held: no more than a word to whoever owns
	 * the search */
	void (*ready)(void *ctx);
	void *ctx;

	struct server_place place;
	struct client_call call;
	int64_t call_deadline_us;
	/* discovery's own */
	struct entry *entry;
	struct list node; /* of those who wait at the entry */
	struct arena *arena;
	str name, host;
	int64_t deadline_us, asked_us;
	bool asks;
};
NODISCARD err *discovery_look(struct discovery *d, struct arena *a, str server_name, int64_t deadline_us,
			      struct discovery_search *s, enum discovery_step *out);
NODISCARD err *discovery_asked(struct discovery *d, struct discovery_search *s);
void discovery_leave(struct discovery *d, struct discovery_search *s);
