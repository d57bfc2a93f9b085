/*
 * parse.c - JSON text to tree, in one pass.
 *
 * No recursion: values are put on one stack of entries as they are met. An opened array or object is an entry, too, and
 * remembers which one it lies in; when it is closed, the entries above it are its children, are moved to the arena in
 * one piece (two for an object: members and values), and leave the stack. A tree therefore costs two allocations for
 * each object, one for each array, and one for each string that has escapes; strings without are borrowed from the
 * text.
 *
 * Grammar: RFC 8259, strictly. Limits are checked before memory is taken: the text's size at once, depth at each
 * opening, the count of values at each value (which bounds the stack and the tree).
 */
#include "base/b64.h"
#include "base/utf8.h"
#include "json/internal_json.h"

const struct json_limits json_limits_request = { .max_bytes = 16u << 20, .max_depth = 64, .max_values = 65536 };
const struct json_limits json_limits_event = { .max_bytes = 65536, .max_depth = 1000, .max_values = 65536 };

struct entry {
	str key; /* inside an object */
	struct json v;
};

#define NO_ENTRY    SIZE_MAX
#define FIRST_STACK 48

struct parser {
	struct arena *a;
	const char *begin, *p, *end;
	const struct json_limits *limits;
	struct entry *stack;
	size_t n, cap;
	/* The innermost array or object that is not closed, or NO_ENTRY; its v.array.n is the one around it. */
	size_t open;
	unsigned depth;
	size_t values;
	const char *bad; /* what is wrong at p */
	bool too_large;
	struct entry first[FIRST_STACK];
};

static bool fail(struct parser *ps, const char *at, const char *what)
{
	ps->bad = what;
	ps->p = at;
	return false;
}

static bool too_large(struct parser *ps, const char *what)
{
	ps->too_large = true;
	return fail(ps, ps->p, what);
}

static inline void skip_space(struct parser *ps)
{
	const char *p = ps->p;

	while (p < ps->end && (unsigned char)*p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	ps->p = p;
}

static __attribute__((noinline)) void grow_stack(struct parser *ps)
{
	const size_t cap = 2 * ps->cap;

	if (ps->stack == ps->first) {
		ps->stack = mem_alloc(cap * sizeof(*ps->stack));
		memcpy(ps->stack, ps->first, sizeof(ps->first));
	} else {
		ps->stack = mem_realloc(ps->stack, cap * sizeof(*ps->stack));
	}
	ps->cap = cap;
}

/* Four hexadecimal digits at p, or -1. */
static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const int d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* The code point of the \u escape whose digits begin at *p, a pair of surrogates taken together; -1 for none. */
static int64_t unescape_u(const char **p, const char *end)
{
	const int high = hex4(*p, end);
	int low;

	if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
		return -1;
	*p += 4;
	if (high < 0xd800 || high > 0xdbff)
		return high;
	if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return -1;
	low = hex4(*p + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	*p += 6;
	return 0x10000 + ((int64_t)(high - 0xd800) << 10) + (low - 0xdc00);
}

static char unescape_simple(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return '\0';
	}
}

/* The text between two quotes, with escapes, into the arena: never longer than it was. */
static bool unescape(struct parser *ps, const char *p, const char *end, str *out)
{
	char *const text = arena_alloc(ps->a, (size_t)(end - p)), *o = text;

	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		const size_t plain = (size_t)((slash ? slash : end) - p);

		memcpy(o, p, plain);
		o += plain;
		p += plain;
		if (!slash)
			break;
		if (p[1] == 'u') {
			int64_t cp;

			p += 2;
			cp = unescape_u(&p, end);
			if (cp < 0)
				return fail(ps, slash, "bad \\u escape");
			o += utf8_put(o, (uint32_t)cp);
		} else {
			*o = unescape_simple(p[1]);
			if (*o++ == '\0')
				return fail(ps, slash, "bad escape");
			p += 2;
		}
	}
	*out = (str){ text, (size_t)(o - text) };
	return true;
}

/* At the opening quote; afterwards behind the closing one. */
static bool parse_string(struct parser *ps, str *out)
{
	const char *const begin = ps->p + 1, *const end = ps->end;
	const char *p = begin;
	bool escaped = false;

	for (;;) {
		size_t len;

		p = json_first_special(p, end);
		if (p == end)
			return fail(ps, p, "unfinished string");
		if (*p == '"')
			break;
		if (*p == '\\') {
			/* What follows is judged when the text is unescaped; a byte that is not ASCII is refused
			 * there. */
			if (end - p < 2)
				return fail(ps, p, "unfinished string");
			escaped = true;
			p += 2;
			continue;
		}
		if ((unsigned char)*p < 0x20)
			return fail(ps, p, "control character in a string");
		/* Text beyond ASCII comes in runs. */
		do {
			len = utf8_sequence((str){ p, (size_t)(end - p) });
			if (len == 0)
				return fail(ps, p, "invalid UTF-8");
			p += len;
		} while (p < end && (unsigned char)*p >= 0x80);
	}
	ps->p = p + 1;
	if (escaped)
		return unescape(ps, begin, p, out);
	*out = (str){ begin, (size_t)(p - begin) };
	return true;
}

static inline bool is_digit(const char *p, const char *end) { return p < end && *p >= '0' && *p <= '9'; }

static const char *skip_digits(const char *p, const char *end)
{
	while (is_digit(p, end))
		p++;
	return p;
}

/* A fraction and an exponent, where they are; NULL when they are begun and not finished. */
static const char *skip_fraction(const char *p, const char *end)
{
	if (p < end && *p == '.') {
		if (!is_digit(++p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!is_digit(p, end))
			return NULL;
		p = skip_digits(p, end);
	}
	return p;
}

static bool parse_number(struct parser *ps, struct json *v)
{
	const char *const begin = ps->p, *const end = ps->end;
	const bool negative = *begin == '-';
	const char *p = begin + negative, *rest;
	uint64_t u = 0;
	bool fits = true;

	if (!is_digit(p, end))
		return fail(ps, begin, "not a value");
	if (*p == '0') {
		p++;
	} else {
		for (; is_digit(p, end); p++)
			fits = fits && !__builtin_mul_overflow(u, 10u, &u) &&
			       !__builtin_add_overflow(u, (unsigned)(*p - '0'), &u);
	}
	rest = skip_fraction(p, end);
	if (!rest)
		return fail(ps, p, "unfinished number");
	if (rest != p || !fits || u > (uint64_t)INT64_MAX + negative) {
		v->kind = JSON_NUMBER;
		v->i = 0;
	} else {
		v->kind = JSON_INT;
		v->i = (int64_t)(negative ? 0 - u : u);
	}
	v->raw = (str){ begin, (size_t)(rest - begin) };
	ps->p = rest;
	return true;
}

static bool parse_word(struct parser *ps, struct json *v)
{
	static const struct {
		str text;
		enum json_kind kind;
		bool b;
	} words[] = { { STR("true"), JSON_BOOL, true },
		      { STR("false"), JSON_BOOL, false },
		      { STR("null"), JSON_NULL, false } };
	const str rest = { ps->p, (size_t)(ps->end - ps->p) };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!str_starts(rest, words[i].text))
			continue;
		v->kind = words[i].kind;
		v->b = words[i].b;
		v->raw = str_head(rest, words[i].text.n);
		ps->p += words[i].text.n;
		return true;
	}
	return fail(ps, ps->p, "not a value");
}

/*
 * Few keys: each is compared with those before it that share its bit of a 64-bit sieve, which are hardly ever any.
 * Many: the index, which is wanted anyway, finds the pairs.
 */
static void find_dup(struct parser *ps, struct json *v)
{
	uint64_t sieve = 0;

	if (v->object.n > JSON_INDEX_FROM) {
		v->object.index = json_index_build(ps->a, v, &v->dup);
		return;
	}
	for (size_t i = 0; i < v->object.n; i++) {
		const str k = v->object.members[i].key;
		const unsigned h =
			k.n ? (unsigned)k.n + 7u * (unsigned char)k.p[0] + 13u * (unsigned char)k.p[k.n - 1] : 0;
		const uint64_t bit = (uint64_t)1 << (h & 63);

		if (sieve & bit) {
			for (size_t j = 0; j < i; j++)
				v->dup = v->dup || str_eq(v->object.members[j].key, k);
		}
		sieve |= bit;
	}
}

/* The children's entries become the open entry's; it is closed. At the closing bracket. */
static void close_open(struct parser *ps)
{
	struct entry *const e = &ps->stack[ps->open], *const child = e + 1;
	const size_t n = ps->n - ps->open - 1, around = e->v.array.n;
	struct json *values = n ? arena_alloc(ps->a, n * sizeof(*values)) : NULL;

	ps->p++;
	e->v.raw.n = (size_t)(ps->p - e->v.raw.p);
	for (size_t i = 0; i < n; i++)
		values[i] = child[i].v;
	if (e->v.kind == JSON_ARRAY) {
		struct json **items = n ? arena_alloc(ps->a, n * sizeof(*items)) : NULL;

		for (size_t i = 0; i < n; i++)
			items[i] = &values[i];
		e->v.array.items = items;
		e->v.array.n = n;
	} else {
		struct json_member *members = n ? arena_alloc(ps->a, n * sizeof(*members)) : NULL;

		for (size_t i = 0; i < n; i++)
			members[i] = (struct json_member){ child[i].key, &values[i] };
		e->v.object.members = members;
		e->v.object.n = n;
		e->v.object.index = NULL;
		find_dup(ps, &e->v);
	}
	ps->n = ps->open + 1;
	ps->open = around;
	ps->depth--;
}

/* Takes a key and its colon. */
static bool parse_key(struct parser *ps, str *key)
{
	if (ps->p == ps->end || *ps->p != '"')
		return fail(ps, ps->p, "a key is missing");
	if (!parse_string(ps, key))
		return false;
	skip_space(ps);
	if (ps->p == ps->end || *ps->p != ':')
		return fail(ps, ps->p, "a colon is missing");
	ps->p++;
	skip_space(ps);
	return true;
}

static bool open_container(struct parser *ps, struct json *v, char c)
{
	if (ps->depth == ps->limits->max_depth)
		return too_large(ps, "nested too deeply");
	ps->depth++;
	v->kind = c == '{' ? JSON_OBJECT : JSON_ARRAY;
	v->raw.p = ps->p++;
	v->array.n = ps->open;
	ps->open = ps->n - 1;
	skip_space(ps);
	return true;
}

/* One value, or the beginning of one. */
static bool parse_value(struct parser *ps, str key)
{
	struct entry *e;
	const char *const begin = ps->p;

	if (begin == ps->end)
		return fail(ps, begin, "a value is missing");
	if (ps->values == ps->limits->max_values)
		return too_large(ps, "too many values");
	ps->values++;
	if (ps->n == ps->cap)
		grow_stack(ps);
	e = &ps->stack[ps->n++];
	e->key = key;
	e->v.dup = false;
	e->v.room = 0;
	switch (*begin) {
	case '"':
		if (!parse_string(ps, &e->v.s))
			return false;
		e->v.kind = JSON_STR;
		e->v.raw = (str){ begin, (size_t)(ps->p - begin) };
		return true;
	case '{':
	case '[':
		return open_container(ps, &e->v, *begin);
	case 't':
	case 'f':
	case 'n':
		return parse_word(ps, &e->v);
	default:
		return parse_number(ps, &e->v);
	}
}

/* After a value: closes what ends here; *more when a further value is to come. */
static bool parse_after(struct parser *ps, bool *more)
{
	for (;;) {
		bool object;

		if (ps->open == NO_ENTRY) {
			*more = false;
			return true;
		}
		skip_space(ps);
		object = ps->stack[ps->open].v.kind == JSON_OBJECT;
		if (ps->p == ps->end)
			return fail(ps, ps->p, "unfinished");
		if (*ps->p == ',') {
			ps->p++;
			skip_space(ps);
			*more = true;
			return true;
		}
		if (*ps->p != (object ? '}' : ']'))
			return fail(ps, ps->p, "neither a comma nor the end");
		close_open(ps);
	}
}

static bool parse_all(struct parser *ps)
{
	bool more = true;

	skip_space(ps);
	while (more) {
		const size_t open = ps->open;
		str key = STR_NONE;

		if (open != NO_ENTRY && ps->stack[open].v.kind == JSON_OBJECT && !parse_key(ps, &key))
			return false;
		if (!parse_value(ps, key))
			return false;
		/* Just opened, and not empty: its first value is next. */
		if (ps->open != open && !(ps->p < ps->end && (*ps->p == '}' || *ps->p == ']')))
			continue;
		if (!parse_after(ps, &more))
			return false;
	}
	skip_space(ps);
	return ps->p == ps->end || fail(ps, ps->p, "something follows the value");
}

err *json_parse(struct arena *a, str text, const struct json_limits *limits, struct json **out)
{
	struct parser ps;
	err *e = NULL;

	if (text.n > limits->max_bytes)
		return err_new(a, ERR_TOO_LARGE, "JSON text of %zu bytes is too large", text.n);
	ps.a = a;
	ps.begin = ps.p = text.p;
	ps.end = text.p + text.n;
	ps.limits = limits;
	ps.stack = ps.first;
	ps.n = ps.values = 0;
	ps.cap = FIRST_STACK;
	ps.open = NO_ENTRY;
	ps.depth = 0;
	ps.too_large = false;
	if (parse_all(&ps)) {
		*out = arena_alloc(a, sizeof(**out));
		**out = ps.stack[0].v;
	} else {
		e = err_new(a, ps.too_large ? ERR_TOO_LARGE : ERR_NOT_JSON, "Not JSON at byte %zu: %s",
			    (size_t)(ps.p - ps.begin), ps.bad);
	}
	if (ps.stack != ps.first)
		mem_free(ps.stack);
	return e;
}
