/*
 * preview_rules.c - patterns for parts of addresses.
 *
 * A pattern is like a file's name (* and ?, [a-z]), or behind ^ a regular expression as Python writes them. Those are
 * translated to POSIX's extended ones, where \d and \w are no classes: a rule that silently means something else would
 * let through what it is there to stop. What cannot be translated is refused at the start.
 */
#include "media/preview_rules.h"

#include "base/buf.h"
#include "http/client_url.h"
#include "json/json.h"

#include <fnmatch.h>
#include <regex.h>

enum part { PART_SCHEME, PART_NETLOC, PART_HOSTNAME, PART_PORT, PART_PATH, PART_QUERY, PART_FRAGMENT, PART_NEVER };
static const struct {
	str name;
	enum part part;
} parts[] = {
	{ STR("scheme"), PART_SCHEME },     { STR("netloc"), PART_NETLOC },  { STR("hostname"), PART_HOSTNAME },
	{ STR("port"), PART_PORT },         { STR("path"), PART_PATH },      { STR("query"), PART_QUERY },
	{ STR("fragment"), PART_FRAGMENT }, { STR("username"), PART_NEVER }, { STR("password"), PART_NEVER },
};

struct pattern {
	enum part part;
	bool is_regex;
	regex_t regex;
	const char *glob;
	struct pattern *next; /* of the same rule */
};
struct url_rules {
	VEC(struct pattern *) list;
};

static err *bad(struct arena *a, str what, const char *why)
{
	return err_new(a, ERR_CONFIG, "url_preview_url_blacklist: %.*s %s", STR_ARG(what), why);
}

/* What \d is outside and inside of brackets. */
static str class_of(char c, bool in_brackets)
{
	switch (c) {
	case 'd':
		return in_brackets ? S("0-9") : S("[0-9]");
	case 'w':
		return in_brackets ? S("[:alnum:]_") : S("[[:alnum:]_]");
	case 's':
		return in_brackets ? S("[:space:]") : S("[[:space:]]");
	case 'D':
		return in_brackets ? STR_NONE : S("[^0-9]");
	case 'W':
		return in_brackets ? STR_NONE : S("[^[:alnum:]_]");
	case 'S':
		return in_brackets ? STR_NONE : S("[^[:space:]]");
	default:
		return S("");
	}
}

/* False: it means something that POSIX cannot say. */
static bool translate_escape(struct buf *out, char c, bool in_brackets)
{
	const bool is_word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
	const str class = class_of(c, in_brackets);

	if (class.n > 0)
		buf_add(out, class);
	else if (is_word || str_is_none(class))
		return false;
	else if (in_brackets && memchr("-]^\\", c, 4))
		return false; /* these have places of their own there */
	else
		buf_printf(out, in_brackets ? "%c" : "\\%c", c);
	return true;
}

static bool translate(struct buf *out, str regex)
{
	bool in_brackets = false;

	for (size_t i = 0; i < regex.n; i++) {
		const char c = regex.p[i];

		if (c == '\\') {
			if (++i == regex.n || !translate_escape(out, regex.p[i], in_brackets))
				return false;
			continue;
		}
		if (i > 0 && c == '?' && memchr("(*+?}", regex.p[i - 1], 5) && !in_brackets)
			return false; /* (?...), and what is not greedy */
		in_brackets = in_brackets ? c != ']' : c == '[';
		buf_byte(out, c);
	}
	buf_byte(out, '\0');
	return true;
}

static err *read_pattern(struct arena *a, str name, str text, struct pattern *p)
{
	AUTO_BUF regex = BUF_INIT(16 * text.n + 16);
	size_t i = 0;

	while (i < ARRAY_LEN(parts) && !str_eq(parts[i].name, name))
		i++;
	if (i == ARRAY_LEN(parts))
		return bad(a, name, "is no part of an address");
	if (str_is_none(text))
		return bad(a, name, "needs a pattern in quotes");
	p->part = parts[i].part;
	p->is_regex = str_starts(text, S("^"));
	p->glob = arena_cstr(a, text);
	if (!p->is_regex)
		return NULL;
	if (!translate(&regex, text) || regcomp(&p->regex, regex.p, REG_EXTENDED | REG_NOSUB) != 0) {
		p->is_regex = false;
		return bad(a, text, "is a regular expression that is not understood");
	}
	return NULL;
}

/* A number stands for its text: {port: 8080}. */
static str text_of(const struct json *j) { return json_is(j, JSON_INT) ? j->raw : json_str(j); }

static err *read_rules(struct arena *a, const struct json *list, struct url_rules *rules)
{
	JSON_ITEMS (list, i) {
		struct pattern *first = NULL;

		JSON_EACH (list->array.items[i], m) {
			struct pattern *p = ARENA_NEW(a, struct pattern);

			TRY(read_pattern(a, m->key, text_of(m->value), p));
			p->next = first;
			first = p;
			if (p->next)
				rules->list.p[rules->list.n - 1] = p;
			else
				vec_push(a, &rules->list, p);
		}
	}
	return NULL;
}

err *url_rules_new(struct arena *a, str json, struct url_rules **out)
{
	struct url_rules *rules = ARENA_NEW(a, struct url_rules);
	struct json *list;
	err *e;

	*out = rules;
	if (str_is_none(json))
		return NULL;
	if (json_parse(a, json, &json_limits_request, &list) != NULL || list->kind != JSON_ARRAY)
		return bad(a, S("it"), "is no list");
	e = read_rules(a, list, rules);
	if (e)
		url_rules_free(out);
	return e;
}

void url_rules_free(struct url_rules **rules)
{
	if (!*rules)
		return;
	for (size_t i = 0; i < (*rules)->list.n; i++) {
		for (struct pattern *p = (*rules)->list.p[i]; p; p = p->next) {
			if (p->is_regex)
				regfree(&p->regex);
		}
	}
	*rules = NULL;
}

/* "example.org." is "example.org", to the DNS and to who forbids it. */
static str hostname(const struct client_url *u)
{
	return str_ends(u->host, S(".")) ? str_head(u->host, u->host.n - 1) : u->host;
}

/* As Python's urlsplit gives it: only where one is written. STR_NONE: none is. */
static str port(struct arena *a, const struct client_url *u)
{
	const str rest = str_from(u->text, u->tls ? 8 : 7), port = arena_printf(a, "%u", u->port);
	const str authority = str_head(rest, MIN(str_find(rest, '/'), str_find(rest, '?')));

	return str_ends(authority, arena_join2(a, S(":"), port)) ? port : STR_NONE;
}

static str netloc(struct arena *a, const struct client_url *u)
{
	const str host = hostname(u), number = port(a, u);
	const str bracketed = str_find(host, ':') < host.n ? arena_join3(a, S("["), host, S("]")) : host;

	return str_is_none(number) ? bracketed : arena_join3(a, bracketed, S(":"), number);
}

static str part_of(struct arena *a, const struct client_url *u, enum part part)
{
	switch (part) {
	case PART_SCHEME:
		return u->tls ? S("https") : S("http");
	case PART_NETLOC:
		return netloc(a, u);
	case PART_HOSTNAME:
		return hostname(u);
	case PART_PORT:
		return port(a, u);
	case PART_PATH:
		return u->path;
	case PART_QUERY:
		return str_is_none(u->query) ? S("") : u->query;
	case PART_FRAGMENT:
		return str_is_none(u->fragment) ? S("") : u->fragment;
	case PART_NEVER:
		break;
	}
	return STR_NONE;
}

static bool matches(struct arena *a, const struct pattern *p, const struct client_url *u)
{
	const str text = part_of(a, u, p->part);

	if (str_is_none(text))
		return false;
	if (p->is_regex)
		return regexec(&p->regex, arena_cstr(a, text), 0, NULL, 0) == 0;
	return fnmatch(p->glob, arena_cstr(a, text), FNM_NOESCAPE) == 0;
}

bool url_rules_match(const struct url_rules *rules, const struct client_url *url)
{
	AUTO_ARENA a = arena_new();

	for (size_t i = 0; i < rules->list.n; i++) {
		const struct pattern *p = rules->list.p[i];

		while (p && matches(a, p, url))
			p = p->next;
		if (!p)
			return true;
	}
	return false;
}
