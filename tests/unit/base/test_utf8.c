/* UTF-8: every code point there and back, and each way of writing one that is not allowed. */
#include "test.h"

#include "base/utf8.h"

static void every_code_point(void **state)
{
	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		char text[4];
		str s;

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		s = (str){ text, utf8_put(text, cp) };
		if (!utf8_valid(s) || utf8_sequence(s) != s.n || utf8_next(&s) != cp || s.n != 0)
			fail_msg("U+%04X", (unsigned)cp);
	}
}

static void what_is_refused(void **state)
{
	static const str bad[] = {
		STR("\x80"),
		STR("\xbf"),
		STR("\xc0\x80"),
		STR("\xc1\xbf"),
		STR("\xc2"),
		STR("\xc2\x41"),
		STR("\xe0\x80\x80"),
		STR("\xe0\x9f\xbf"),
		STR("\xe2\x82"),
		STR("\xe2\x82\x41"),
		STR("\xed\xa0\x80"),
		STR("\xed\xbf\xbf"),
		STR("\xf0\x80\x80\x80"),
		STR("\xf0\x8f\xbf\xbf"),
		STR("\xf4\x90\x80\x80"),
		STR("\xf5\x80\x80\x80"),
		STR("\xf0\x9f\x98"),
		STR("\xfe"),
		STR("\xff"),
		STR("\xc3\xa9\xc3"),
		STR("\xed\xa0\xbd\xed\xb8\x80"),
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ok(!utf8_valid(bad[i]), "case %zu", i);
		/* Wherever it stands: the fast path over ASCII must not step over it. */
		for (size_t before = 0; before < 20; before++) {
			str s = arena_join3(a, str_head(S("aaaaaaaaaaaaaaaaaaaa"), before), bad[i], S("bbbbbbbbbbbb"));

			ok(!utf8_valid(s), "case %zu after %zu", i, before);
			ok(!utf8_valid(str_head(s, before + bad[i].n)), "case %zu after %zu, at the end", i, before);
		}
	}
	assert_true(utf8_valid(S("")));
	assert_true(utf8_valid(STR_NONE));
	assert_true(utf8_valid(S("a\0b")));
	assert_true(utf8_valid(S("\xef\xbf\xbe\xef\xbf\xbf"))); /* noncharacters are characters to UTF-8 */
}

static void cutting(void **state)
{
	const str s = S("a\xc3\xa9\xf0\x9f\x98\x80z");

	(void)state;
	same_str(utf8_cut(s, 100), s);
	same_str(utf8_cut(s, 7), S("a\xc3\xa9\xf0\x9f\x98\x80"));
	same_str(utf8_cut(s, 6), S("a\xc3\xa9"));
	same_str(utf8_cut(s, 3), S("a\xc3\xa9"));
	same_str(utf8_cut(s, 2), S("a"));
	same_str(utf8_cut(s, 0), S(""));
}

static void folding(void **state)
{
	static const struct {
		uint32_t capital, small;
	} rows[] = {
		{ 'A', 'a' },       { 'Z', 'z' },         { '[', '[' },       { 0xc4, 0xe4 },     { 0xd7, 0xd7 },
		{ 0x130, 0x130 },   { 0x141, 0x142 },     { 0x178, 0xff },    { 0x17d, 0x17e },   { 0x218, 0x219 },
		{ 0x38f, 0x3ce },   { 0x3a9, 0x3c9 },     { 0x3c2, 0x3c3 },   { 0x401, 0x451 },   { 0x42f, 0x44f },
		{ 0x490, 0x491 },   { 0x4c0, 0x4c0 },     { 0x531, 0x561 },   { 0x1ef8, 0x1ef9 }, { 0xff21, 0xff41 },
		{ 0x65e5, 0x65e5 }, { 0x10400, 0x10400 }, { '@', '@' },       { 0xc0, 0xe0 },     { 0xd6, 0xf6 },
		{ 0xd8, 0xf8 },     { 0xde, 0xfe },       { 0xdf, 0xdf },     { 0x12e, 0x12f },   { 0x136, 0x137 },
		{ 0x138, 0x138 },   { 0x147, 0x148 },     { 0x149, 0x149 },   { 0x176, 0x177 },   { 0x17f, 0x17f },
		{ 0x1db, 0x1dc },   { 0x1dd, 0x1dd },     { 0x1ee, 0x1ef },   { 0x1f0, 0x1f0 },   { 0x21e, 0x21f },
		{ 0x220, 0x220 },   { 0x232, 0x233 },     { 0x386, 0x3ac },   { 0x38a, 0x3af },   { 0x38c, 0x3cc },
		{ 0x390, 0x390 },   { 0x3a1, 0x3c1 },     { 0x3a2, 0x3a2 },   { 0x3ab, 0x3cb },   { 0x3ac, 0x3ac },
		{ 0x40f, 0x45f },   { 0x430, 0x430 },     { 0x480, 0x481 },   { 0x482, 0x482 },   { 0x4be, 0x4bf },
		{ 0x4cd, 0x4ce },   { 0x52e, 0x52f },     { 0x530, 0x530 },   { 0x556, 0x586 },   { 0x557, 0x557 },
		{ 0x1e94, 0x1e95 }, { 0x1e96, 0x1e96 },   { 0x1efe, 0x1eff }, { 0xff3a, 0xff5a }, { 0xff3b, 0xff3b }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(utf8_fold(rows[i].capital) == rows[i].small, "U+%04X", rows[i].capital);
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		char from[4], to[4];

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		ok(utf8_put(from, cp) == utf8_put(to, utf8_fold(cp)), "U+%04X changes its length", cp);
		ok(utf8_fold(utf8_fold(cp)) == utf8_fold(cp), "U+%04X folds twice", cp);
	}
}

TEST_MAIN(cmocka_unit_test(every_code_point), cmocka_unit_test(what_is_refused), cmocka_unit_test(cutting),
	  cmocka_unit_test(folding))
