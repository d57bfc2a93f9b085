/*
 * canonical.c - a tree written as text: canonical, or as it is.
 *
 * https://spec.matrix.org/latest/appendices/#canonical-json
 *
 * The text's size is known before it is written: no value becomes longer than the bytes it was parsed from (escapes
 * only get shorter, white space goes; exponents grow at most fivefold), and what was built is measured. So the result
 * is one piece of the arena, never moved. What was parsed is copied where its bytes are canonical already: every
 * integer but "-0", and strings without escapes. There is no recursion over what was parsed: depth is a peer's choice.
 */
#include <assert.h>
#include <stdlib.h>

#include "json/internal_json.h"

#define MAX_EXACT (((int64_t)1 << 53) - 1)

/* An array or object that is being written. */
struct level {
	const struct json *v;
	const struct json_member **sorted; /* NULL: in the order they have */
	size_t next;
	bool comma;
};

struct canonical {
	struct arena *a;
	char *o, *limit; /* where the next byte goes; the end of the room for the text */
	enum json_canon mode;
	VEC(struct level) levels;
};

/* Bytes that writing v takes at most. */
static size_t bound(const struct json *v)
{
	size_t n = 2;

	if (!str_is_none(v->raw))
		return v->raw.n;
	switch (v->kind) {
	case JSON_NULL:
	case JSON_BOOL:
		return 5;
	case JSON_INT:
	case JSON_NUMBER:
		return 20;
	case JSON_STR:
		return json_written_str_size(v->s);
	case JSON_ARRAY:
		JSON_ITEMS (v, i)
			n += 1 + bound(v->array.items[i]);
		return n;
	case JSON_OBJECT:
		JSON_EACH (v, m)
			n += 2 + json_written_str_size(m->key) + bound(m->value);
		return n;
	}
	return n;
}

static int compare_members(const void *x, const void *y)
{
	const struct json_member *a = *(const struct json_member *const *)x, *b = *(const struct json_member *const *)y;
	const int c = str_cmp(a->key, b->key);

	/* Among equal keys the order of the text: the last one is the one that counts. */
	return c ? c : (a > b) - (a < b);
}

static bool is_sorted(const struct json *v)
{
	for (size_t i = 1; i < v->object.n; i++)
		if (str_cmp(v->object.members[i - 1].key, v->object.members[i].key) >= 0)
			return false;
	return true;
}

/* UTF-8 sorts as code points do, byte by byte: "dictionary keys lexicographically sorted by Unicode codepoint". */
static const struct json_member **sort_members(struct arena *a, const struct json *v)
{
	const struct json_member **sorted;
	const size_t n = v->object.n;

	if (is_sorted(v))
		return NULL;
	sorted = ARENA_ARRAY(a, const struct json_member *, n);
	for (size_t i = 0; i < n; i++)
		sorted[i] = &v->object.members[i];
	if (n > JSON_INDEX_FROM) {
		qsort(sorted, n, sizeof(sorted[0]), compare_members);
		return sorted;
	}
	for (size_t i = 1; i < n; i++) {
		const struct json_member *m = sorted[i];
		size_t j = i;

		for (; j > 0 && compare_members(&sorted[j - 1], &m) > 0; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = m;
	}
	return sorted;
}

static void put(struct canonical *c, str s)
{
	assert((size_t)(c->limit - c->o) >= s.n);
	memcpy(c->o, s.p, s.n);
	c->o += s.n;
}

static inline void put_byte(struct canonical *c, char byte)
{
	assert(c->o < c->limit);
	*c->o++ = byte;
}

static void put_int(struct canonical *c, int64_t v)
{
	char digits[24];
	struct buf b = { .p = digits, .cap = sizeof(digits), .max = sizeof(digits) };

	buf_i64(&b, v);
	put(c, buf_str(&b));
}

static err *write_int(struct canonical *c, const struct json *v)
{
	/* "Numbers in the JSON must be integers in the range [-(2**53)+1, (2**53)-1]" */
	if (c->mode == JSON_CANON_STRICT && (v->i < -MAX_EXACT || v->i > MAX_EXACT))
		return err_new(c->a, ERR_BAD_JSON, "Integer out of range: %" PRId64, v->i);
	/* "negative zero -0 MUST NOT appear" */
	if (str_is_none(v->raw) || v->i == 0)
		put_int(c, v->i);
	else
		put(c, v->raw);
	return NULL;
}

/* A number with an exponent, without a fraction, that is an integer in the exact range: the appendix writes 1e10 as
 * 10000000000. */
static bool is_whole(str text, int64_t *out)
{
	const bool negative = str_starts(text, S("-"));
	const str digits = negative ? str_from(text, 1) : text;
	const size_t e = MIN(str_find(digits, 'e'), str_find(digits, 'E'));
	str power = e < digits.n ? str_from(digits, e + 1) : STR_NONE;
	uint64_t v, exponent;

	if (str_starts(power, S("+")))
		power = str_from(power, 1);
	if (!str_to_u64(str_head(digits, e), &v) || !str_to_u64(power, &exponent))
		return false;
	for (; v && v <= MAX_EXACT && exponent; exponent--)
		v *= 10;
	if (v > MAX_EXACT)
		return false;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return true;
}

/* Has it a fraction or an exponent? */
static bool is_float(str text)
{
	return str_find(text, '.') < text.n || str_find(text, 'e') < text.n || str_find(text, 'E') < text.n;
}

static err *write_number(struct canonical *c, str text)
{
	char digits[JSON_DOUBLE_MAX];
	size_t n;
	int64_t v;

	/* "Float values are not permitted by this encoding." */
	if (c->mode == JSON_CANON_STRICT)
		return err_new(c->a, ERR_BAD_JSON, "Number is no integer in range: %.*s", (int)MIN(text.n, 40), text.p);
	/* "The most notable consideration is that integers might not be in the range specified above." */
	if (c->mode == JSON_CANON_DOUBLES && is_float(text)) {
		n = json_double_text(c->a, text, digits);
		if (n == 0)
			return err_new(c->a, ERR_BAD_JSON, "Number is too large: %.*s", (int)MIN(text.n, 40), text.p);
		put(c, (str){ digits, n });
	} else if (is_whole(text, &v)) {
		put_int(c, v);
	} else {
		put(c, text);
	}
	return NULL;
}

static err *open_level(struct canonical *c, const struct json *v)
{
	const bool object = v->kind == JSON_OBJECT;

	if (object && v->dup && c->mode == JSON_CANON_STRICT)
		return err_new(c->a, ERR_BAD_JSON, "Duplicate key in an object");
	put_byte(c, object ? '{' : '[');
	vec_push(c->a, &c->levels, (struct level){ .v = v, .sorted = object ? sort_members(c->a, v) : NULL });
	return NULL;
}

static err *write_value(struct canonical *c, const struct json *v)
{
	switch (v->kind) {
	case JSON_NULL:
		put(c, S("null"));
		return NULL;
	case JSON_BOOL:
		put(c, v->b ? S("true") : S("false"));
		return NULL;
	case JSON_INT:
		return write_int(c, v);
	case JSON_NUMBER:
		return write_number(c, v->raw);
	case JSON_STR:
		/* Two quotes and nothing escaped: it is canonical as it came. */
		if (v->raw.n == v->s.n + 2)
			put(c, v->raw);
		else
			c->o = json_put_str(c->o, c->limit, v->s);
		return NULL;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return open_level(c, v);
	}
	return NULL;
}

/* The level's next value, its comma and key written; NULL at its end. */
static const struct json *next_value(struct canonical *c, struct level *l)
{
	const struct json_member *m;

	if (l->v->kind == JSON_ARRAY) {
		if (l->next == l->v->array.n)
			return NULL;
		if (l->next)
			put_byte(c, ',');
		return l->v->array.items[l->next++];
	}
	for (;;) {
		if (l->next == l->v->object.n)
			return NULL;
		m = l->sorted ? l->sorted[l->next] : &l->v->object.members[l->next];
		l->next++;
		/* A duplicate is skipped for the one after it. */
		if (l->sorted && l->next < l->v->object.n && str_eq(m->key, l->sorted[l->next]->key))
			continue;
		break;
	}
	if (l->comma)
		put_byte(c, ',');
	l->comma = true;
	c->o = json_put_str(c->o, c->limit, m->key);
	put_byte(c, ':');
	return m->value;
}

err *json_canonical(struct arena *a, const struct json *value, enum json_canon mode, str *out)
{
	/* Only here does a number grow, "1e15" the most: "1000000000000000.0". */
	const size_t most = mode == JSON_CANON_STRICT ? bound(value) : 5 * bound(value);
	char *const text = arena_alloc(a, most + 1);
	struct canonical c = { .a = a, .o = text, .limit = text + most, .mode = mode };

	TRY(write_value(&c, value));
	while (c.levels.n) {
		struct level *l = &c.levels.p[c.levels.n - 1];
		const struct json *v = next_value(&c, l);

		if (v) {
			TRY(write_value(&c, v));
		} else {
			put_byte(&c, l->v->kind == JSON_OBJECT ? '}' : ']');
			c.levels.n--;
		}
	}
	*c.o = '\0';
	*out = (str){ text, (size_t)(c.o - text) };
	return NULL;
}

/* Recursion here goes through what was built: parsed values have their bytes. */
void json_write_tree(struct buf *out, const struct json *v)
{
	bool comma = false;

	if (!str_is_none(v->raw)) {
		buf_add(out, v->raw);
		return;
	}
	switch (v->kind) {
	case JSON_NULL:
	case JSON_NUMBER:
		buf_add(out, S("null"));
		break;
	case JSON_BOOL:
		buf_add(out, v->b ? S("true") : S("false"));
		break;
	case JSON_INT:
		buf_i64(out, v->i);
		break;
	case JSON_STR:
		json_write_str(out, v->s);
		break;
	case JSON_ARRAY:
		buf_byte(out, '[');
		JSON_ITEMS (v, i) {
			if (i)
				buf_byte(out, ',');
			json_write_tree(out, v->array.items[i]);
		}
		buf_byte(out, ']');
		break;
	case JSON_OBJECT:
		buf_byte(out, '{');
		JSON_EACH (v, m) {
			if (comma)
				buf_byte(out, ',');
			comma = true;
			json_write_str(out, m->key);
			buf_byte(out, ':');
			json_write_tree(out, m->value);
		}
		buf_byte(out, '}');
		break;
	}
}
