/*
 * read.c - from a YAML tree to settings, by the table.
 *
 * Every bad value is noted with its line, so that one start shows all of them; the settings exist only when none was
 * fatal. An unknown key is no error: the file may be Synapse's, or newer than this server.
 */
#include "config/internal_options.h"

#include <stdarg.h>
#include <stdio.h>

enum { MOST_NOTES = 200 };

void note(struct reader *r, bool fatal, size_t line, str key, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	str s;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (fatal)
		r->notes->n_fatal++;
	if (r->notes->list.n >= MOST_NOTES)
		return;
	if (str_is_empty(key))
		s = arena_printf(r->a, "%.*s:%zu: %s", STR_ARG(r->name), line, text);
	else
		s = arena_printf(r->a, "%.*s:%zu: %.*s: %s", STR_ARG(r->name), line, STR_ARG(key), text);
	vec_push(r->a, &r->notes->list, (struct config_note){ .fatal = fatal, .text = s });
}

void note_expected(struct reader *r, const struct option *o, const struct ynode *n, const char *expected)
{
	const str found = ynode_describe(r->a, n);

	note(r, true, n->line, str_c(o->path), "expected %s, found %.*s", expected, STR_ARG(found));
}

#define FIELD(type, base, o) ((type *)(void *)((char *)(base) + (o)->at))

/* What is added to a time must not leave the range of times. */
static const int64_t longest = INT64_C(1000) * 365 * 24 * 3600 * 1000;

static bool out_of_range(struct reader *r, const struct option *o, const struct ynode *n, int64_t value)
{
	if (o->type == OPT_DURATION && value > longest) {
		note(r, true, n->line, str_c(o->path), "expected a duration of at most 1000y, found %.*s",
		     STR_ARG(n->text));
		return true;
	}
	if (o->max == 0 || (value >= o->min && value <= o->max))
		return false;
	if (o->type == OPT_INT)
		note(r, true, n->line, str_c(o->path),
		     "expected a whole number from %" PRId64 " to %" PRId64 ", found %.*s", o->min, o->max,
		     STR_ARG(n->text));
	else if (o->type == OPT_SIZE)
		note(r, true, n->line, str_c(o->path),
		     "expected a size from %" PRId64 " to %" PRId64 " bytes, found %.*s", o->min, o->max,
		     STR_ARG(n->text));
	else
		note(r, true, n->line, str_c(o->path),
		     "expected a duration from %" PRId64 "s to %" PRId64 "s, found %.*s", o->min / 1000, o->max / 1000,
		     STR_ARG(n->text));
	return true;
}

static bool read_number(struct reader *r, const struct option *o, void *base, const struct ynode *n)
{
	static const struct {
		enum option_type type;
		bool (*parse)(str text, int64_t *out);
		const char *expected;
	} kinds[] = {
		{ OPT_INT, str_to_i64, "a whole number" },
		{ OPT_SIZE, parse_size, "a size such as 50M" },
		{ OPT_DURATION, parse_duration, "a duration such as 5m or 7d" },
	};
	int64_t value;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].type != o->type)
			continue;
		if (n->kind != Y_SCALAR || !kinds[i].parse(n->text, &value)) {
			if (o->type == OPT_INT && o->max && n->kind == Y_SCALAR)
				note(r, true, n->line, str_c(o->path),
				     "expected a whole number from %" PRId64 " to %" PRId64 ", found \"%.*s\"", o->min,
				     o->max, STR_ARG(n->text));
			else
				note_expected(r, o, n, kinds[i].expected);
			return false;
		}
		if (out_of_range(r, o, n, value))
			return false;
		*FIELD(int64_t, base, o) = value;
	}
	return true;
}

static bool read_rate(struct reader *r, const struct option *o, void *base, const struct ynode *n)
{
	struct config_rate *rate = FIELD(struct config_rate, base, o);

	if (n->kind != Y_MAP) {
		note_expected(r, o, n, "a map such as {per_second: 0.2, burst_count: 10}");
		return false;
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct ymember *m = &n->members[i];
		const str key = arena_join3(r->a, str_c(o->path), S("."), m->key);
		double *to = str_eq(m->key, S("per_second"))    ? &rate->per_second
			     : str_eq(m->key, S("burst_count")) ? &rate->burst
								: NULL;

		if (!to) {
			note(r, false, m->line, key, "unknown and ignored; a rate has per_second and burst_count");
		} else if (m->value->kind != Y_SCALAR || !parse_number(m->value->text, to)) {
			const str found = ynode_describe(r->a, m->value);

			note(r, true, m->line, key, "expected a number not below 0, found %.*s", STR_ARG(found));
			return false;
		}
	}
	return true;
}

static bool read_choice(struct reader *r, const struct option *o, void *base, const struct ynode *n)
{
	AUTO_BUF list = BUF_INIT(400);

	for (unsigned i = 0; o->choices[i]; i++) {
		bool truth;

		if (n->kind == Y_SCALAR && str_eq(n->text, str_c(o->choices[i]))) {
			*FIELD(unsigned, base, o) = i;
			return true;
		}
		/* A bare `off` is false to YAML 1.1, and `on` is true. */
		if (ynode_bool(n, &truth) && strcmp(o->choices[i], truth ? "on" : "off") == 0) {
			*FIELD(unsigned, base, o) = i;
			return true;
		}
		buf_printf(&list, "%s%s", i == 0 ? "one of " : ", ", o->choices[i]);
	}
	buf_byte(&list, '\0');
	note_expected(r, o, n, list.p);
	return false;
}

static bool read_list(struct reader *r, const struct option *o, void *base, const struct ynode *n)
{
	str *items = ARENA_ARRAY(r->a, str, n->n + 1);

	for (size_t i = 0; n->kind == Y_LIST && i < n->n; i++) {
		const struct ynode *item = n->items[i];

		if (item->kind != Y_SCALAR || item->text.n == 0 || memchr(item->text.p, 0, item->text.n)) {
			note_expected(r, o, item, "a text");
			return false;
		}
		items[i] = item->text;
	}
	if (n->kind != Y_LIST) {
		note_expected(r, o, n, o->expected ? o->expected : "a list");
		return false;
	}
	*FIELD(struct config_list, base, o) = (struct config_list){ items, n->n };
	return true;
}

bool read_value(struct reader *r, const struct option *o, void *base, const struct ynode *n)
{
	switch (o->type) {
	case OPT_TEXT:
	case OPT_PATH:
		if (n->kind != Y_SCALAR || n->text.n == 0 || memchr(n->text.p, 0, n->text.n)) {
			note_expected(r, o, n, o->expected ? o->expected : o->type == OPT_PATH ? "a path" : "text");
			return false;
		}
		*FIELD(str, base, o) = n->text;
		return true;
	case OPT_BOOL:
		if (!ynode_bool(n, FIELD(bool, base, o))) {
			note_expected(r, o, n, "true or false");
			return false;
		}
		return true;
	case OPT_INT:
	case OPT_SIZE:
	case OPT_DURATION:
		return read_number(r, o, base, n);
	case OPT_RATE:
		return read_rate(r, o, base, n);
	case OPT_CHOICE:
		return read_choice(r, o, base, n);
	case OPT_LIST:
		return read_list(r, o, base, n);
	case OPT_JSON:
	case OPT_JSON_LIST:
		if (n->kind != (o->type == OPT_JSON ? Y_MAP : Y_LIST)) {
			note_expected(r, o, n, o->type == OPT_JSON ? "a map" : "a list");
			return false;
		}
		*FIELD(str, base, o) = ynode_json(r->a, n);
		if (str_is_none(*FIELD(str, base, o)))
			note(r, true, n->line, str_c(o->path), "is too long, or nested too deeply");
		return !str_is_none(*FIELD(str, base, o));
	case OPT_OWN:
		return true;
	}
	return true;
}

static const struct option *find_option(const struct option *table, size_t n, str path)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(str_c(table[i].path), path))
			return &table[i];
	}
	return NULL;
}

/* Is it the first part of the names of options? */
static bool is_group(const struct option *table, size_t n, str path)
{
	for (size_t i = 0; i < n; i++) {
		const str whole = str_c(table[i].path);

		if (whole.n > path.n && str_starts(whole, path) && whole.p[path.n] == '.')
			return true;
	}
	return false;
}

static void note_unknown(struct reader *r, const struct option *table, size_t n, size_t line, str path)
{
	const char *reason = ignored_reason(path);
	const str near = reason ? STR_NONE : nearest_key(table, n, path);

	if (reason)
		note(r, false, line, path, "%s", reason);
	else if (!str_is_none(near))
		note(r, false, line, path, "unknown and ignored; did you mean %.*s?", STR_ARG(near));
	else
		note(r, false, line, path, "unknown and ignored");
}

void read_map(struct reader *r, const struct option *table, size_t n, void *base, const struct ynode *map, str prefix)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct ymember *m = &map->members[i];
		const str path = arena_join2(r->a, prefix, m->key);
		const struct option *o = find_option(table, n, path);
		const struct ymember *last = ynode_member(map, m->key);

		if (last != m) {
			note(r, false, m->line, path, "stands again in line %zu, which counts", last->line);
			continue;
		}
		if (m->value->kind == Y_NULL && (o || is_group(table, n, path))) {
			if (o && o->type == OPT_DURATION && o->max == 0) /* "none", as opposed to the default */
				*FIELD(int64_t, base, o) = 0;
			continue;
		}
		if (o) {
			/* Only now: a map of rates that names one member keeps the other's default. */
			if (read_value(r, o, base, m->value) && o->read)
				o->read(r, o, m->value);
		} else if (!is_group(table, n, path)) {
			note_unknown(r, table, n, m->line, path);
		} else if (m->value->kind != Y_MAP) {
			const str found = ynode_describe(r->a, m->value);

			note(r, true, m->line, path, "expected a map, found %.*s", STR_ARG(found));
		} else {
			read_map(r, table, n, base, m->value, arena_join2(r->a, path, S(".")));
		}
	}
}

void read_defaults(struct reader *r, const struct option *table, size_t n, void *base)
{
	for (size_t i = 0; i < n; i++) {
		const struct option *o = &table[i];
		const str text = str_c(o->deflt);
		const struct ynode plain = { .kind = Y_SCALAR, .line = 0, .text = text };
		str problem;
		size_t line;

		if (!o->deflt || o->type == OPT_OWN)
			continue;
		if (o->type == OPT_PATH && str_starts(text, S("{data}")))
			continue; /* known only when data_dir is */
		if (o->type == OPT_RATE || o->type == OPT_LIST)
			read_value(r, o, base, yaml_read(r->a, text, &line, &problem));
		else
			read_value(r, o, base, &plain);
	}
}
