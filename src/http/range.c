/* range.c - Range, If-Range, If-None-Match: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests */
#include "http/range.h"

#include <assert.h>

/* Digits alone; one that is beyond 64 bits is as good as the greatest. */
static bool parse_pos(str s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const unsigned digit = (unsigned)s.p[i] - '0';

		if (digit > 9)
			return false;
		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*out = v;
	return true;
}

static struct range part(uint64_t first, uint64_t n) { return (struct range){ RANGE_PART, first, n }; }

struct range range_parse(str header, uint64_t length)
{
	const struct range whole = { RANGE_WHOLE, 0, length }, none = { RANGE_UNSATISFIABLE, 0, 0 };
	str rest = header, unit, from, to;
	uint64_t first, last = UINT64_MAX;

	/* "A server MAY ignore the Range header field": of nothing there is no part. */
	if (length == 0 || !str_split_next(&rest, '=', &unit) || str_is_none(rest) ||
	    !str_eq_nocase(str_trim(unit), S("bytes")))
		return whole;
	rest = str_trim(rest);
	if (str_find(rest, ',') < rest.n || str_find(rest, '-') == rest.n)
		return whole;
	str_split_next(&rest, '-', &from);
	to = rest;
	if (from.n == 0) {
		/* "If the selected representation is shorter than the specified suffix-length, the entire
		 * representation is used." */
		if (!parse_pos(to, &last))
			return whole;
		last = MIN(last, length);
		return last == 0 ? none : part(length - last, last);
	}
	if (!parse_pos(from, &first) || (to.n > 0 && !parse_pos(to, &last)))
		return whole;
	/* "An int-range is invalid if the last-pos value is present and less than first-pos." */
	if (last < first)
		return whole;
	if (first >= length)
		return none;
	return part(first, MIN(last, length - 1) - first + 1);
}

str range_content(struct arena *a, const struct range *r, uint64_t length)
{
	switch (r->kind) {
	case RANGE_PART:
		assert(r->n > 0 && r->n <= length && r->first <= length - r->n);
		return arena_printf(a, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, r->first, r->first + r->n - 1, length);
	case RANGE_UNSATISFIABLE:
		return arena_printf(a, "bytes */%" PRIu64, length);
	case RANGE_WHOLE:
		break;
	}
	return STR_NONE;
}

bool range_if_range(str header, str etag)
{
	/* "A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak." */
	return str_is_none(header) || (str_eq(str_trim(header), etag) && !str_starts(etag, S("W/")));
}

static str opaque(str etag) { return str_starts(etag, S("W/")) ? str_from(etag, 2) : etag; }

/* The next tag of a list, off its front; STR_NONE at its end, and where it is malformed. A tag may hold commas. */
static str next_tag(str *rest)
{
	str s = *rest;
	size_t n;

	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == ','))
		s = str_from(s, 1);
	s = opaque(s);
	if (s.n < 2 || *s.p != '"')
		return STR_NONE;
	n = str_find(str_from(s, 1), '"') + 2;
	if (n > s.n)
		return STR_NONE;
	*rest = str_from(s, n);
	return str_head(s, n);
}

bool range_if_none_match(str header, str etag)
{
	str rest = str_trim(header), tag;

	if (str_is_none(header))
		return false;
	if (str_eq(rest, S("*")))
		return true;
	/* "A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match" */
	while (!str_is_none(tag = next_tag(&rest)))
		if (str_eq(tag, opaque(etag)))
			return true;
	return false;
}
