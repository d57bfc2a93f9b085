/* Base64 as peers write it, right and wrong. */
#include "test.h"

#include "base/b64.h"

/* RFC 4648 section 10, and the appendix "Unpadded Base64". */
static const struct {
	str bytes, text;
} vectors[] = {
	{ STR(""), STR("") },
	{ STR("f"), STR("Zg") },
	{ STR("fo"), STR("Zm8") },
	{ STR("foo"), STR("Zm9v") },
	{ STR("foob"), STR("Zm9vYg") },
	{ STR("fooba"), STR("Zm9vYmE") },
	{ STR("foobar"), STR("Zm9vYmFy") },
	{ STR("\xfb\xff\xfe\0"), STR("+//+AA") },
};

static void there_and_back(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		same_str(b64_encode(a, vectors[i].bytes), vectors[i].text);
		same_str(b64_decode(a, vectors[i].text), vectors[i].bytes);
	}
	same_str(b64url_encode(a, S("\xfb\xff\xfe\0")), S("-__-AA"));
	same_str(b64url_decode(a, S("-__-AA")), S("\xfb\xff\xfe\0"));
	for (size_t n = 0; n < 300; n++) {
		char bytes[300];

		for (size_t i = 0; i < n; i++)
			bytes[i] = (char)(i * 37 + n);
		same_str(b64_decode(a, b64_encode(a, (str){ bytes, n })), (str){ bytes, n });
		same_str(b64url_decode(a, b64url_encode(a, (str){ bytes, n })), (str){ bytes, n });
		same_str(hex_decode(a, hex_encode(a, (str){ bytes, n })), (str){ bytes, n });
	}
}

static void what_is_taken(void **state)
{
	static const struct {
		str text;
		bool plain, url;
	} cases[] = {
		{ STR("Zg=="), true, true },
		{ STR("Zm8="), true, true },
		{ STR("Zm9v"), true, true },
		{ STR("Zm9v===="), false, false },
		{ STR("Zg="), false, false },
		{ STR("Zg==="), false, false },
		{ STR("Z"), false, false },
		{ STR("Zm9vZ"), false, false },
		{ STR("Z==="), false, false },
		{ STR("="), false, false },
		{ STR("Zm9v="), false, false },
		{ STR("Zg==Zg=="), false, false },
		{ STR("Zm 9v"), false, false },
		{ STR("Zm9v\n"), false, false },
		{ STR("Zm9\0"), false, false },
		{ STR("Zm9\xc3"), false, false },
		{ STR("+//+"), true, false },
		{ STR("-__-"), true, true },
		/* Bits left over. */
		{ STR("Zh"), true, true },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ok(!str_is_none(b64_decode(a, cases[i].text)) == cases[i].plain, "%.*s", STR_ARG(cases[i].text));
		ok(!str_is_none(b64url_decode(a, cases[i].text)) == cases[i].url, "%.*s", STR_ARG(cases[i].text));
	}
	same_str(b64_decode(a, S("Zh")), S("f"));
	assert_true(str_is_none(b64_decode(a, STR_NONE)));
}

static void hex(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	same_str(hex_encode(a, S("\x00\xab\xff")), S("00abff"));
	same_str(hex_decode(a, S("00abFF")), S("\x00\xab\xff"));
	same_str(hex_decode(a, S("")), S(""));
	assert_true(str_is_none(hex_decode(a, S("0"))));
	assert_true(str_is_none(hex_decode(a, S("0g"))));
	assert_true(str_is_none(hex_decode(a, STR_NONE)));
}

TEST_MAIN(cmocka_unit_test(there_and_back), cmocka_unit_test(what_is_taken), cmocka_unit_test(hex))
