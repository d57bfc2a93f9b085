/*
 * fuzz_json.c - any bytes as JSON; whatever is accepted must survive being written and read again.
 *
 * Checked are the promises of json.h: a value's raw bytes are its text; canonical text is JSON, equal to what it came
 * from, and its own canonical form, whatever order the members had; strictly canonical is what the appendix says, and
 * then it is the same text as when not strict; a tree built anew is the same tree.
 */
#include <math.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "json/writer.h"

static const struct json_limits limits = { .max_bytes = 1 << 16, .max_depth = 64, .max_values = 10000 };

static struct json *parse(struct arena *a, str text)
{
	struct json *j;

	return json_parse(a, text, &limits, &j) ? NULL : j;
}

/* The raw bytes lie in their parent's, in order, and are the value's text. */
static const char *check_raw(const struct json *j, const char *from, const char *end)
{
	const char *p = j->raw.p, *const own_end = j->raw.p + j->raw.n;

	assert(p >= from && j->raw.n > 0 && own_end <= end);
	if (j->kind == JSON_STR)
		assert(utf8_valid(j->s));
	JSON_EACH (j, m) {
		assert(utf8_valid(m->key));
		p = check_raw(m->value, p, own_end);
	}
	JSON_ITEMS (j, i)
		p = check_raw(j->array.items[i], p, own_end);
	return own_end;
}

/* Every key is found, and what is found is the last of its name. */
static void check_look_ups(const struct json *j)
{
	bool dup = false;

	JSON_EACH (j, m) {
		const struct json *last = m->value;

		JSON_EACH (j, other)
			if (other > m && str_eq(other->key, m->key))
				last = other->value;
		assert(json_get(j, m->key) == last);
		dup = dup || last != m->value;
		check_look_ups(m->value);
	}
	if (json_is(j, JSON_OBJECT))
		assert(j->dup == dup);
	JSON_ITEMS (j, i)
		check_look_ups(j->array.items[i]);
}

/* The same tree made anew; `turn`: of objects without a key that stands twice the members come in another order. */
static const struct json *rebuild(struct arena *a, const struct json *j, size_t turn)
{
	struct json *made;

	if (j->kind == JSON_OBJECT) {
		const size_t n = j->object.n;

		made = json_new_object(a);
		for (size_t i = 0; i < n; i++) {
			const size_t at = turn == 0 || j->dup ? i : turn % 2 ? n - 1 - i : (i + turn) % n;
			const struct json_member *m = &j->object.members[at];

			json_set(a, made, m->key, rebuild(a, m->value, turn));
		}
		return made;
	}
	if (j->kind == JSON_ARRAY) {
		made = json_new_array(a);
		JSON_ITEMS (j, i)
			json_append(a, made, rebuild(a, j->array.items[i], turn));
		return made;
	}
	return j->kind == JSON_STR ? json_new_str(a, j->s) : j->kind == JSON_INT ? json_new_int(a, j->i) : j;
}

/* Are all numbers such that canonical text keeps their form? (1e10 becomes an integer.) */
static bool keeps_numbers(const struct json *j)
{
	JSON_EACH (j, m)
		if (!keeps_numbers(m->value))
			return false;
	JSON_ITEMS (j, i)
		if (!keeps_numbers(j->array.items[i]))
			return false;
	return j->kind != JSON_NUMBER;
}

/* Appendix "Canonical JSON": "Numbers in the JSON must be integers in the range [-(2**53)+1, (2**53)-1]"; and a key
 * stands once. */
static bool is_strict(const struct json *j)
{
	const int64_t most = (INT64_C(1) << 53) - 1;

	JSON_EACH (j, m)
		if (!is_strict(m->value))
			return false;
	JSON_ITEMS (j, i)
		if (!is_strict(j->array.items[i]))
			return false;
	if (j->kind == JSON_INT)
		return j->i >= -most && j->i <= most;
	return j->kind != JSON_NUMBER && !(j->kind == JSON_OBJECT && j->dup);
}

static void check_canonical(struct arena *a, const struct json *j, str *out)
{
	str loose, strict, again;
	const struct json *k;

	assert(!json_canonical(a, j, JSON_CANON_LOOSE, &loose));
	assert(loose.n <= 4 * j->raw.n && utf8_valid(loose));
	/* A number may have grown past the limit on bytes. */
	k = parse(a, loose);
	if (loose.n <= limits.max_bytes) {
		assert(k && (!keeps_numbers(j) || json_equal(j, k)));
		assert(!json_canonical(a, k, JSON_CANON_LOOSE, &again) && str_eq(again, loose));
	}
	if (json_canonical(a, j, JSON_CANON_STRICT, &strict) == NULL) {
		assert(is_strict(j) && str_eq(strict, loose));
		assert(json_canonical(a, k, JSON_CANON_STRICT, &again) == NULL && str_eq(again, strict));
	} else {
		assert(!is_strict(j));
	}
	*out = loose;
}

/* The value of a number's text, and whether that is finite. */
static double number(const struct json *j)
{
	char text[400];

	if (j->raw.n >= sizeof(text))
		return 0;
	memcpy(text, j->raw.p, j->raw.n);
	text[j->raw.n] = 0;
	return strtod(text, NULL);
}

static bool is_integer(str text)
{
	return str_find(text, '.') == text.n && str_find(text, 'e') == text.n && str_find(text, 'E') == text.n;
}

static bool is_finite(const struct json *j)
{
	JSON_EACH (j, m)
		if (!is_finite(json_get(j, m->key)))
			return false;
	JSON_ITEMS (j, i)
		if (!is_finite(j->array.items[i]))
			return false;
	/* An integer of any size stays one. */
	return j->kind != JSON_NUMBER || is_integer(j->raw) || !isinf(number(j));
}

/* Do all numbers of `k` have the values that they have in `j`? */
static bool same_numbers(const struct json *j, const struct json *k)
{
	JSON_EACH (k, m)
		if (!same_numbers(json_get(j, m->key), m->value))
			return false;
	JSON_ITEMS (k, i)
		if (!same_numbers(j->array.items[i], k->array.items[i]))
			return false;
	if (k->kind == JSON_NUMBER && is_integer(k->raw))
		return str_eq(j->raw, k->raw);
	if (k->kind == JSON_INT || k->kind == JSON_NUMBER)
		return (j->kind == JSON_INT || j->kind == JSON_NUMBER) && number(j) == number(k);
	return j->kind == k->kind;
}

/* As the servers of the first room versions write it. */
static void check_doubles(struct arena *a, const struct json *j)
{
	str text, again;
	const struct json *k;

	if (json_canonical(a, j, JSON_CANON_DOUBLES, &text)) {
		assert(!is_finite(j));
		return;
	}
	if (json_canonical(a, j, JSON_CANON_STRICT, &again) == NULL)
		assert(str_eq(again, text));
	k = parse(a, text);
	if (text.n > limits.max_bytes)
		return;
	assert(k && is_finite(k) && same_numbers(j, k));
	assert(!json_canonical(a, k, JSON_CANON_DOUBLES, &again) && str_eq(again, text));
}

static void check_rebuilt(struct arena *a, const struct json *j, str canonical)
{
	const struct json *made = rebuild(a, j, 0), *back;
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);
	str again;

	assert(!json_canonical(a, made, JSON_CANON_LOOSE, &again) && str_eq(again, canonical));
	for (size_t turn = 1; turn < 4; turn++)
		assert(!json_canonical(a, rebuild(a, j, turn), JSON_CANON_LOOSE, &again) && str_eq(again, canonical));
	jw_json(&w, NULL, made);
	assert(jw_good(&w));
	/* Escapes may be longer than the characters that stood there. */
	if (buf_str(&b).n <= limits.max_bytes) {
		back = parse(a, buf_str(&b));
		assert(back && json_equal(back, made) && json_equal(made, j));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA a = arena_new();
	const str text = { (const char *)data, n };
	const struct json *j = parse(a, text);
	str canonical;

	if (!j)
		return 0;
	check_raw(j, text.p, text.p + text.n);
	check_look_ups(j);
	check_canonical(a, j, &canonical);
	check_doubles(a, j);
	check_rebuilt(a, j, canonical);
	return 0;
}
