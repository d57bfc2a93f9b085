/*
 * stream.c - an object's members as they come, by a machine that knows where it is in the outermost two levels.
 *
 * Inside a value nothing is kept but the number of open brackets and whether a string is open: where a value ends is
 * all that has to be found out, the rest is the parser's. A value that lies within one piece of the input is given out
 * as it lies there; one that does not is gathered first.
 */
#include "json/stream.h"

#include <assert.h>

#include "json/internal_json.h"

enum { KEY_MOST = 255 };
enum where {
	BEFORE_PAIR,
	STATUS,
	BEFORE,
	FIRST_KEY,
	NEXT_KEY,
	KEY,
	COLON,
	VALUE_BEGIN,
	FIRST_ELEMENT,
	NEXT_ELEMENT,
	VALUE,
	AFTER,
	END
};

struct json_stream {
	const struct json_take *takes;
	size_t n;
	json_take_fn *fn;
	void *ctx;
	enum where where;
	bool in_pair;                 /* a bracket closes behind the object */
	const struct json_take *take; /* of the member at hand; NULL: skipped */
	bool in_array;                /* ... and its elements are given out */
	/* the value (or key) at hand */
	bool scalar, in_string, escaped;
	size_t depth;
	struct buf held; /* its beginning, from earlier pieces */
};

struct json_stream *json_stream_new(const struct json_take *takes, size_t n, json_take_fn *fn, void *ctx)
{
	struct json_stream *s = MEM_NEW(struct json_stream);

	s->takes = takes;
	s->n = n;
	s->fn = fn;
	s->ctx = ctx;
	s->where = BEFORE;
	return s;
}

void json_stream_in_pair(struct json_stream *s)
{
	assert(s->where == BEFORE);
	s->where = BEFORE_PAIR;
	s->in_pair = true;
}

void json_stream_free(struct json_stream **s)
{
	if (!*s)
		return;
	buf_done(&(*s)->held);
	mem_free(*s);
	*s = NULL;
}

static err *bad(struct arena *a, const char *what) { return err_new(a, ERR_NOT_JSON, "Not JSON: %s", what); }

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static const struct json_take *take_of(const struct json_stream *s, str key)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->takes[i].key, key))
			return &s->takes[i];
	return NULL;
}

/* Where the value that is open ends, or `end` where it does not yet: *over says which. */
static const char *scan(struct json_stream *s, const char *p, const char *end, bool *over)
{
	*over = false;
	while (p < end) {
		if (s->in_string) {
			if (s->escaped) {
				s->escaped = false;
				p++;
				continue;
			}
			p = json_first_special(p, end);
			if (p == end)
				break;
			s->escaped = *p == '\\';
			s->in_string = *p != '"';
			p++;
			*over = !s->in_string && s->depth == 0;
			if (*over)
				return p;
			continue;
		}
		switch (*p) {
		case '"':
			s->in_string = true;
			break;
		case '{':
		case '[':
			s->depth++;
			break;
		case '}':
		case ']':
			if (s->depth == 0) { /* behind a number, or nothing at all, which is then no JSON */
				*over = true;
				return p;
			}
			s->depth--;
			*over = s->depth == 0;
			if (*over)
				return p + 1;
			break;
		default:
			*over = s->scalar && (*p == ',' || is_space(*p));
			if (*over)
				return p;
		}
		p++;
	}
	return p;
}

/* Bytes of the value at hand: all of them, or those of this piece. */
static err *gather(struct json_stream *s, struct arena *a, size_t max, str piece, bool over, str *out)
{
	if (s->held.n + piece.n > max)
		return err_new(a, ERR_TOO_LARGE, "a part of the answer has more than %zu bytes", max);
	*out = piece;
	if (over && s->held.n == 0)
		return NULL;
	s->held.max = max + 1;
	buf_add(&s->held, piece);
	*out = buf_str(&s->held);
	return NULL;
}

static err *take_value(struct json_stream *s, struct arena *a, str piece, bool over)
{
	str whole;

	if (s->take) {
		TRY(gather(s, a, s->take->max, piece, over, &whole));
		if (over)
			TRY(s->fn(s->ctx, (size_t)(s->take - s->takes), whole));
	}
	if (!over)
		return NULL;
	buf_reset(&s->held);
	s->where = AFTER;
	return NULL;
}

static err *take_key(struct json_stream *s, struct arena *a, str piece, bool over)
{
	str key;

	TRY(gather(s, a, KEY_MOST, piece, over, &key));
	if (!over)
		return NULL;
	s->take = take_of(s, str_head(key, key.n - 1)); /* without the quote at its end */
	buf_reset(&s->held);
	s->where = COLON;
	return NULL;
}

/* A value's first byte: not taken yet. */
static err *begin_value(struct json_stream *s, struct arena *a, char c)
{
	if (s->take && s->take->each && !s->in_array) {
		if (c != '[')
			return err_new(a, ERR_BAD_JSON, "\"%.*s\" is no array", STR_ARG(s->take->key));
		s->in_array = true;
		s->where = FIRST_ELEMENT;
		return NULL;
	}
	if (c == ',' || c == ':' || c == '}' || c == ']')
		return bad(a, "a value is missing");
	s->scalar = c != '"' && c != '{' && c != '[';
	s->in_string = s->escaped = false;
	s->depth = 0;
	s->where = VALUE;
	return NULL;
}

static err *begin_key(struct json_stream *s, struct arena *a, char c)
{
	if (c == '}' && s->where == FIRST_KEY) {
		s->where = END;
		return NULL;
	}
	if (c != '"')
		return bad(a, "a key is missing");
	s->in_string = true;
	s->escaped = false;
	s->depth = 0;
	s->where = KEY;
	return NULL;
}

static err *after_value(struct json_stream *s, struct arena *a, char c)
{
	if (c == ',') {
		s->where = s->in_array ? NEXT_ELEMENT : NEXT_KEY;
		return NULL;
	}
	if (c != (s->in_array ? ']' : '}'))
		return bad(a, "neither a comma nor the end");
	s->where = s->in_array ? AFTER : END;
	s->in_array = false;
	return NULL;
}

/* One byte between values, which is no white space. *taken: it belongs to what was before. */
static err *between(struct json_stream *s, struct arena *a, char c, bool *taken)
{
	*taken = true;
	switch (s->where) {
	case BEFORE_PAIR:
		if (c != '[')
			return err_new(a, ERR_BAD_JSON, "no pair of a number and an object");
		s->where = STATUS;
		return NULL;
	case STATUS:
		if (c == ',')
			s->where = BEFORE;
		else if (c < '0' || c > '9')
			return err_new(a, ERR_BAD_JSON, "no pair of a number and an object");
		return NULL;
	case BEFORE:
		if (c != '{')
			return err_new(a, ERR_BAD_JSON, "no JSON object");
		s->where = FIRST_KEY;
		return NULL;
	case FIRST_KEY:
	case NEXT_KEY:
		return begin_key(s, a, c);
	case COLON:
		if (c != ':')
			return bad(a, "a colon is missing");
		s->where = VALUE_BEGIN;
		return NULL;
	case FIRST_ELEMENT:
		if (c == ']') {
			s->in_array = false;
			s->where = AFTER;
			return NULL;
		}
		/* fall through */
	case NEXT_ELEMENT:
		*taken = false;
		return begin_value(s, a, c);
	case VALUE_BEGIN:
		*taken = s->take && s->take->each;
		return begin_value(s, a, c);
	case AFTER:
		return after_value(s, a, c);
	case END:
		if (!s->in_pair || c != ']')
			break;
		s->in_pair = false;
		return NULL;
	case KEY:
	case VALUE:
		break;
	}
	return bad(a, "something follows the value");
}

err *json_stream_feed(struct json_stream *s, struct arena *a, str bytes)
{
	const char *p = bytes.p, *const end = bytes.p + bytes.n;

	while (p < end) {
		const char *const begin = p;
		bool over, taken;

		if (s->where == VALUE || s->where == KEY) {
			const bool is_key = s->where == KEY;

			p = scan(s, p, end, &over);
			TRY((is_key ? take_key : take_value)(s, a, (str){ begin, (size_t)(p - begin) }, over));
			continue;
		}
		if (is_space(*p)) {
			p++;
			continue;
		}
		TRY(between(s, a, *p, &taken));
		p += taken;
	}
	return NULL;
}

err *json_stream_end(struct json_stream *s, struct arena *a)
{
	return s->where == END && !s->in_pair ? NULL : bad(a, "unfinished");
}
