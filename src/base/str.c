/* str.c - questions about text, none of which allocates. */
#include "base/str.h"

int str_cmp(str a, str b)
{
	const size_t n = MIN(a.n, b.n);
	const int c = n ? memcmp(a.p, b.p, n) : 0;

	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

static unsigned char lower(char c) { return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

bool str_eq_nocase(str a, str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool str_starts_nocase(str s, str prefix) { return s.n >= prefix.n && str_eq_nocase(str_head(s, prefix.n), prefix); }

size_t str_find(str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

size_t str_rfind(str s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

bool str_contains(str s, str needle)
{
	if (needle.n == 0)
		return true;
	return s.n >= needle.n && memmem(s.p, s.n, needle.p, needle.n) != NULL;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

str str_trim(str s)
{
	while (s.n && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_to_u64(str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

		if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = v;
	return true;
}

bool str_to_i64(str s, int64_t *out)
{
	const bool negative = s.n && s.p[0] == '-';
	uint64_t v;

	if (!str_to_u64(negative ? str_from(s, 1) : s, &v))
		return false;
	if (v > (uint64_t)INT64_MAX + negative)
		return false;
	/* Negated as unsigned: INT64_MIN has no positive counterpart. */
	*out = (int64_t)(negative ? 0 - v : v);
	return true;
}

bool str_split_next(str *rest, char sep, str *out_piece)
{
	const str s = *rest;
	size_t at;

	if (str_is_none(s))
		return false;
	at = str_find(s, sep);
	*out_piece = str_head(s, at);
	*rest = at < s.n ? str_from(s, at + 1) : STR_NONE;
	return true;
}

bool str_eq_secret(str a, str b)
{
	volatile unsigned char diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		diff = diff | (unsigned char)(a.p[i] ^ b.p[i]);
	return diff == 0;
}
