/*
 * number.c - a number as the nearest double, in the shortest digits.
 *
 * The servers of room versions 1 to 5 read what has a fraction or an exponent into a double and hash and sign what they
 * print of it: the fewest digits that read back as the same double, of those the nearest to it; plain between 1e-4 and
 * 1e16 and then with ".0" where it is whole, else with an exponent of at least two digits. So must we, to the byte.
 *
 * libc rounds correctly both ways, so that "fewest digits" is found by trying. What it prints with n digits may fail to
 * read back although another number of n digits does: above a power of two doubles lie twice as far apart as below it,
 * and the nearest decimal can be the one below, out of reach, where the one above is not. Hence the second try.
 */
#include <assert.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/internal_json.h"

enum { MAX_DIGITS = 17 };

/* d1.d2d3... * 10^exponent */
struct decimal {
	char digits[MAX_DIGITS + 1];
	unsigned n;
	int exponent;
};

/* The text of `d` as strtod wants it: no point, which a locale could write otherwise. */
static double value_of(const struct decimal *d)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "%se%d", d->digits, d->exponent - (int)d->n + 1);
	return strtod(text, NULL);
}

/* The n digits nearest to v. */
static void nearest(double v, unsigned n, struct decimal *d)
{
	char text[48];
	const char *p = text;

	(void)snprintf(text, sizeof(text), "%.*e", (int)n - 1, v);
	d->n = 0;
	for (; *p && *p != 'e'; p++)
		if (*p >= '0' && *p <= '9')
			d->digits[d->n++] = *p;
	d->digits[d->n] = '\0';
	assert(d->n == n && *p == 'e');
	const bool negative = p[1] == '-';

	d->exponent = 0;
	for (p += 2; *p; p++)
		d->exponent = d->exponent * 10 + (*p - '0');
	if (negative)
		d->exponent = -d->exponent;
}

/* One more in the last digit. */
static void step_up(struct decimal *d)
{
	unsigned i = d->n;

	while (i > 0 && d->digits[i - 1] == '9')
		d->digits[--i] = '0';
	if (i > 0) {
		d->digits[i - 1]++;
		return;
	}
	d->digits[0] = '1';
	d->exponent++;
}

/* The best decimal of n digits: does it read back as v? */
static bool reads_back(double v, unsigned n, struct decimal *d)
{
	nearest(v, n, d);
	if (value_of(d) == v)
		return true;
	step_up(d);
	return value_of(d) == v;
}

/* How many digits the text has from the first to the last that is not zero: that many say the number, so the fewest are
 * no more. At least 1. */
static unsigned count_digits(str text)
{
	size_t n = 0, least = 0;

	for (size_t i = 0; i < text.n && text.p[i] != 'e' && text.p[i] != 'E'; i++) {
		const char c = text.p[i];

		if (c >= '0' && c <= '9')
			n += n > 0 || c != '0';
		if (c >= '1' && c <= '9')
			least = n;
	}
	return (unsigned)MIN(MAX(least, 1), MAX_DIGITS);
}

/* What n digits can say, more can: so the least is found by halving. `high` digits are known to do. */
static void shortest(double v, unsigned high, struct decimal *d)
{
	unsigned low = 1;

	while (low < high) {
		const unsigned middle = (low + high) / 2;

		if (reads_back(v, middle, d))
			high = middle;
		else
			low = middle + 1;
	}
	const bool found = reads_back(v, low, d);

	assert(found);
	/* Zeros at the end would be digits too many; the search leaves none but after a carry. */
	while (d->n > 1 && d->digits[d->n - 1] == '0')
		d->digits[--d->n] = '\0';
}

static char *put_digits(char *o, const char *p, size_t n)
{
	memcpy(o, p, n);
	return o + n;
}

static char *put_zeros(char *o, int n)
{
	for (; n > 0; n--)
		*o++ = '0';
	return o;
}

static char *put_plain(char *o, const struct decimal *d)
{
	const int whole = d->exponent + 1; /* digits before the point */

	if (whole <= 0) {
		o = put_digits(o, "0.", 2);
		o = put_zeros(o, -whole);
		return put_digits(o, d->digits, d->n);
	}
	if ((int)d->n <= whole) {
		o = put_digits(o, d->digits, d->n);
		o = put_zeros(o, whole - (int)d->n);
		return put_digits(o, ".0", 2);
	}
	o = put_digits(o, d->digits, (size_t)whole);
	*o++ = '.';
	return put_digits(o, d->digits + whole, d->n - (unsigned)whole);
}

static char *put_exponent(char *o, const struct decimal *d)
{
	*o++ = d->digits[0];
	if (d->n > 1) {
		*o++ = '.';
		o = put_digits(o, d->digits + 1, d->n - 1);
	}
	const int e = abs(d->exponent);

	*o++ = 'e';
	*o++ = d->exponent < 0 ? '-' : '+';
	if (e >= 100)
		*o++ = (char)('0' + e / 100);
	*o++ = (char)('0' + e / 10 % 10);
	*o++ = (char)('0' + e % 10);
	return o;
}

/* A number's text is ASCII of JSON's grammar; strtod would look for the locale's point. */
static double read_double(struct arena *a, str text)
{
	static const char c_point = '.';
	const struct lconv *lc = localeconv();
	char *p = arena_cstr(a, text);

	if (lc->decimal_point[0] != c_point && strlen(lc->decimal_point) == 1)
		for (char *q = p; *q; q++)
			if (*q == c_point)
				*q = lc->decimal_point[0];
	return strtod(p, NULL);
}

size_t json_double_text(struct arena *a, str text, char out[JSON_DOUBLE_MAX])
{
	const double v = read_double(a, text);
	struct decimal d;
	char *o = out;

	if (!isfinite(v))
		return 0;
	if (signbit(v))
		*o++ = '-';
	if (v == 0)
		return (size_t)(put_digits(o, "0.0", 3) - out);
	shortest(fabs(v), count_digits(text), &d);
	o = d.exponent >= -4 && d.exponent < 16 ? put_plain(o, &d) : put_exponent(o, &d);
	assert(o <= out + JSON_DOUBLE_MAX);
	return (size_t)(o - out);
}
