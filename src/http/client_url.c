/*
 * client_url.c - http and https addresses.
 *
 * Two readers of one address that disagree are a hole: what the first takes for a harmless host, the second connects
 * elsewhere. So it is libcurl's own reader that takes addresses apart here, and what is asked for later is the text
 * that it put together again. A host in letters beyond ASCII is mapped to its ASCII form, which may turn out to be a
 * number (full-width digits are digits), so that text is read once more.
 */
#include "http/client_url.h"

#include "http/internal_client.h"

#include <curl/curl.h>
#include <gnutls/gnutls.h>

static void url_done(CURLU **u) { curl_url_cleanup(*u); }
#define AUTO_URL CLEANUP(url_done) CURLU

enum {
	NORMALISE = CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME,
	AS_IS = CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME,
};

static err *bad(struct arena *a, const char *why)
{
	err *e = err_new(a, ERR_INVALID_PARAM, "Not an address that can be asked: %s", why);

	e->detail = CLIENT_BAD_URL;
	return e;
}

/* A part, copied; STR_NONE when there is none. */
static str part(struct arena *a, CURLU *u, CURLUPart what, unsigned flags)
{
	char *text = NULL;
	str copy = STR_NONE;

	if (curl_url_get(u, what, &text, flags) == CURLUE_OK)
		copy = arena_keep(a, str_c(text));
	curl_free(text);
	return copy;
}

static bool is_ascii(str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	}
	return true;
}

/* Puts the ASCII form of the host into u. */
static err *map_host(struct arena *a, CURLU *u, str host)
{
	gnutls_datum_t mapped = { 0 };
	CURLUcode rc;

	if (gnutls_idna_map(host.p, (unsigned)host.n, &mapped, 0) < 0)
		return bad(a, "its host is no name");
	rc = curl_url_set(u, CURLUPART_HOST, arena_cstr(a, (str){ (char *)mapped.data, mapped.size }), 0);
	gnutls_free(mapped.data);
	return rc == CURLUE_OK ? NULL : bad(a, "its host is no name");
}

static err *check(struct arena *a, CURLU *u)
{
	const str scheme = part(a, u, CURLUPART_SCHEME, 0);

	if (!str_eq(scheme, S("http")) && !str_eq(scheme, S("https")))
		return bad(a, "neither http nor https");
	if (part(a, u, CURLUPART_USER, 0).p || part(a, u, CURLUPART_PASSWORD, 0).p)
		return bad(a, "it has a user name or a password");
	if (part(a, u, CURLUPART_ZONEID, 0).p)
		return bad(a, "it has an address with a zone");
	return NULL;
}

static str small_letters(struct arena *a, str s)
{
	char *z = arena_cstr(a, s);

	for (size_t i = 0; i < s.n; i++) {
		if (z[i] >= 'A' && z[i] <= 'Z')
			z[i] = (char)(z[i] + 32);
	}
	return (str){ z, s.n };
}

static str without_brackets(struct arena *a, str host)
{
	return str_starts(host, S("[")) ? arena_keep(a, (str){ host.p + 1, host.n - 2 }) : host;
}

static err *read_parts(struct arena *a, CURLU *u, struct client_url *out)
{
	const str port = part(a, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	struct client_url url = { .fragment = part(a, u, CURLUPART_FRAGMENT, 0) };
	uint64_t number;
	str host;

	TRY(check(a, u));
	curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	host = small_letters(a, part(a, u, CURLUPART_HOST, 0));
	if (curl_url_set(u, CURLUPART_HOST, host.p, 0) != CURLUE_OK)
		return bad(a, "its host is no name");
	url.text = part(a, u, CURLUPART_URL, 0);
	url.host = without_brackets(a, host);
	url.path = part(a, u, CURLUPART_PATH, 0);
	url.query = part(a, u, CURLUPART_QUERY, 0);
	url.tls = str_eq(part(a, u, CURLUPART_SCHEME, 0), S("https"));
	if (!str_to_u64(port, &number) || number == 0 || number > 65535)
		return bad(a, "its port is none");
	if (url.host.n == 0 || url.host.n > 255 || !is_ascii(url.host) || str_is_none(url.text))
		return bad(a, "its host is no name");
	if (url.text.n > CLIENT_MAX_URL)
		return bad(a, "too long");
	url.port = (uint16_t)number;
	url.origin = arena_printf(a, "%s://%.*s:%u", url.tls ? "https" : "http", STR_ARG(url.host), url.port);
	*out = url;
	return NULL;
}

static err *read_text(struct arena *a, CURLU *u, str text, unsigned flags)
{
	str host;

	if (text.n > CLIENT_MAX_URL)
		return bad(a, "too long");
	if (memchr(text.p, 0, text.n) || curl_url_set(u, CURLUPART_URL, arena_cstr(a, text), flags) != CURLUE_OK)
		return bad(a, "no URL");
	TRY(check(a, u));
	host = part(a, u, CURLUPART_HOST, 0);
	if (is_ascii(host))
		return NULL;
	TRY(map_host(a, u, host));
	text = part(a, u, CURLUPART_URL, 0);
	if (str_is_none(text) || curl_url_set(u, CURLUPART_URL, text.p, flags) != CURLUE_OK)
		return bad(a, "its host is no name");
	return NULL;
}

/* Has a scheme of its own: libcurl would take the rest for a host. */
static bool has_scheme(str text)
{
	size_t i = 0;

	while (i < text.n && ((text.p[i] | 32) >= 'a' && (text.p[i] | 32) <= 'z'))
		i++;
	return i > 0 && i + 2 < text.n && memcmp(text.p + i, "://", 3) == 0;
}

static err *parse(struct arena *a, str text, unsigned flags, struct client_url *out)
{
	AUTO_URL *u = curl_url();

	text = str_trim(text);
	if (!has_scheme(text))
		return bad(a, "neither http nor https");
	TRY(read_text(a, u, text, flags));
	return read_parts(a, u, out);
}

err *client_url_parse(struct arena *a, str text, struct client_url *out) { return parse(a, text, NORMALISE, out); }

err *client_url_parse_as_is(struct arena *a, str text, struct client_url *out)
{
	/* libcurl would encode it in a path, and let it through in a query. */
	return is_ascii(text) ? parse(a, text, AS_IS, out) : bad(a, "it is not ASCII");
}

err *client_url_join(struct arena *a, str base, str link, struct client_url *out)
{
	AUTO_URL *u = curl_url();

	TRY(read_text(a, u, base, NORMALISE));
	TRY(read_text(a, u, str_trim(link), NORMALISE));
	return read_parts(a, u, out);
}
