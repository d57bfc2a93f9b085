/*
 * answer.c - says what json/ makes of each document on standard input: the other side of differential.py.
 *
 * A document comes as "<length>\n" and its bytes. The answer to each is "<length>\n" and lines: the error's code; or
 * "ok", a dump of the values that leaves no doubt (strings in hex), the loose canonical text, "strict" or "not strict",
 * and the text of the same tree built anew with the functions that build.
 */
#include <stdio.h>

#include "base/b64.h"
#include "json/writer.h"

#define MOST ((size_t)1 << 24)

static void dump(struct buf *b, struct arena *a, const struct json *j)
{
	switch (j->kind) {
	case JSON_NULL:
		buf_byte(b, 'n');
		return;
	case JSON_BOOL:
		buf_byte(b, j->b ? 't' : 'f');
		return;
	case JSON_INT:
		buf_printf(b, "i%" PRId64, j->i);
		return;
	case JSON_NUMBER:
		buf_printf(b, "N%.*s", STR_ARG(j->raw));
		return;
	case JSON_STR:
		buf_printf(b, "s%.*s", STR_ARG(hex_encode(a, j->s)));
		return;
	case JSON_ARRAY:
		buf_byte(b, '[');
		JSON_ITEMS (j, i) {
			dump(b, a, j->array.items[i]);
			buf_byte(b, ',');
		}
		buf_byte(b, ']');
		return;
	case JSON_OBJECT:
		buf_add(b, j->dup ? S("D{") : S("{"));
		JSON_EACH (j, m) {
			buf_printf(b, "%.*s:", STR_ARG(hex_encode(a, m->key)));
			dump(b, a, m->value);
			buf_byte(b, ',');
		}
		buf_byte(b, '}');
		return;
	}
}

/* Numbers that are no integers are taken over with their text. */
static const struct json *rebuild(struct arena *a, const struct json *j)
{
	struct json *made;

	switch (j->kind) {
	case JSON_NULL:
		return json_new_null(a);
	case JSON_BOOL:
		return json_new_bool(a, j->b);
	case JSON_INT:
		return json_new_int(a, j->i);
	case JSON_NUMBER:
		return j;
	case JSON_STR:
		return json_new_str(a, j->s);
	case JSON_ARRAY:
		made = json_new_array(a);
		JSON_ITEMS (j, i)
			json_append(a, made, rebuild(a, j->array.items[i]));
		return made;
	case JSON_OBJECT:
		made = json_new_object(a);
		JSON_EACH (j, m)
			json_set(a, made, m->key, rebuild(a, m->value));
		return made;
	}
	return NULL;
}

static void answer(struct buf *b, struct arena *a, str text)
{
	struct json *j;
	err *e = json_parse(a, text, &json_limits_request, &j);
	str loose, strict, doubles;
	struct jw w = jw_to(b);

	if (e) {
		buf_printf(b, "%s\n", err_errcode(e->code));
		return;
	}
	buf_add(b, S("ok\n"));
	dump(b, a, j);
	buf_byte(b, '\n');
	e = json_canonical(a, j, JSON_CANON_LOOSE, &loose);
	buf_add(b, e ? S("no loose canonical form") : loose);
	e = json_canonical(a, j, JSON_CANON_STRICT, &strict);
	buf_add(b, e ? S("\nnot strict\n") : str_eq(strict, loose) ? S("\nstrict\n") : S("\nstrict differs\n"));
	/* As Python writes floats: of what is parsed again, too. */
	e = json_canonical(a, j, JSON_CANON_DOUBLES, &doubles);
	if (!e) {
		struct json *again;
		str once_more;

		e = json_parse(a, doubles, &json_limits_request, &again);
		if (!e)
			e = json_canonical(a, again, JSON_CANON_DOUBLES, &once_more);
		if (e || !str_eq(once_more, doubles))
			doubles = S("not the same twice");
	}
	buf_add(b, e ? S("no doubles") : doubles);
	buf_byte(b, '\n');
	jw_json(&w, NULL, rebuild(a, j));
	buf_byte(b, '\n');
}

int main(void)
{
	AUTO_BUF out = BUF_INIT(MOST);
	AUTO_ARENA a = arena_new();
	char line[32];

	while (fgets(line, sizeof(line), stdin)) {
		uint64_t n;
		char *p;

		if (!str_to_u64(str_trim(str_c(line)), &n) || n > MOST)
			return 1;
		arena_reset(a);
		/* Alone in its memory, so that a read beyond the end is seen. */
		p = arena_alloc(a, n);
		if (fread(p, 1, n, stdin) != n)
			return 1;
		buf_reset(&out);
		answer(&out, a, (str){ p, n });
		if (out.overflow)
			return 1;
		printf("%zu\n", out.n);
		fwrite(out.p, 1, out.n, stdout);
		fflush(stdout);
	}
	return 0;
}
