/* values.c - the spelling of sizes, durations and numbers. */
#include "config/internal_options.h"

#include <stdlib.h>

/* Digits, then what is left: false without digits or when they do not fit. */
static bool leading_number(str text, int64_t *out, str *out_rest)
{
	size_t digits = 0;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	*out_rest = str_from(text, digits);
	return digits > 0 && str_to_i64(str_head(text, digits), out);
}

struct unit {
	str name;
	int64_t factor;
};

static bool with_unit(str text, const struct unit *units, size_t n_units, int64_t *out)
{
	int64_t value, product;
	str rest;

	if (!leading_number(text, &value, &rest))
		return false;
	for (size_t i = 0; i < n_units; i++) {
		if (!str_eq(rest, units[i].name))
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &product))
			return false;
		*out = product;
		return true;
	}
	return false;
}

bool parse_size(str text, int64_t *out)
{
	static const struct unit units[] = {
		{ STR(""), 1 },
		{ STR("K"), INT64_C(1) << 10 },
		{ STR("M"), INT64_C(1) << 20 },
		{ STR("G"), INT64_C(1) << 30 },
		{ STR("T"), INT64_C(1) << 40 },
	};

	return with_unit(text, units, ARRAY_LEN(units), out);
}

bool parse_duration(str text, int64_t *out)
{
	static const struct unit units[] = {
		{ STR(""), 1 },
		{ STR("ms"), 1 },
		{ STR("s"), 1000 },
		{ STR("m"), 60 * 1000 },
		{ STR("h"), 60 * 60 * 1000 },
		{ STR("d"), INT64_C(24) * 60 * 60 * 1000 },
		{ STR("w"), INT64_C(7) * 24 * 60 * 60 * 1000 },
		{ STR("y"), INT64_C(365) * 24 * 60 * 60 * 1000 },
	};

	return with_unit(text, units, ARRAY_LEN(units), out);
}

bool parse_number(str text, double *out)
{
	char buf[40];
	char *end;

	if (text.n == 0 || text.n >= sizeof(buf))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (!strchr("0123456789.eE+-", text.p[i]))
			return false;
	}
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
	*out = strtod(buf, &end);
	return *end == '\0' && *out >= 0 && *out <= 1e12;
}
