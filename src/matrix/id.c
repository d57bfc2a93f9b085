#include "matrix/id.h"

#include "base/utf8.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_alpha(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z'); }

/* "port = 1*5DIGIT" */
static bool is_port(str s)
{
	if (s.n < 1 || s.n > 5)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return true;
}

static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool id_is_ipv4(str s)
{
	size_t numbers = 0;
	str part;

	while (str_split_next(&s, '.', &part)) {
		unsigned n = 0;

		if (part.n < 1 || part.n > 3)
			return false;
		for (size_t i = 0; i < part.n; i++) {
			if (!is_digit(part.p[i]))
				return false;
			n = n * 10 + (unsigned)(part.p[i] - '0');
		}
		if (n > 255)
			return false;
		numbers++;
	}
	return numbers == 4;
}

/* RFC 3513, 2.2: eight groups of up to four hex digits; "::" stands once for one or more groups of zeros; the last two
 * may be an IPv4 address. "IPv6address = 2*45IPv6char" */
static bool is_ipv6(str s)
{
	size_t groups = 0, i = 0;
	bool gap = false;

	if (s.n < 2 || s.n > 45)
		return false;
	while (i < s.n) {
		const size_t start = i;

		if (s.p[i] == ':') { /* at the beginning, or after a group's own colon: "::" */
			if (gap || (i == 0 && s.p[1] != ':'))
				return false;
			gap = true;
			i += i == 0 ? 2 : 1;
			continue;
		}
		while (i < s.n && is_hex(s.p[i]))
			i++;
		if (i < s.n && s.p[i] == '.') {
			groups += 2;
			return id_is_ipv4(str_from(s, start)) && (gap ? groups < 8 : groups == 8);
		}
		if (i == start || i - start > 4)
			return false;
		groups++;
		if (i == s.n)
			break;
		if (s.p[i] != ':' || i + 1 == s.n)
			return false;
		i++;
	}
	return gap ? groups < 8 : groups == 8;
}

/* "dns-name = 1*255dns-char", dns-char = DIGIT / ALPHA / "-" / "."; IPv4 literals are among them. */
static bool is_dns_name(str s)
{
	if (s.n < 1 || s.n > 255)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]) && !is_alpha(s.p[i]) && s.p[i] != '-' && s.p[i] != '.')
			return false;
	return true;
}

/* Where the host ends; 0: there is none. */
static size_t host_length(str name)
{
	const size_t close = str_find(name, ']'), colon = str_find(name, ':');

	if (str_starts(name, S("[")))
		return close < name.n && is_ipv6((str){ name.p + 1, close - 1 }) ? close + 1 : 0;
	return is_dns_name(str_head(name, colon)) ? colon : 0;
}

bool id_server_name_split(str name, str *out_host, int *out_port)
{
	const size_t n = host_length(name);
	const str port = n < name.n ? str_from(name, n + 1) : STR_NONE;
	uint64_t number;

	if (n == 0 || (n < name.n && (name.p[n] != ':' || !is_port(port))))
		return false;
	*out_host = str_head(name, n);
	*out_port = n < name.n && str_to_u64(port, &number) ? (int)number : -1;
	return true;
}

bool id_server_name_valid(str name)
{
	str host;
	int port;

	return id_server_name_split(name, &host, &port);
}

/* "&localpart:domain": the sigil, any characters but ':' and NUL, a server name; 255 bytes at most. */
static bool is_qualified(str id, char sigil)
{
	if (id.n < 3 || id.n > ID_MAX || id.p[0] != sigil)
		return false;
	const size_t colon = str_find(id, ':');

	if (colon == id.n || memchr(id.p, '\0', colon))
		return false;
	return id_server_name_valid(str_from(id, colon + 1)) && utf8_valid(str_head(id, colon));
}

bool id_user_valid(str id) { return is_qualified(id, '@'); }

bool id_localpart_strict(str localpart)
{
	for (size_t i = 0; i < localpart.n; i++) {
		const char c = localpart.p[i];

		if (!is_lower(c) && !is_digit(c) && !memchr("-.=_/+", c, 6))
			return false;
	}
	return localpart.n > 0;
}

bool id_user_compliant(str id)
{
	if (!id_user_valid(id))
		return false;
	const str localpart = id_localpart(id);

	for (size_t i = 0; i < localpart.n; i++)
		if (localpart.p[i] < 0x21 || localpart.p[i] > 0x7e)
			return false;
	return localpart.n > 0;
}

/* A sigil and a SHA-256 in unpadded Base64; `others`: the alphabet's last two. */
static bool is_hash(str id, char sigil, const char *others)
{
	if (id.n != 1 + 43 || id.p[0] != sigil)
		return false;
	for (size_t i = 1; i < id.n; i++)
		if (!is_alpha(id.p[i]) && !is_digit(id.p[i]) && id.p[i] != others[0] && id.p[i] != others[1])
			return false;
	return true;
}

bool id_room_valid(str id) { return is_qualified(id, '!') || is_hash(id, '!', "-_"); }

bool id_room_fits(str id, const struct room_version *rv)
{
	return rv->room_id_is_create_hash ? is_hash(id, '!', "-_") : is_qualified(id, '!');
}

bool id_alias_valid(str id) { return is_qualified(id, '#'); }

bool id_event_valid(str id)
{
	return id.n >= 2 && id.n <= ID_MAX && id.p[0] == '$' && !memchr(id.p, '\0', id.n) && utf8_valid(id);
}

bool id_event_named_valid(str id) { return is_qualified(id, '$'); }

bool id_event_fits(str id, const struct room_version *rv)
{
	switch (rv->event_format) {
	case EVENT_FORMAT_NAMED:
		return id_event_named_valid(id);
	case EVENT_FORMAT_HASH:
		return is_hash(id, '$', "+/");
	case EVENT_FORMAT_HASH_URL:
		return is_hash(id, '$', "-_");
	}
	return false;
}

str id_server(str id)
{
	const size_t colon = str_find(id, ':');

	return colon == id.n ? STR_NONE : str_from(id, colon + 1);
}

str id_localpart(str id) { return str_from(str_head(id, str_find(id, ':')), 1); }

bool id_is_of(str id, str server_name)
{
	const str server = id_server(id);

	return !str_is_none(server) && str_eq(server, server_name);
}

bool id_opaque_valid(str id)
{
	if (id.n < 1 || id.n > ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!is_alpha(id.p[i]) && !is_digit(id.p[i]) && !memchr("-._~", id.p[i], 4))
			return false;
	return true;
}

bool id_namespaced_valid(str id)
{
	if (id.n < 1 || id.n > ID_MAX || !is_lower(id.p[0]))
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!is_lower(id.p[i]) && !is_digit(id.p[i]) && !memchr("-_.", id.p[i], 3))
			return false;
	return true;
}
