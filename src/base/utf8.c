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

/* Capitals from first to last, `step` apart, and what makes them small. */
static const struct fold {
	uint16_t first, last;
	uint8_t step;
	int8_t add;
} folds[] = {
	{ 'A', 'Z', 1, 32 },      { 0xc0, 0xd6, 1, 32 },     { 0xd8, 0xde, 1, 32 },   { 0x100, 0x12e, 2, 1 },
	{ 0x132, 0x136, 2, 1 },   { 0x139, 0x147, 2, 1 },    { 0x14a, 0x176, 2, 1 },  { 0x178, 0x178, 1, -121 },
	{ 0x179, 0x17d, 2, 1 },   { 0x1cd, 0x1db, 2, 1 },    { 0x1de, 0x1ee, 2, 1 },  { 0x1f8, 0x21e, 2, 1 },
	{ 0x222, 0x232, 2, 1 },   { 0x386, 0x386, 1, 38 },   { 0x388, 0x38a, 1, 37 }, { 0x38c, 0x38c, 1, 64 },
	{ 0x38e, 0x38f, 1, 63 },  { 0x391, 0x3a1, 1, 32 },   { 0x3a3, 0x3ab, 1, 32 }, { 0x3c2, 0x3c2, 1, 1 },
	{ 0x400, 0x40f, 1, 80 },  { 0x410, 0x42f, 1, 32 },   { 0x460, 0x480, 2, 1 },  { 0x48a, 0x4be, 2, 1 },
	{ 0x4c1, 0x4cd, 2, 1 },   { 0x4d0, 0x52e, 2, 1 },    { 0x531, 0x556, 1, 48 }, { 0x1e00, 0x1e94, 2, 1 },
	{ 0x1ea0, 0x1efe, 2, 1 }, { 0xff21, 0xff3a, 1, 32 },
};

uint32_t utf8_fold(uint32_t cp)
{
	size_t lo = 0, hi = ARRAY_LEN(folds);

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;
		const struct fold *f = &folds[mid];

		if (cp > f->last)
			lo = mid + 1;
		else if (cp < f->first)
			hi = mid;
		else
			return (cp - f->first) % f->step ? cp : (uint32_t)((int64_t)cp + f->add);
	}
	return cp;
}
