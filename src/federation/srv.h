/* srv.h - SRV records (RFC 2782): where a service of a domain is. */
#pragma once

#include "base/err.h"

enum { SRV_MAX = 16 }; /* records of one answer that are looked at */

struct srv_target {
	str host; /* without the last dot */
	uint16_t port, priority, weight;
};
/*
 * Asks for `name` ("_matrix-fed._tcp.example.org") and waits, until the deadline (clock_mono_us) at most. The targets
 * are in the order in which they are to be tried; none where there is no such record. ERR_CONNECTION_FAILED: "the
 * service is decidedly not available at this domain". ERR_CONNECTION_TIMEOUT: the DNS did not answer. dns_servers:
 * "192.0.2.1:53,..."; STR_NONE: the machine's.
 */
NODISCARD err *srv_look_up(struct arena *a, str dns_servers, str name, int64_t deadline_us, struct srv_target *out,
			   size_t *out_n);

/* "lowest-numbered priority [...] first"; among equals by chance, in proportion to their weights. `chance` gives a
 * number below its argument. */
void srv_order(struct srv_target *t, size_t n, uint64_t (*chance)(uint64_t below));
