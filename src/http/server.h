/* server.h - listeners, lanes and their life: for main/ alone. */
#pragma once

#include "base/ip.h"
#include "http/http.h"

struct bus;

struct http_listener {
	str address;   /* "127.0.0.1", "::1", "0.0.0.0" */
	uint16_t port; /* 0: any free one (http_port tells) */
	bool tls;
	str cert_pem, key_pem; /* contents, with tls */
	bool x_forwarded;      /* X-Forwarded-For is believed from these: */
	const struct ip_net *trusted_proxies;
	size_t n_trusted_proxies;
	bool no_gzip;
	bool client, federation, metrics, health; /* which groups of routes it serves */
};
struct rate_limit {
	double per_second, burst;
}; /* per_second 0: refuse all; burst 0: no limit is configured */

struct http_options {
	const struct services *services;
	struct bus *bus;
	const struct log *log;
	const struct route *const *tables; /* NULL-terminated */
	/* Fills the request's user; ERR_MISSING_TOKEN, ERR_UNKNOWN_TOKEN, ... */
	err *(*authenticate)(struct req *rq, enum auth auth);
	struct rate_limit rates[RATE_CLASSES];
	unsigned workers[LANES]; /* threads; 0: chosen by http/ */
	unsigned queue_limit[LANES];
	unsigned origin_running, origin_waiting; /* requests of one server: at work, and waiting for that. 0: chosen */
	unsigned loops; /* event loop threads to begin with; more come with connections; 0: chosen */
	unsigned max_connections;
	unsigned request_timeout_s; /* for a request to arrive whole, and for an answer to be taken */
	unsigned min_bytes_s;       /* a second more for each so many bytes; 0: HTTP_MIN_BYTES_S */
	/* Totals of the calling thread, for the per-route SQL metrics; or NULL. */
	uint64_t (*statements_here)(void);
	uint64_t (*commits_here)(void);
	int64_t (*sql_us_here)(void);
};

NODISCARD err *http_start(struct arena *a, const struct http_options *opt, struct http **out);
NODISCARD err *http_listen(struct http *h, struct arena *a, const struct http_listener *l);
uint16_t http_port(const struct http *h, size_t listener);
/* Swaps the certificate of every TLS listener: SIGHUP. */
NODISCARD err *http_reload_tls(struct http *h, struct arena *a, str cert_pem, str key_pem);
void http_set_rates(struct http *h, const struct rate_limit rates[RATE_CLASSES]);
/* No new connections; parked requests are run a last time, running ones finish (within grace_s), then all is freed. */
void http_stop(struct http **h, unsigned grace_s);
/* GET /metrics and GET /health, on the listeners that serve them: one of the tables. */
extern const struct route http_system_routes[];
/* "METHOD /path" a line, sorted: `hearth routes`. */
void http_list_routes(const struct route *const *tables, struct buf *out);
