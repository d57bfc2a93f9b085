/*
 * ip.h - addresses and networks of the Internet Protocol, as numbers.
 *
 * Both families are one: an IPv4 address is held as its IPv4-mapped IPv6 form, so that 127.0.0.1 and ::ffff:127.0.0.1
 * are the same peer.
 */
#pragma once

#include "base/str.h"

struct ip {
	uint8_t bytes[16];
};
struct ip_net { /* the addresses whose first `bits` bits are those of `base` */
	struct ip base;
	unsigned bits; /* 0 to 128 */
};

/* "192.0.2.1", "2001:db8::1"; no zone, no brackets. false: it is no address. */
bool ip_parse(str text, struct ip *out);
/* "192.0.2.0/24", "2001:db8::/32", or an address alone. Bits behind the prefix are ignored. */
bool ip_net_parse(str text, struct ip_net *out);
bool ip_net_has(const struct ip_net *net, const struct ip *ip);
