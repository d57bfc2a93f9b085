/* utf8.c - strict UTF-8 (RFC 3629, table in section 4). */
#include <assert.h>

#include "base/utf8.h"

/*
 * The length of the well-formed sequence at p, 0 for none. The second byte's range depends on the first: that is what
 * shuts out overlong forms (E0 80.., F0 80..), surrogates (ED A0..) and what lies above U+10FFFF (F4 90..).
 */
static size_t sequence(const unsigned char *p, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t utf8_sequence(str s) { return s.n ? sequence((const unsigned char *)s.p, s.n) : 0; }

bool utf8_valid(str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = s.n;

	while (n) {
		uint64_t eight;
		size_t len;

		if (n >= 8 && (memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0)) {
			p += 8;
			n -= 8;
			continue;
		}
		len = sequence(p, n);
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

uint32_t utf8_next(str *s)
{
	const unsigned char *p = (const unsigned char *)s->p;
	const size_t len = utf8_sequence(*s);
	uint32_t cp;

	assert(len != 0);
	*s = str_from(*s, len);
	if (len == 1)
		return p[0];
	cp = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		cp = cp << 6 | (p[i] & 0x3f);
	return cp;
}

size_t utf8_put(char out[4], uint32_t cp)
{
	assert(cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff));
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

str utf8_cut(str s, size_t n)
{
	if (s.n <= n)
		return s;
	while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return str_head(s, n);
}
