/*
 * client_nets.c - where connections may go.
 *
 * An IPv4 address can be written in many IPv6 ones, and machines on the way take it out again: whoever may not connect
 * to 10.0.0.1 must not reach it as 2002:0a00:0001:: or 64:ff9b::a00:1. All places where an address may stand are looked
 * at, and one that is denied denies the whole.
 */
#include "http/internal_client.h"

const char *const client_private_networks[] = {
	"0.0.0.0/8",      "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",
	"169.254.0.0/16", "172.16.0.0/12", /* near */
	"192.0.0.0/24",   "192.0.2.0/24",    "192.88.99.0/24", "192.168.0.0/16",
	"198.18.0.0/15",  "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
	"240.0.0.0/4",    "::1/128",         "::/128",         "fe80::/10",
	"fc00::/7",       "fec0::/10",       "2001:2::/48",    "2001:10::/28",
	"2001:20::/28",   "2001:db8::/32",   "3fff::/20",      "5f00::/16",
	"ff00::/8",       "100::/64",        "64:ff9b:1::/48", NULL,
};

static bool has(const struct ip_net *nets, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (ip_net_has(&nets[i], ip))
			return true;
	}
	return false;
}

static struct ip ipv4(const uint8_t b[4], uint8_t mask)
{
	return (struct ip){ { [10] = 0xff,
			      [11] = 0xff,
			      [12] = b[0] ^ mask,
			      [13] = b[1] ^ mask,
			      [14] = b[2] ^ mask,
			      [15] = b[3] ^ mask } };
}

/* Where an IPv4 address stands in an IPv6 one that begins (or whose second half begins) like this. */
static const struct {
	uint8_t prefix[12];
	uint8_t prefix_at, prefix_n, at, mask;
} embeddings[] = {
	{ { 0 }, 0, 12, 12, 0 },                        /* IPv4-compatible */
	{ { [8] = 0xff, [9] = 0xff }, 0, 12, 12, 0 },   /* IPv4-translated, ::ffff:0:a.b.c.d */
	{ { 0x20, 0x02 }, 0, 2, 2, 0 },                 /* 6to4 */
	{ { 0x00, 0x64, 0xff, 0x9b }, 0, 12, 12, 0 },   /* NAT64 */
	{ { 0x20, 0x01, 0x00, 0x00 }, 0, 4, 4, 0 },     /* Teredo: its server */
	{ { 0x20, 0x01, 0x00, 0x00 }, 0, 4, 12, 0xff }, /* Teredo: its client */
	{ { 0x00, 0x00, 0x5e, 0xfe }, 8, 4, 12, 0 },    /* ISATAP */
	{ { 0x02, 0x00, 0x5e, 0xfe }, 8, 4, 12, 0 },
};

static bool denied(const struct client_nets *nets, const struct ip *ip)
{
	static const uint8_t zero[4];
	const struct ip any = { { 0 } }, any4 = ipv4(zero, 0);

	if (memcmp(ip, &any, sizeof(any)) == 0 || memcmp(ip, &any4, sizeof(any4)) == 0)
		return true;
	return nets && has(nets->deny, nets->n_deny, ip);
}

bool client_nets_allow(const struct client_nets *nets, const struct ip *ip)
{
	if (nets && has(nets->allow, nets->n_allow, ip))
		return true;
	if (denied(nets, ip))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
		const struct ip inner = ipv4(ip->bytes + embeddings[i].at, embeddings[i].mask);

		if (memcmp(ip->bytes + embeddings[i].prefix_at, embeddings[i].prefix, embeddings[i].prefix_n) == 0 &&
		    denied(nets, &inner))
			return false;
	}
	return true;
}
