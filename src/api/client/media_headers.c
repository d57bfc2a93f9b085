/*
 * media_headers.c - files come from anybody, and are shown by browsers: nothing in them may act in the server's name.
 *
 * The type is the uploader's word, and browsers are told to believe it (nosniff), so what is dangerous is what the word
 * names: only types that cannot run anything are shown in place. A name is the uploader's, too: it is put into the
 * header as a token, or encoded (RFC 8187), never as it came.
 */
#include "api/client/media_headers.h"

#include "base/buf.h"
#include "base/utf8.h"

/* "Servers SHOULD restrict Content-Type headers to one of the following values when serving content with
 * Content-Disposition: inline". */
static const char *const inline_types[] = {
	"text/css",   "text/plain",   "text/csv",        "application/json", "application/ld+json", "image/jpeg",
	"image/gif",  "image/png",    "image/apng",      "image/webp",       "image/avif",          "video/mp4",
	"video/webm", "video/ogg",    "video/quicktime", "audio/mp4",        "audio/webm",          "audio/aac",
	"audio/mpeg", "audio/ogg",    "audio/wave",      "audio/wav",        "audio/x-wav",         "audio/x-pn-wav",
	"audio/flac", "audio/x-flac",
};

/* The type without its parameters. */
static str essence(str type) { return str_trim(str_head(type, str_find(type, ';'))); }

/* A browser takes a type for a list, the last member of which counts: "image/png;,text/html" is a page. */
static bool is_list(str type) { return str_find(type, ',') < type.n; }

static bool is_inline(str type)
{
	if (is_list(type))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(inline_types); i++)
		if (str_eq_nocase(essence(type), str_c(inline_types[i])))
			return true;
	return false;
}

str media_content_type(struct arena *a, str type)
{
	if (str_starts_nocase(type, S("text/")) && str_find(type, ';') == type.n)
		return arena_join2(a, type, S("; charset=utf-8"));
	return type;
}

/* Control characters, what separates folders anywhere, and what turns the reading direction so that an ending is seen
 * where there is none. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '/' || c == '\\' || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

static str safe_name(struct arena *a, str name)
{
	AUTO_BUF b = BUF_INIT(4096);

	while (name.n > 0) {
		const str from = name;
		const uint32_t c = utf8_next(&name);

		if (is_unsafe(c))
			buf_byte(&b, '_');
		else
			buf_add(&b, str_head(from, from.n - name.n));
	}
	return arena_keep(a, buf_str(&b));
}

static bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/* RFC 8187: attr-char. Each is one of a token's characters, too (RFC 9110). */
static bool is_attr_char(char c) { return is_alnum(c) || (c != '\0' && strchr("!#$&+-.^_`|~", c) != NULL); }

static bool is_token(str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_attr_char(s.p[i]))
			return false;
	return s.n > 0;
}

static str ext_value(struct arena *a, str s)
{
	static const char hex[] = "0123456789ABCDEF";
	AUTO_BUF b = BUF_INIT(16384);

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];

		if (is_attr_char(s.p[i])) {
			buf_byte(&b, s.p[i]);
		} else {
			buf_byte(&b, '%');
			buf_byte(&b, hex[c >> 4]);
			buf_byte(&b, hex[c & 15]);
		}
	}
	return arena_keep(a, buf_str(&b));
}

str media_disposition(struct arena *a, str content_type, str filename)
{
	const str how = is_inline(content_type) ? S("inline") : S("attachment");
	const str name = safe_name(a, filename);

	if (str_is_empty(name))
		return how;
	if (is_token(name))
		return arena_join3(a, how, S("; filename="), name);
	return arena_join3(a, how, S("; filename*=utf-8''"), ext_value(a, name));
}

void media_headers(struct req *rq, str etag)
{
	/* "The recommended policy is". */
	reply_header(rq, "Content-Security-Policy",
		     S("sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; "
		       "style-src 'unsafe-inline'; object-src 'self';"));
	/* "The server SHOULD additionally provide Cross-Origin-Resource-Policy: cross-origin". */
	reply_header(rq, "Cross-Origin-Resource-Policy", S("cross-origin"));
	reply_header(rq, "X-Content-Type-Options", S("nosniff"));
	reply_header(rq, "Referrer-Policy", S("no-referrer"));
	reply_header(rq, "X-Robots-Tag", S("noindex, nofollow, noarchive, noimageindex"));
	/* What an address leads to never changes, but may go. Shared caches ask each time, so that who may not see it
	 * does not. */
	reply_header(rq, "Cache-Control", S("public, max-age=86400, s-maxage=0, proxy-revalidate, immutable"));
	reply_header(rq, "ETag", etag);
}
