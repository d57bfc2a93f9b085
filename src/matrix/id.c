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

/* "IPv6address = 2*45IPv6char", IPv6char = hex digits, ':' and '.' */
static bool is_ipv6(str s)
{
	if (s.n < 2 || s.n > 45)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const char c = s.p[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != ':' && c != '.')
			return false;
	}
	return true;
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

bool id_server_name_valid(str name)
{
	if (str_starts(name, S("["))) {
		const size_t close = str_find(name, ']');

		if (close == name.n || !is_ipv6((str){ name.p + 1, close - 1 }))
			return false;
		if (close + 1 == name.n)
			return true;
		return name.p[close + 1] == ':' && is_port(str_from(name, close + 2));
	}
	const size_t colon = str_find(name, ':');

	if (!is_dns_name(str_head(name, colon)))
		return false;
	return colon == name.n || is_port(str_from(name, colon + 1));
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

bool id_room_valid(str id)
{
	if (id.n < 2 || id.n > ID_MAX || id.p[0] != '!')
		return false;
	if (str_find(id, ':') < id.n)
		return is_qualified(id, '!');
	return !memchr(id.p, '\0', id.n) && utf8_valid(id);
}

bool id_alias_valid(str id) { return is_qualified(id, '#'); }

bool id_event_valid(str id)
{
	return id.n >= 2 && id.n <= ID_MAX && id.p[0] == '$' && !memchr(id.p, '\0', id.n) && utf8_valid(id);
}

bool id_event_named_valid(str id) { return is_qualified(id, '$'); }

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
