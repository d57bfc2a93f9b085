/* Range, If-Range, If-None-Match: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/range.h"

static void ranges(void **state)
{
	static const struct {
		const char *header;
		uint64_t length;
		struct range want;
		const char *content;
	} cases[] = {
		{ NULL, 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=0-0", 1000, { RANGE_PART, 0, 1 }, "bytes 0-0/1000" },
		{ "bytes=0-499", 1000, { RANGE_PART, 0, 500 }, "bytes 0-499/1000" },
		{ "bytes=500-", 1000, { RANGE_PART, 500, 500 }, "bytes 500-999/1000" },
		{ "bytes=999-", 1000, { RANGE_PART, 999, 1 }, "bytes 999-999/1000" },
		{ "bytes=900-2000", 1000, { RANGE_PART, 900, 100 }, "bytes 900-999/1000" },
		{ "bytes=-1", 1000, { RANGE_PART, 999, 1 }, "bytes 999-999/1000" },
		{ "bytes=-1000", 1000, { RANGE_PART, 0, 1000 }, "bytes 0-999/1000" },
		{ "bytes=-2000", 1000, { RANGE_PART, 0, 1000 }, "bytes 0-999/1000" },
		{ "BYTES= 1-2 ", 1000, { RANGE_PART, 1, 2 }, "bytes 1-2/1000" },
		/* beyond the end, and beyond 64 bits */
		{ "bytes=1000-", 1000, { RANGE_UNSATISFIABLE, 0, 0 }, "bytes */1000" },
		{ "bytes=-0", 1000, { RANGE_UNSATISFIABLE, 0, 0 }, "bytes */1000" },
		{ "bytes=5-99999999999999999999999", 1000, { RANGE_PART, 5, 995 }, "bytes 5-999/1000" },
		{ "bytes=99999999999999999999999-", 1000, { RANGE_UNSATISFIABLE, 0, 0 }, "bytes */1000" },
		{ "bytes=-99999999999999999999999", 1000, { RANGE_PART, 0, 1000 }, "bytes 0-999/1000" },
		{ "bytes=0-18446744073709551615", UINT64_MAX, { RANGE_PART, 0, UINT64_MAX }, NULL },
		/* several, and what is none */
		{ "bytes=0-1,5-6", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=5-4", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=-", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=5", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=a-b", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=1-2-3", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=--5", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=+1-2", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "lines=1-2", 1000, { RANGE_WHOLE, 0, 1000 }, NULL },
		{ "bytes=0-", 0, { RANGE_WHOLE, 0, 0 }, NULL },
		{ "bytes=-5", 0, { RANGE_WHOLE, 0, 0 }, NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct range got = range_parse(str_c(cases[i].header), cases[i].length);

		if (got.kind != cases[i].want.kind || got.first != cases[i].want.first || got.n != cases[i].want.n)
			fail_msg("%s of %" PRIu64 ": kind %d, %" PRIu64 " from %" PRIu64, cases[i].header,
				 cases[i].length, (int)got.kind, got.n, got.first);
		if (cases[i].content || got.kind == RANGE_WHOLE)
			assert_true(str_eq(range_content(a, &got, cases[i].length), str_c(cases[i].content)));
	}
}

static void if_range_takes_the_same_strong_tag_alone(void **state)
{
	(void)state;
	assert_true(range_if_range(STR_NONE, S("\"a\"")));
	assert_true(range_if_range(S(" \"a\""), S("\"a\"")));
	assert_false(range_if_range(S("\"b\""), S("\"a\"")));
	assert_false(range_if_range(S("W/\"a\""), S("\"a\"")));
	assert_false(range_if_range(S("W/\"a\""), S("W/\"a\"")));
	assert_false(range_if_range(S("Tue, 01 Jan 2030 00:00:00 GMT"), S("\"a\"")));
}

static void if_none_match_compares_weakly_with_each(void **state)
{
	static const struct {
		const char *header, *etag;
		bool want;
	} cases[] = {
		{ NULL, "\"a\"", false },
		{ "", "\"a\"", false },
		{ "*", "\"a\"", true },
		{ " * ", "\"a\"", true },
		{ "\"*\"", "\"a\"", false },
		{ "\"a\"", "\"a\"", true },
		{ "\"b\"", "\"a\"", false },
		{ "\"A\"", "\"a\"", false },
		{ "W/\"a\"", "\"a\"", true },
		{ "\"a\"", "W/\"a\"", true },
		{ "\"b\", W/\"c\" ,\"a\"", "\"a\"", true },
		{ "\"b\",,\"a\"", "\"a\"", true },
		{ "\"b,\", \"a\"", "\"a\"", true },
		{ "\"x,\"a\"", "\"a\"", false }, /* malformed: what follows is not guessed */
		{ "\"b\", a\"", "\"a\"", false },
		{ "a", "a", false },
		{ "\"", "\"", false },
		{ "W/", "\"a\"", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (range_if_none_match(str_c(cases[i].header), str_c(cases[i].etag)) != cases[i].want)
			fail_msg("If-None-Match: %s against %s", cases[i].header, cases[i].etag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(if_range_takes_the_same_strong_tag_alone),
		cmocka_unit_test(if_none_match_compares_weakly_with_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
