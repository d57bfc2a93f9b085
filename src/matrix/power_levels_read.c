/*
 * One level as it is written.
 *
 * From version 10 on a level is an integer of canonical JSON and nothing else. Before, it may be a string that holds an
 * integer; in versions 1 to 5, whose events need not be canonical JSON, also any other number, of which the part before
 * the decimal point counts. Levels beyond 64 bits all count as the largest one there is: they stay above every level
 * that is less, and POWER_INFINITE and POWER_NONE stay above and below them.
 *
 * Where the specification is silent it is done as Synapse does: a boolean is 0 or 1, white space is C's and beyond
 * ASCII Unicode's.
 *
 * https://spec.matrix.org/latest/rooms/v1/#deprecated-event-content-schemas
 */
#include "matrix/power_levels.h"

enum { DOUBLE_DIGITS = 309 };

/* The smallest magnitude that is rounded up to infinity as a binary64: 2^1024 - 2^970. */
static const str infinity =
	STR("179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017"
	    "977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273"
	    "854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704"
	    "342711559699508093042880177904174497792");

static int64_t clamp(bool negative, uint64_t magnitude)
{
	const int64_t most = POWER_INFINITE - 1;

	if (magnitude > (uint64_t)most)
		return negative ? -most : most;
	return negative ? -(int64_t)magnitude : (int64_t)magnitude;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Saturates. */
static uint64_t add_digit(uint64_t n, unsigned digit)
{
	if (n > (UINT64_MAX - digit) / 10)
		return UINT64_MAX;
	return n * 10 + digit;
}

/* The length of the white space at the front of s, or, `back`, at its end; 0 for none. */
static size_t space_at(str s, bool back)
{
	static const str spaces[] = {
		STR("\xc2\x85"), STR("\xc2\xa0"), STR("\u1680"), STR("\u2000"), STR("\u2001"),
		STR("\u2002"),   STR("\u2003"),   STR("\u2004"), STR("\u2005"), STR("\u2006"),
		STR("\u2007"),   STR("\u2008"),   STR("\u2009"), STR("\u200a"), STR("\u2028"),
		STR("\u2029"),   STR("\u202f"),   STR("\u205f"), STR("\u3000"),
	};
	const char c = s.n > 0 ? s.p[back ? s.n - 1 : 0] : 'x';

	if ((unsigned char)c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r');
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		if (back ? str_ends(s, spaces[i]) : str_starts(s, spaces[i]))
			return spaces[i].n;
	return 0;
}

/* "a single base 10 integer, no float values or decimal points, optionally with any number of leading zeroes;
 * optionally prefixed with a single - or + character before the integer; optionally with any number of leading or
 * trailing whitespace characters" */
static enum power_level read_text(str s, int64_t *out)
{
	bool negative = false;
	uint64_t n = 0;
	size_t space;

	while ((space = space_at(s, false)) > 0)
		s = str_from(s, space);
	while ((space = space_at(s, true)) > 0)
		s = str_head(s, s.n - space);
	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		s = str_from(s, 1);
	}
	if (s.n == 0)
		return POWER_LEVEL_UNREADABLE;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return POWER_LEVEL_UNREADABLE;
		n = add_digit(n, (unsigned)(s.p[i] - '0'));
	}
	*out = clamp(negative, n);
	return POWER_LEVEL_GOOD;
}

/* The exponent behind the 'e' of a number's text. Saturates, far beyond what 64 KiB of digits could outweigh. */
static int64_t read_exponent(str s)
{
	const bool negative = s.p[0] == '-';
	int64_t n = 0;

	for (size_t i = negative || s.p[0] == '+'; i < s.n; i++)
		n = n < INT64_C(1000000000000) ? n * 10 + (s.p[i] - '0') : n;
	return negative ? -n : n;
}

/* Is 0.DIGITS times ten to the power of DOUBLE_DIGITS, with the first digit not 0, beyond all doubles? */
static bool is_infinite(str mantissa)
{
	size_t k = 0;

	for (size_t i = 0; i < mantissa.n && k < infinity.n; i++) {
		if (mantissa.p[i] == '.')
			continue;
		if (mantissa.p[i] != infinity.p[k])
			return mantissa.p[i] > infinity.p[k];
		k++;
	}
	return k == infinity.n;
}

/* "First, exponential notation is applied: 5.114698E4 becomes 51146.98. Second, the value is truncated at the decimal
 * point: 51146.98 becomes 51146. Values outside the range represented by IEE754 binary64 (a "double") cause the
 * powerlevel event to be rejected" */
static enum power_level read_number(str s, int64_t *out)
{
	const bool negative = s.n > 0 && s.p[0] == '-';
	str mantissa = str_from(s, negative);
	int64_t point = 0; /* digits before the decimal point */
	uint64_t n = 0;
	size_t e = 0, used = 0;

	while (e < mantissa.n && mantissa.p[e] != 'e' && mantissa.p[e] != 'E')
		e++;
	if (e + 1 < mantissa.n)
		point = read_exponent(str_from(mantissa, e + 1));
	mantissa = str_head(mantissa, e);
	for (size_t i = 0; i < mantissa.n && mantissa.p[i] != '.'; i++)
		point++;
	/* Zeroes in front do not count; "0.00" is all of them. */
	while (mantissa.n > 0 && (mantissa.p[0] == '0' || mantissa.p[0] == '.')) {
		point -= mantissa.p[0] == '0';
		mantissa = str_from(mantissa, 1);
	}
	if (mantissa.n > 0 && (point > DOUBLE_DIGITS || (point == DOUBLE_DIGITS && is_infinite(mantissa))))
		return POWER_LEVEL_OUT_OF_RANGE;
	for (size_t i = 0; mantissa.n > 0 && (int64_t)used < point; i++) {
		if (i < mantissa.n && mantissa.p[i] == '.')
			continue;
		n = add_digit(n, i < mantissa.n ? (unsigned)(mantissa.p[i] - '0') : 0);
		used++;
	}
	*out = clamp(negative, n);
	return POWER_LEVEL_GOOD;
}

enum power_level power_level_read(const struct room_version *rv, const struct json *value, int64_t *out)
{
	if (!value)
		return POWER_LEVEL_ABSENT;
	if (value->kind == JSON_INT) {
		*out = value->i < 0 ? clamp(true, 0 - (uint64_t)value->i) : clamp(false, (uint64_t)value->i);
		return POWER_LEVEL_GOOD;
	}
	if (rv->level_format == LEVEL_INTEGER)
		return POWER_LEVEL_UNREADABLE;
	if (value->kind == JSON_STR)
		return read_text(value->s, out);
	if (value->kind == JSON_NUMBER && rv->level_format == LEVEL_OR_STRING_OR_FLOAT)
		return read_number(value->raw, out);
	if (value->kind == JSON_BOOL) {
		*out = value->b;
		return POWER_LEVEL_GOOD;
	}
	return POWER_LEVEL_UNREADABLE;
}
