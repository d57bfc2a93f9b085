/* b64.c - base64 as Matrix writes it, and hex. https://spec.matrix.org/latest/appendices/#unpadded-base64 */
#include "base/b64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static str encode(struct arena *a, str in, const char *alphabet)
{
	char *const out = arena_alloc(a, in.n / 3 * 4 + 5), *o = out;
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = in.n;

	for (; n >= 3; n -= 3, p += 3) {
		const unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];

		*o++ = alphabet[v >> 18];
		*o++ = alphabet[v >> 12 & 63];
		*o++ = alphabet[v >> 6 & 63];
		*o++ = alphabet[v & 63];
	}
	if (n) {
		const unsigned v = (unsigned)p[0] << 16 | (n == 2 ? (unsigned)p[1] << 8 : 0);

		*o++ = alphabet[v >> 18];
		*o++ = alphabet[v >> 12 & 63];
		if (n == 2)
			*o++ = alphabet[v >> 6 & 63];
	}
	*o = '\0';
	return (str){ out, (size_t)(o - out) };
}

str b64_encode(struct arena *a, str bytes) { return encode(a, bytes, standard); }

str b64url_encode(struct arena *a, str bytes) { return encode(a, bytes, url_safe); }

/* 0 to 63, or 64 for a character outside the alphabet. */
static unsigned digit(char c, bool url_only)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	if (c == '-' || (c == '+' && !url_only))
		return 62;
	if (c == '_' || (c == '/' && !url_only))
		return 63;
	return 64;
}

/* "implementations decoding Base64 SHOULD accept input with or without padding": where there is padding, it is
 * complete. */
static bool strip_padding(str *text)
{
	const size_t all = text->n;

	while (text->n && all - text->n < 2 && text->p[text->n - 1] == '=')
		text->n--;
	return (all == text->n || all % 4 == 0) && text->n % 4 != 1;
}

static str decode(struct arena *a, str text, bool url_only)
{
	unsigned char *out, *o;
	unsigned v = 0;

	if (str_is_none(text) || !strip_padding(&text))
		return STR_NONE;
	o = out = arena_alloc(a, text.n / 4 * 3 + 4);
	for (size_t i = 0; i < text.n; i++) {
		const unsigned d = digit(text.p[i], url_only);

		if (d > 63)
			return STR_NONE;
		v = v << 6 | d;
		if (i % 4 == 3) {
			*o++ = (unsigned char)(v >> 16);
			*o++ = (unsigned char)(v >> 8);
			*o++ = (unsigned char)v;
			v = 0;
		}
	}
	if (text.n % 4 == 2) {
		*o++ = (unsigned char)(v >> 4);
	} else if (text.n % 4 == 3) {
		*o++ = (unsigned char)(v >> 10);
		*o++ = (unsigned char)(v >> 2);
	}
	*o = '\0';
	return (str){ (char *)out, (size_t)(o - out) };
}

str b64_decode(struct arena *a, str text) { return decode(a, text, false); }

str b64url_decode(struct arena *a, str text) { return decode(a, text, true); }

void hex_write(char *out, str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		out[2 * i] = "0123456789abcdef"[(unsigned char)bytes.p[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[(unsigned char)bytes.p[i] & 15];
	}
	out[2 * bytes.n] = '\0';
}

str hex_encode(struct arena *a, str bytes)
{
	char *out = arena_alloc(a, 2 * bytes.n + 1);

	hex_write(out, bytes);
	return (str){ out, 2 * bytes.n };
}

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

str hex_decode(struct arena *a, str text)
{
	char *out;

	if (str_is_none(text) || text.n % 2)
		return STR_NONE;
	out = arena_alloc(a, text.n / 2 + 1);
	for (size_t i = 0; i < text.n; i += 2) {
		const int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);

		if (high < 0 || low < 0)
			return STR_NONE;
		out[i / 2] = (char)(high << 4 | low);
	}
	out[text.n / 2] = '\0';
	return (str){ out, text.n / 2 };
}
