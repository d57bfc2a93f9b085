/*
 * writer.c - JSON written as a stream.
 *
 * Level 0 is outside everything and takes one value. A value in an object needs its key, by name or by jw_key before
 * it; one in an array has none: mixing that up is a bug of ours and asserted. What depends on data (the buffer's limit,
 * nesting) sticks in `failed` and in the buffer, and is asked for once, at the end.
 */
#include <assert.h>

#include "json/internal_json.h"
#include "json/writer.h"

#define MAX_DEPTH 63

static bool in_object(const struct jw *w) { return w->is_object >> w->depth & 1; }

/* `,"key":` in one piece: most of what is written are small values with short keys. */
static void name(struct jw *w, const char *key)
{
	const size_t n = strlen(key);
	const uint64_t bit = (uint64_t)1 << w->depth;
	char *p = buf_reserve(w->out, n + 4), *const start = p;

	if (p) {
		if (w->comma & bit)
			*p++ = ',';
		*p++ = '"';
		memcpy(p, key, n);
		p += n;
		*p++ = '"';
		*p++ = ':';
		buf_commit(w->out, (size_t)(p - start));
	}
	w->comma |= bit;
}

static void comma(struct jw *w)
{
	const uint64_t bit = (uint64_t)1 << w->depth;

	if (w->comma & bit) {
		assert(w->depth > 0);
		buf_byte(w->out, ',');
	}
	w->comma |= bit;
}

/* What stands before a value. */
static void before(struct jw *w, const char *key)
{
	if (in_object(w)) {
		assert((key != NULL) != w->keyed);
		w->keyed = false;
		if (key)
			name(w, key);
		return;
	}
	assert(!key);
	comma(w);
}

static void begin(struct jw *w, const char *key, char bracket)
{
	uint64_t bit;

	if (w->failed || w->depth == MAX_DEPTH) {
		/* Levels are counted on, so that each jw_end finds its own. */
		w->failed = true;
		w->depth++;
		return;
	}
	before(w, key);
	buf_byte(w->out, bracket);
	w->depth++;
	bit = (uint64_t)1 << w->depth;
	w->comma &= ~bit;
	w->is_object = bracket == '{' ? w->is_object | bit : w->is_object & ~bit;
}

void jw_object(struct jw *w, const char *key) { begin(w, key, '{'); }

void jw_array(struct jw *w, const char *key) { begin(w, key, '['); }

void jw_end(struct jw *w)
{
	assert(w->depth > 0 && !w->keyed);
	if (!w->failed)
		buf_byte(w->out, in_object(w) ? '}' : ']');
	w->depth--;
}

void jw_key(struct jw *w, str key)
{
	if (w->failed)
		return;
	assert(in_object(w) && !w->keyed);
	comma(w);
	json_write_str(w->out, key);
	buf_byte(w->out, ':');
	w->keyed = true;
}

void jw_str(struct jw *w, const char *key, str v)
{
	if (w->failed)
		return;
	before(w, key);
	json_write_str(w->out, v);
}

void jw_str_or_null(struct jw *w, const char *key, str v)
{
	if (str_is_none(v))
		jw_null(w, key);
	else
		jw_str(w, key, v);
}

void jw_int(struct jw *w, const char *key, int64_t v)
{
	if (w->failed)
		return;
	before(w, key);
	buf_i64(w->out, v);
}

void jw_bool(struct jw *w, const char *key, bool v) { jw_raw(w, key, v ? S("true") : S("false")); }

void jw_null(struct jw *w, const char *key) { jw_raw(w, key, S("null")); }

void jw_raw(struct jw *w, const char *key, str json_text)
{
	if (w->failed)
		return;
	assert(json_text.n);
	before(w, key);
	buf_add(w->out, json_text);
}

void jw_members(struct jw *w, str object_text)
{
	assert(object_text.n >= 2 && object_text.p[0] == '{' && object_text.p[object_text.n - 1] == '}');
	if (w->failed || object_text.n == 2)
		return;
	assert(in_object(w) && !w->keyed);
	comma(w);
	buf_add(w->out, (str){ object_text.p + 1, object_text.n - 2 });
}

void jw_json(struct jw *w, const char *key, const struct json *v)
{
	if (w->failed)
		return;
	before(w, key);
	if (v)
		json_write_tree(w->out, v);
	else
		buf_add(w->out, S("null"));
}

bool jw_good(const struct jw *w) { return !w->failed && !w->out->overflow && w->depth == 0 && (w->comma & 1); }
