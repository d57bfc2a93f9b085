/* test_token.c - the token of /sync as text. */
#include "test.h"

#include "sync/internal_sync.h"

static void goes_there_and_back(void **state)
{
	static const struct sync_token tokens[] = {
		{ 0, 0, 0, 0, 0, 0, 0 },
		{ 7, 12345, 0xdeadbeef, 42, 12345, 0, 0 },
		{ 7, 12345, 0xdeadbeef, 42, 12344, 0, 0 },
		{ 7, 12345, 0xdeadbeef, 42, 0, 0, 0 },
		{ 7, 12345, 0xdeadbeef, 42, 12345, 43, 43 },
		{ 7, 12345, 0xdeadbeef, 42, 12345, 43, 40 },
		{ 7, 12345, 0xdeadbeef, 42, 12345, 43, 0 },
		{ -1, INT64_MAX, UINT64_MAX, INT64_MAX, 0, INT64_MAX, INT64_MAX - 1 },
		{ -1, INT64_MAX, UINT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
		struct sync_token back;
		int64_t stream;
		const str text = sync_token_write(a, &tokens[i]);

		ok(sync_token_read(text, &back), "%.*s", STR_ARG(text));
		assert_memory_equal(&back, &tokens[i], sizeof(back));
		assert_true(sync_token_stream(text, &stream));
		assert_int_equal(stream, tokens[i].stream);
	}
}

static void everything_else_is_refused(void **state)
{
	static const str bad[] = {
		STR(""),
		STR("s1"),
		STR("s1_1_2_3"),
		STR("s1_1_2_3_4_"),
		STR("s1_1_2_3_4_5"),
		STR("s1_1_2_3_4_d"),
		STR("s1_1_2_3_4_d3"),
		STR("s1_1_2_3_4_d-1"),
		STR("s1_1_2_3_4_d1_"),
		STR("s1_1_2_3_4_d1_d1"),
		STR("s1_1_2_3_4_p1_d1"),
		STR("s1_1_2_3_4_p-1"),
		STR("s1_1_2_3_4_p"),
		STR("s1_1_2_3_4_p5_t"),
		STR("s1_1_2_3_4_p5_t4_"),
		STR("s1_1_2_3_4_t4_p5"),
		STR("s1_1_2_3_4_x5"),
		STR("s2_1_2_3_4"),
		STR("s2_1_2_3_4_1"),
		STR("s1_g_2_3_4"),
		STR("s1_1_-2_3_4"),
		STR("s1_1_2_3_-4"),
		STR("s1_1__3_4"),
		STR("s1__2_3_4"),
		STR("s1_1_2_3_4 "),
		STR("s1_1_2_3_x"),
		STR("s1_A_2_3_4"),
		STR("S1_1_2_3_4"),
		STR("p12b"),
		STR("s1_11111111111111111_2_3_4"),
		STR("_____"),
		STR("s1_1_99999999999999999999_3_4"),
	};
	struct sync_token t;
	int64_t stream;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ok(!sync_token_read(bad[i], &t), "%.*s", STR_ARG(bad[i]));
		ok(!sync_token_stream(bad[i], &stream), "%.*s", STR_ARG(bad[i]));
	}
}

TEST_MAIN(cmocka_unit_test(goes_there_and_back), cmocka_unit_test(everything_else_is_refused))
