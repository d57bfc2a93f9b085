/* One large object in pieces of every size: the same elements and members come out, and what is no such object does not
 * pass. */
#include "test.h"

#include "json/stream.h"

static const struct json_take takes[] = {
	{ STR("state"), true, 64 },
	{ STR("event"), false, 64 },
};
enum { STATE, EVENT };

struct seen {
	struct arena *a;
	str all; /* "which:value|" of each */
};

static err *take(void *ctx, size_t which, str value)
{
	struct seen *s = ctx;

	if (str_eq(value, S("\"stop\"")))
		return err_new(s->a, ERR_FORBIDDEN, "stop");
	s->all = arena_printf(s->a, "%.*s%zu:%.*s|", STR_ARG(s->all), which, STR_ARG(value));
	return NULL;
}

/* Fed in pieces of `step` bytes. */
static err *read_in(struct arena *a, str text, size_t step, bool pair, str *out)
{
	struct seen seen = { a, S("") };
	struct json_stream *s = json_stream_new(takes, ARRAY_LEN(takes), take, &seen);
	err *e = NULL;

	if (pair)
		json_stream_in_pair(s);
	for (size_t at = 0; !e && at < text.n; at += step) {
		const str piece = str_head(str_from(text, at), MIN(step, text.n - at));
		/* Alone in memory: a read beyond it is seen, and so is who holds on to it. */
		char *copy = mem_alloc(piece.n);

		memcpy(copy, piece.p, piece.n);
		e = json_stream_feed(s, a, (str){ copy, piece.n });
		mem_free(copy);
	}
	if (!e)
		e = json_stream_end(s, a);
	json_stream_free(&s);
	*out = seen.all;
	return e;
}

static void what_is_taken(void **state)
{
	static const struct {
		str text, expected;
	} cases[] = {
		{ STR("{}"), STR("") },
		{ STR(" { \"state\" : [ ] } "), STR("") },
		{ STR("{\"state\":[{\"a\":\"}]\\\"\"},[1,[2]],3 ,\"x\",null]}"),
		  STR("0:{\"a\":\"}]\\\"\"}|0:[1,[2]]|0:3|0:\"x\"|0:null|") },
		{ STR("{\"other\":{\"state\":[1]},\"n\":12,\"event\":{\"b\":[1,2]} ,\"state\":[true]}"),
		  STR("1:{\"b\":[1,2]}|0:true|") },
		{ STR("{\"event\":7}"), STR("1:7|") },
		{ STR("{\"state\":[1],\"state\":[2]}"), STR("0:1|0:2|") },
		{ STR("{\"state\":[\"\xc3\xa9\\\\\"]}"), STR("0:\"\xc3\xa9\\\\\"|") },
		/* of what is skipped no byte is held: longer than any limit */
		{ STR("{\"skipped\":[\"0123456789012345678901234567890123456789012345678901234567890123456789\"],\"event\":1}"),
		  STR("1:1|") },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t step = 1; step <= cases[i].text.n; step++) {
			str got;

			good(read_in(a, cases[i].text, step, false, &got));
			ok(str_eq(got, cases[i].expected), "case %zu in pieces of %zu: %.*s", i, step, STR_ARG(got));
		}
	}
}

static void what_is_refused(void **state)
{
	static const struct {
		str text;
		enum err_code code;
	} cases[] = {
		{ STR(""), ERR_NOT_JSON },
		{ STR("[]"), ERR_BAD_JSON },
		{ STR("{"), ERR_NOT_JSON },
		{ STR("{\"state\":{}}"), ERR_BAD_JSON },
		{ STR("{\"state\":[1}"), ERR_NOT_JSON },
		{ STR("{\"state\":[1,]}"), ERR_NOT_JSON },
		{ STR("{\"state\":[,1]}"), ERR_NOT_JSON },
		{ STR("{\"state\":[1]"), ERR_NOT_JSON },
		{ STR("{\"state\":[1] 2}"), ERR_NOT_JSON },
		{ STR("{\"event\":}"), ERR_NOT_JSON },
		{ STR("{\"event\"1}"), ERR_NOT_JSON },
		{ STR("{\"event\":1,}"), ERR_NOT_JSON },
		{ STR("{event:1}"), ERR_NOT_JSON },
		{ STR("{}x"), ERR_NOT_JSON },
		{ STR("{\"event\":\"unfinished}"), ERR_NOT_JSON },
		{ STR("{\"state\":[\"0123456789012345678901234567890123456789012345678901234567890123456789\"]}"),
		  ERR_TOO_LARGE },
		{ STR("{\"event\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
		  ERR_TOO_LARGE },
		{ STR("{\"state\":[1,\"stop\",2]}"), ERR_FORBIDDEN },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t step = 1; step <= cases[i].text.n + 1; step++) {
			str got;
			const err *e = read_in(a, cases[i].text, step, false, &got);

			ok(e && e->code == cases[i].code, "case %zu in pieces of %zu: %d", i, step,
			   e ? (int)e->code : 0);
		}
	}
}

/* "[200, {...}]" */
static void an_object_in_a_pair(void **state)
{
	static const struct {
		str text;
		enum err_code code;
	} cases[] = {
		{ STR("[200,{\"event\":1}]"), ERR_NONE },
		{ STR(" [ 200 , {\"event\":1} ] "), ERR_NONE },
		{ STR("{\"event\":1}"), ERR_BAD_JSON },
		{ STR("[\"200\",{\"event\":1}]"), ERR_BAD_JSON },
		{ STR("[200,[]]"), ERR_BAD_JSON },
		{ STR("[200,{\"event\":1}"), ERR_NOT_JSON },
		{ STR("[200,{\"event\":1},{}]"), ERR_NOT_JSON },
		{ STR("[200,{\"event\":1}]]"), ERR_NOT_JSON },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t step = 1; step <= cases[i].text.n; step++) {
			str got;
			const err *e = read_in(a, cases[i].text, step, true, &got);

			ok((e ? e->code : ERR_NONE) == cases[i].code, "case %zu in pieces of %zu: %d", i, step,
			   e ? (int)e->code : 0);
			ok(e || str_eq(got, S("1:1|")), "case %zu in pieces of %zu: %.*s", i, step, STR_ARG(got));
		}
	}
}

TEST_MAIN(cmocka_unit_test(what_is_taken), cmocka_unit_test(what_is_refused), cmocka_unit_test(an_object_in_a_pair))
