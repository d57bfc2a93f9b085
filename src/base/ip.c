/* Addresses and networks: inet_pton reads, everything else is comparing bits. */
#include "base/ip.h"

#include <arpa/inet.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool ip_parse(str text, struct ip *out)
{
	char z[INET6_ADDRSTRLEN];
	struct ip ip;

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, 0, text.n))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = 0;
	if (inet_pton(AF_INET6, z, ip.bytes) != 1) {
		memcpy(ip.bytes, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, z, ip.bytes + sizeof(mapped)) != 1)
			return false;
	}
	*out = ip;
	return true;
}

bool ip_net_parse(str text, struct ip_net *out)
{
	const size_t slash = str_find(text, '/');
	const str base = str_head(text, slash);
	const bool is_v4 = str_find(base, ':') == base.n;
	const unsigned most = is_v4 ? 32 : 128;
	uint64_t bits = most;
	struct ip ip;

	if (!ip_parse(base, &ip))
		return false;
	if (slash < text.n && (!str_to_u64(str_from(text, slash + 1), &bits) || bits > most))
		return false;
	*out = (struct ip_net){ ip, (unsigned)bits + (is_v4 ? 96 : 0) };
	return true;
}

bool ip_net_has(const struct ip_net *net, const struct ip *ip)
{
	const unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->base.bytes, ip->bytes, whole) != 0)
		return false;
	return rest == 0 || ((net->base.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest)) == 0;
}
