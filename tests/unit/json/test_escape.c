/* Every code point is written in its one canonical form, and its size is known before. */
#include "test.h"

#include "base/utf8.h"
#include "json/internal_json.h"

static void every_code_point(void **state)
{
	AUTO_BUF b = BUF_INIT(100);

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		static const char short_forms[] = {
			['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'
		};
		char in[6] = { 'x' }, want[16];
		str text = { in, 0 };
		size_t n, m;

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		n = utf8_put(in + 1, cp);
		if (cp < sizeof(short_forms) && short_forms[cp])
			m = (size_t)snprintf(want, sizeof(want), "\"x\\%cy\"", short_forms[cp]);
		else if (cp < 0x20)
			m = (size_t)snprintf(want, sizeof(want), "\"x\\u%04xy\"", (unsigned)cp);
		else
			m = (size_t)snprintf(want, sizeof(want), "\"x%.*sy\"", (int)n, in + 1);
		in[n + 1] = 'y';
		text.n = n + 2;
		buf_reset(&b);
		json_write_str(&b, text);
		if (!str_eq(buf_str(&b), (str){ want, m }) || json_written_str_size(text) != m)
			fail_msg("U+%04X: %.*s", (unsigned)cp, STR_ARG(buf_str(&b)));
	}
}

static void broken_text_is_replaced(void **state)
{
	static const struct {
		str text, want;
	} cases[] = {
		{ STR("\xff"), STR("\"\xef\xbf\xbd\"") },
		{ STR("a\xc3"), STR("\"a\xef\xbf\xbd\"") },
		{ STR("\xed\xa0\x80z"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"") },
		{ STR("0123456789abcdef\x80\n"), STR("\"0123456789abcdef\xef\xbf\xbd\\n\"") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_BUF b = BUF_INIT(100);

		json_write_str(&b, cases[i].text);
		same_str(buf_str(&b), cases[i].want);
		assert_int_equal(json_written_str_size(cases[i].text), cases[i].want.n);
	}
}

static void the_limit_is_the_written_size(void **state)
{
	AUTO_BUF exact = BUF_INIT(10), less = BUF_INIT(9), none = BUF_INIT(2);

	(void)state;
	json_write_str(&exact, S("ab\x01"));
	same_str(buf_str(&exact), S("\"ab\\u0001\""));
	json_write_str(&less, S("ab\x01"));
	assert_true(less.overflow);
	assert_int_equal(less.n, 0);
	json_write_str(&none, STR_NONE);
	same_str(buf_str(&none), S("\"\""));
}

TEST_MAIN(cmocka_unit_test(every_code_point), cmocka_unit_test(broken_text_is_replaced),
	  cmocka_unit_test(the_limit_is_the_written_size))
