/*
 * client.h - outgoing HTTP on behalf of others: URL previews, federation, pushers, identity servers, application
 * services.
 *
 * Where a request goes is chosen by strangers, so everything about it is bounded, and it goes only where it may. A name
 * is resolved once; its addresses are checked against the caller's networks, and the connection is made to one that
 * passed: there is no second answer of the DNS between check and use. Redirects are followed here, each checked like
 * the first address. Proxies, cookies, credentials, other schemes: none.
 *
 * The calling thread blocks until all its calls are done, which is at its deadline at the latest. It must hold no lock.
 */
#pragma once

#include "base/err.h"
#include "base/ip.h"
#include "base/log.h"

/* Where connections may go: everywhere but `deny`; `allow` is allowed whatever `deny` says. 0.0.0.0 and :: are always
 * denied. An IPv6 address in which an IPv4 address is written (mapped, 6to4, NAT64, Teredo, ...) counts as both. */
struct client_nets {
	const struct ip_net *deny, *allow;
	size_t n_deny, n_allow;
};
bool client_nets_allow(const struct client_nets *nets, const struct ip *ip);
/* This machine, private, link-local, multicast, documentation and other networks that are no part of the public
 * internet: as text, for the default of an option. Ends with NULL. */
extern const char *const client_private_networks[];

/* What went wrong, in err.detail; the code beside it is what a client of ours is answered where nothing better fits. */
enum client_failure {
	CLIENT_BAD_URL = 1,  /* ERR_INVALID_PARAM: no http or https URL, credentials in it, ... */
	CLIENT_REFUSED,      /* ERR_FORBIDDEN: no address of the host is allowed */
	CLIENT_NO_HOST,      /* ERR_CONNECTION_FAILED: the name has no address */
	CLIENT_NO_CONNECT,   /* ERR_CONNECTION_FAILED */
	CLIENT_TLS,          /* ERR_CONNECTION_FAILED: no TLS, or a certificate that is not the host's */
	CLIENT_BROKEN,       /* ERR_CONNECTION_FAILED: the answer ended early, or is no HTTP */
	CLIENT_TIMEOUT,      /* ERR_CONNECTION_TIMEOUT: the deadline passed, or next to nothing came for a while */
	CLIENT_TOO_LARGE,    /* ERR_TOO_LARGE: of body (decompressed) or headers */
	CLIENT_BAD_REDIRECT, /* ERR_CONNECTION_FAILED: too many, or to what is no http or https URL */
	CLIENT_WRONG_TYPE,   /* ERR_CONNECTION_FAILED: of none of the types that are wanted */
	CLIENT_BUSY,         /* ERR_BUSY: waited too long for its turn, or too many wait */
	CLIENT_STOPPED,      /* ERR_BUSY: the server stops */
	CLIENT_NOT_TAKEN,    /* `take` said no: its own error, with its own code and detail */
};

/* What is asked of the other side's TLS. Borrowed until the client is freed. */
struct client_tls {
	str ca_pem;      /* these authorities, and no others; STR_NONE: the client's own */
	bool only_13;    /* TLS 1.3; else 1.2 as well */
	bool unverified; /* the host may show any certificate; a redirect's may not, but for client_call.tls_of */
};
struct client_url;
struct client_header {
	str name, value;
};

struct client_call {
	/* set by the caller, borrowed until client_all returns */
	str method;                          /* STR_NONE: GET */
	str url;                             /* http or https; no user or password; a fragment is dropped */
	const struct client_header *headers; /* Authorization goes to the first host alone */
	size_t n_headers;
	str body;                       /* STR_NONE: none */
	const struct client_nets *nets; /* NULL: everywhere */
	const struct client_tls *tls;   /* NULL: as usual */
	/* Connect to this host (name or address) and port instead of the URL's, which stays what Host, SNI and the
	 * certificate are about: a delegated Matrix server. STR_NONE: the URL's. */
	str connect_host;
	uint16_t connect_port;
	/* Before that: where SRV records say, of the first of these names that has any
	 * ("_matrix-fed._tcp.example.org"); what they point to is tried in the order of RFC 2782. connect_host is for
	 * when there are none. A DNS that does not answer, or says that the service is not available, is
	 * CLIENT_NO_HOST. */
	const str *connect_srv;
	size_t n_connect_srv;
	/* The path goes out byte for byte: of "/a/../b" nothing is taken away, and what would have to be encoded is
	 * CLIENT_BAD_URL. Other servers sign and look up what was written. */
	bool path_as_is;
	unsigned max_redirects; /* followed for GET and HEAD alone; one more is an error. 0: a redirect is the answer */
	/* Asked about each address that a redirect leads to; false: CLIENT_REFUSED. NULL: all may be followed. */
	bool (*may_follow)(void *ctx, const struct client_url *url);
	/* What is asked of the TLS of the host that a redirect leads to. NULL: as `tls`, and it is verified. */
	const struct client_tls *(*tls_of)(void *ctx, str host);
	void *follow_ctx;
	size_t max_bytes; /* of the body, decompressed */
	unsigned slow_ms; /* as in client_options, for who may think for long before he answers; 0: that one */
	/* Beginnings of the content types that are wanted, ends with NULL: the body of a 2xx of another type is not
	 * read. NULL: all. */
	const char *const *types;
	/* NULL: the body is collected. Else it is given here piece by piece, on the calling thread, as sent: no
	 * compression is asked for, and a compressed body fails. Of the last answer alone, and only with status 2xx;
	 * else the body is dropped. An error ends the call. */
	err *(*take)(void *ctx, struct client_call *c, str bytes);
	void *take_ctx;
	void *owner; /* the caller's own: whose call this is */

	/* the outcome, in the caller's arena */
	err *error; /* NULL: there is an answer, of whatever status */
	int status;
	str final_url; /* after redirects */
	str answer;    /* the body; STR_NONE: `take` had it */
	const struct client_header *answer_headers;
	size_t n_answer_headers;
	unsigned n_redirects;
	void *hop; /* http/'s own */
};
/* The first header of that name (any case) of the answer, also inside `take`; STR_NONE: none. */
str client_answer_header(const struct client_call *c, const char *name);

/* Who answers for names instead of the DNS: tests. Fills out[] with at most max addresses; gives their number, 0: none.
 * Called on a loop's thread: must not wait. */
typedef size_t client_resolve_fn(void *ctx, str host, struct ip *out, size_t max);

struct client_options {
	const struct log *log;
	str user_agent;
	str ca_file;     /* PEM; STR_NONE: that of the environment's SSL_CERT_FILE, else the system's */
	str dns_servers; /* "192.0.2.1,[2001:db8::1]:53"; STR_NONE: the machine's */
	client_resolve_fn *resolve;
	void *resolve_ctx;
	/* 0: chosen here (limits.h) */
	unsigned loops;        /* threads; a host's calls are all on one of them */
	unsigned max_running;  /* calls in all */
	unsigned max_per_host; /* calls to one host and port */
	unsigned max_waiting;  /* calls that wait for their turn; past it CLIENT_BUSY */
	unsigned max_idle;     /* connections kept, in all */
	unsigned queue_ms;     /* waiting longer: CLIENT_BUSY */
	unsigned connect_ms;   /* to make one connection */
	unsigned slow_ms;      /* less than CLIENT_SLOW_BYTES a second for so long: CLIENT_TIMEOUT */
};

struct client;
NODISCARD err *client_new(struct arena *a, const struct client_options *opt, struct client **out);
/* From now on every call fails with CLIENT_STOPPED, those under way at once: before http/ waits for its handlers. */
void client_stop(struct client *cl);
/* Stops; nobody may be in a call any more. */
void client_free(struct client **cl);

/*
 * Calls that one thread starts as it goes and takes as they end: thousands at a time. Start and next are that thread's,
 * wake is anybody's. A call and what it borrows live until next gave it; its outcome is in the arena it was started
 * with. Deadlines: clock_mono_us.
 */
struct client_batch;
struct client_batch *client_batch_new(struct client *cl);
void client_batch_start(struct client_batch *b, struct arena *a, struct client_call *call, int64_t deadline_us);
/* The next one that has ended, in no particular order. NULL: none by then, or it was woken. */
struct client_call *client_batch_next(struct client_batch *b, int64_t until_us);
void client_batch_wake(struct client_batch *b);
/* What is under way is ended and forgotten: no outcome is told. Accepts NULL in *b. */
void client_batch_free(struct client_batch **b);

/* Does them all at once and returns when the last is done: each has its own outcome. Deadline: clock_mono_us. */
void client_all(struct client *cl, struct arena *a, struct client_call *calls, size_t n, int64_t deadline_us);
/* The same for one; gives its error. */
NODISCARD err *client_one(struct client *cl, struct arena *a, struct client_call *call, int64_t deadline_us);
