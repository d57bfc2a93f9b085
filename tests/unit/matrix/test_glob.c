/* Globs against a slow matcher that is plainly right, and their time against patterns made to waste it. */
#include "matrix/fixture.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "matrix/glob.h"

static char fold(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c); }

/* The definition, by recursion. */
static bool slow_match(str p, str t)
{
	if (p.n == 0)
		return t.n == 0;
	if (p.p[0] == '*')
		return slow_match(str_from(p, 1), t) || (t.n > 0 && slow_match(p, str_from(t, 1)));
	if (t.n == 0)
		return false;
	if (p.p[0] == '?') {
		str rest = t;

		if (((uint8_t)t.p[0] & 0xc0) == 0x80)
			return false;
		utf8_next(&rest);
		return slow_match(str_from(p, 1), rest);
	}
	return fold(p.p[0]) == fold(t.p[0]) && slow_match(str_from(p, 1), str_from(t, 1));
}

static void matches_by_the_rules(void **state)
{
	static const struct {
		str pattern, text;
		bool matches;
	} rows[] = {
		{ STR("lunc?*"), STR("lunchtime"), true },
		{ STR("lunc?*"), STR("LUNCH"), true },
		{ STR("lunc?*"), STR(" lunch"), false },
		{ STR("lunc?*"), STR("lunc"), false },
		{ STR(""), STR(""), true },
		{ STR(""), STR("a"), false },
		{ STR("*"), STR(""), true },
		{ STR("**"), STR("abc"), true },
		{ STR("?"), STR("\xc3\xa9"), true },
		{ STR("??"), STR("\xc3\xa9"), false },
		{ STR("?b"),
		  STR("\xf0\x9f\x98\x80"
		      "b"),
		  true },
		{ STR("*?"), STR(""), false },
		{ STR("*\xc3\xa9*"), STR("caf\xc3\xa9s"), true },
		{ STR("*.evil.com"), STR("a.evil.com"), true },
		{ STR("*.evil.com"), STR("evil.com"), false },
		{ STR("[a]"), STR("a"), false },
		{ STR("\\*"), STR("\\x"), true },
		{ STR("a*b*c"), STR("aXbXbXc"), true },
		{ STR("ab*ba"), STR("aba"), false }, /* the ends may not overlap */
		{ STR("a*a"), STR("a"), false },
		{ STR("\xc3\x84rger*"), STR("\xc3\xa4RGERlich"), true }, /* beyond ASCII */
		{ STR("*\xd0\x9c\xd0\x98\xd0\xa0"), STR("\xd0\xbc\xd0\xb8\xd1\x80"), true },
		{ STR("\xce\xa3?\xcf\x82"), STR("\xcf\x83x\xce\xa3"), true },
		{ STR("\xc3\x97"), STR("\xc3\xb7"), false }, /* no letters */
		{ STR("\xc3\xa9?"), STR("\xc3\x89\xe6\x97\xa5"), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(glob_match(rows[i].pattern, rows[i].text) == rows[i].matches, "%.*s on %.*s",
		   STR_ARG(rows[i].pattern), STR_ARG(rows[i].text));
}

static void agrees_with_the_definition(void **state)
{
	static const char pattern_chars[] = "ab*?", *const text_chars[] = { "a", "b", "B", "\xc3\xa9" };
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char p[8], t[32];
		size_t np = 0, nt = 0;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		for (uint64_t r = seed >> 20, k = r % 8; k > 0; k--, r /= 4)
			p[np++] = pattern_chars[r / 8 % 4];
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		for (uint64_t r = seed >> 20, k = r % 10; k > 0; k--, r /= 4)
			for (const char *c = text_chars[r / 16 % 4]; *c; c++)
				t[nt++] = *c;
		const str pattern = { p, np }, text = { t, nt };

		ok(glob_match(pattern, text) == slow_match(pattern, text), "%.*s on %.*s", STR_ARG(pattern),
		   STR_ARG(text));
	}
}

static void crosses_words_of_the_state_set(void **state)
{
	char text[200];

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t n = 60; n < 200; n++) {
		const str whole = { text, n };

		assert_true(glob_match(whole, whole));
		assert_false(glob_match(whole, str_head(whole, n - 1)));
		assert_false(glob_match(str_head(whole, n - 1), whole));
		assert_true(glob_match(arena_join2(A, whole, S("*")), whole));
		assert_true(glob_match(arena_join3(A, str_head(whole, 59), S("*?"), str_head(whole, n - 60)), whole));
	}
}

static void matches_words_in_a_body(void **state)
{
	static const struct {
		str pattern, text;
		bool matches;
	} rows[] = {
		{ STR("ex*ple"), STR("An example event."), true }, /* the specification's examples */
		{ STR("ex*ple"), STR("exple"), true },
		{ STR("ex*ple"), STR("An exciting triple-whammy"), true },
		{ STR("ex*ple"), STR("example123"), false },
		{ STR("alice"), STR("hi Alice!"), true },
		{ STR("alice"), STR("malice"), false },
		{ STR("alice"), STR("alices"), false },
		{ STR("alice"), STR("alice_"), false },
		{ STR("alice"), STR("alices alice"), true },
		{ STR("@room"), STR("hey @room now"), true },
		{ STR("@room"), STR("hey x@room now"), false }, /* the character outside decides */
		{ STR("@room?"), STR("hey x@room now"), false },
		{ STR("Room @"), STR("hey room @"), true },
		{ STR("Room @"), STR("hey room @x"), false },
		{ STR("\xe6\x97\xa5"), STR("\xe6\x97\xa5\xe6\x9c\xac"), true }, /* only ASCII letters make words */
		{ STR("al?ce"),
		  STR("x al\xc3\xad"
		      "ce y"),
		  true },
		{ STR("a"), STR(""), false },
		{ STR("alice"), STR("alice"), true },
		{ STR("aab"), STR("aaab aab"), true }, /* what began once may begin again inside itself */
		{ STR("aa aa b"), STR("aa aa aa b"), true },
		{ STR("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"),
		  STR("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82!"), true },
		{ STR("*"), STR(""), true },
		{ STR("a*"), STR("b a"), true },
		{ STR("*a"), STR("ba b"), true },
		{ STR("*a"), STR("bab"), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(glob_match_word(rows[i].pattern, rows[i].text) == rows[i].matches, "%.*s in %.*s",
		   STR_ARG(rows[i].pattern), STR_ARG(rows[i].text));
}

/* Trying again from the last star would take 500 times longer than this allows. */
static void wasteful_patterns_waste_nothing(void **state)
{
	const size_t n = 60000;
	char *text = arena_alloc(A, n), *pattern = arena_alloc(A, GLOB_MAX + 2);

	(void)state;
	memset(text, 'a', n);
	memset(pattern, 'a', GLOB_MAX + 2);
	pattern[0] = '*';
	pattern[500] = '?';
	pattern[GLOB_MAX] = 'b';
	const int64_t start = clock_thread_us();

	assert_false(glob_match((str){ pattern, GLOB_MAX + 1 }, (str){ text, n }));
	assert_true(clock_thread_us() - start < 1000000);
	pattern[GLOB_MAX] = 'a';
	assert_true(glob_match((str){ pattern, GLOB_MAX + 1 }, (str){ text, n }));
	assert_false(glob_match((str){ pattern, GLOB_MAX + 2 }, (str){ text, n })); /* one too many */
}

/* A display name may begin and end with anything: between it and what stands beside it there must not be a word. */
static void names_stand_between_words(void **state)
{
	static const struct {
		str name, text;
		bool has;
	} rows[] = {
		{ STR("@me"), STR("x@ME"), true },
		{ STR("me!"), STR("me!x"), true },
		{ STR("me"), STR("xme"), false },
		{ STR("me"), STR("mex"), false },
		{ STR("me"), STR("_me"), false },
		{ STR("me"), STR("\xc3\xa9me"), true },
		{ STR("m*"), STR("mx"), false },
		{ STR("?"), STR("what?"), true },
		{ STR(""), STR("me"), false },
		{ STR("\xc3\x89"),
		  STR("a\xc3\xa9"
		      "b"),
		  true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(glob_has_words(rows[i].text, rows[i].name) == rows[i].has, "%.*s in %.*s", STR_ARG(rows[i].name),
		   STR_ARG(rows[i].text));
}

/* What is too long matches nothing, whichever way it would be found out. */
static void longer_patterns_match_nothing(void **state)
{
	char text[GLOB_MAX + 2];
	const str whole = { text, GLOB_MAX + 1 };

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(glob_match(str_head(whole, GLOB_MAX), str_head(whole, GLOB_MAX)));
	assert_false(glob_match(whole, whole));
	assert_true(glob_match(arena_join2(A, str_head(whole, GLOB_MAX), S("*")), whole));
	assert_false(glob_match(arena_join2(A, whole, S("*")), whole));
	assert_false(glob_match(arena_join2(A, S("*"), whole), whole));
}

static int64_t time_of(str pattern, str text)
{
	int64_t least = INT64_MAX;

	for (int round = 0; round < 5; round++) {
		const int64_t start = clock_thread_us();

		for (int i = 0; i < 200; i++)
			assert_false(glob_match(pattern, text));
		least = MIN(least, clock_thread_us() - start);
	}
	return least;
}

/* A text may hold all the bytes there are: a long pattern is not gone through for each kind of them. */
static void many_kinds_of_bytes_cost_what_one_does(void **state)
{
	char *pattern = arena_alloc(A, GLOB_MAX + 1), *same = arena_alloc(A, 1024);
	AUTO_BUF b = BUF_INIT(1024);

	(void)state;
	for (uint32_t cp = 1; cp < 0x800; cp += cp < 0x80 ? 1 : 31) {
		char c[4];

		buf_add(&b, (str){ c, utf8_put(c, cp) });
	}
	memset(pattern, '?', GLOB_MAX + 1);
	pattern[0] = '*';
	memset(same, 'a', 1024);
	assert_true(time_of((str){ pattern, GLOB_MAX + 1 }, buf_str(&b)) <
		    6 * time_of((str){ pattern, GLOB_MAX + 1 }, (str){ same, buf_str(&b).n }));
}

/* Likewise for plain text: a name that almost stands everywhere, and one that stands everywhere but inside words. */
static void wasteful_words_waste_nothing(void **state)
{
	const size_t n = 60000;
	char *text = arena_alloc(A, n), *word = arena_alloc(A, GLOB_MAX);

	(void)state;
	memset(text, 'a', n);
	memset(word, 'a', GLOB_MAX);
	word[GLOB_MAX - 1] = 'b';
	const int64_t start = clock_thread_us();

	for (int i = 0; i < 10; i++) {
		assert_false(glob_match_word((str){ word, GLOB_MAX }, (str){ text, n }));
		assert_false(glob_match_word(S("a"), (str){ text, n }));
		assert_false(glob_has_words((str){ text, n }, S("A")));
	}
	assert_true(clock_thread_us() - start < 1000000);
	assert_false(glob_has_words((str){ text, n }, (str){ text, GLOB_MAX + 1 })); /* too long a name */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(matches_by_the_rules),
		TEST(agrees_with_the_definition),
		TEST(crosses_words_of_the_state_set),
		TEST(matches_words_in_a_body),
		TEST(names_stand_between_words),
		TEST(longer_patterns_match_nothing),
		TEST(wasteful_patterns_waste_nothing),
		TEST(many_kinds_of_bytes_cost_what_one_does),
		TEST(wasteful_words_waste_nothing),
	};

	return cmocka_run_group_tests_name("matrix/glob", tests, NULL, NULL);
}
