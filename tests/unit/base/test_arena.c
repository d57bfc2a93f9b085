/* Arenas of every size of piece; what was written stays where it is and as it is. */
#include "test.h"

static void pieces_do_not_overlap(void **state)
{
	/* Around the alignment, the first block, and the sizes that get a block of their own. */
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 4000, 8000, 8176, 9000, 20000, 65536, 300000 };
	AUTO_ARENA a = arena_new();
	unsigned char *pieces[20 * ARRAY_LEN(sizes)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		pieces[i] = arena_alloc(a, sizes[i % ARRAY_LEN(sizes)]);
		assert_int_equal((uintptr_t)pieces[i] % 16, 0);
		memset(pieces[i], (int)i, sizes[i % ARRAY_LEN(sizes)]);
	}
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		for (size_t j = 0; j < sizes[i % ARRAY_LEN(sizes)]; j++)
			ok(pieces[i][j] == (unsigned char)i, "piece %zu was overwritten at %zu", i, j);
}

static void use_is_counted_as_asked(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	assert_int_equal(arena_used(a), 0);
	arena_alloc(a, 1);
	arena_alloc(a, 100000);
	assert_int_equal(arena_used(a), 100001);
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	memset(arena_alloc(a, 5000), 1, 5000);
	assert_int_equal(arena_used(a), 5000);
}

static void zeroed_after_reset(void **state)
{
	AUTO_ARENA a = arena_new();
	char *p;

	(void)state;
	memset(arena_alloc(a, 4000), 0xff, 4000);
	arena_reset(a);
	p = arena_zalloc(a, 4000);
	for (size_t i = 0; i < 4000; i++)
		ok(p[i] == 0, "byte %zu is left from before", i);
}

static void texts(void **state)
{
	AUTO_ARENA a = arena_new();
	const char source[] = "hello";
	str kept = arena_keep(a, (str){ source, 5 });

	(void)state;
	same_str(kept, S("hello"));
	assert_ptr_not_equal(kept.p, source);
	assert_int_equal(kept.p[5], 0);
	assert_true(str_is_none(arena_keep(a, STR_NONE)));
	same_str(arena_keep(a, S("")), S(""));
	same_str(arena_keep(a, S("a\0b")), S("a\0b"));
	same_str(arena_printf(a, "%d-%s", 7, "x"), S("7-x"));
	same_str(arena_join2(a, S("a"), S("bc")), S("abc"));
	same_str(arena_join3(a, S("a"), STR_NONE, S("d")), S("ad"));
	assert_string_equal(arena_cstr(a, S("room")), "room");
	assert_string_equal(arena_cstr(a, STR_NONE), "");
}

static void long_printf(void **state)
{
	AUTO_ARENA a = arena_new();
	str s = arena_printf(a, "%0100000d", 1);

	(void)state;
	assert_int_equal(s.n, 100000);
	assert_int_equal(s.p[99999], '1');
}

static void vectors_grow(void **state)
{
	AUTO_ARENA a = arena_new();
	VEC(size_t) v = { 0 };
	VEC(str) w = { 0 };

	(void)state;
	/* Two at once: only one can lie last in the arena and grow in place. */
	for (size_t i = 0; i < 10000; i++) {
		vec_push(a, &v, i);
		if (i % 3 == 0)
			vec_push(a, &w, arena_printf(a, "%zu", i));
	}
	assert_int_equal(v.n, 10000);
	for (size_t i = 0; i < v.n; i++)
		assert_int_equal(v.p[i], i);
	for (size_t i = 0; i < w.n; i++)
		same_str(w.p[i], arena_printf(a, "%zu", 3 * i));
}

static void freeing_twice_is_fine(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	arena_free(&a);
	assert_null(a);
	arena_free(&a);
	arena_free(NULL);
}

static void owned_memory(void **state)
{
	str s = str_keep(S("owned"));
	char *p = mem_zalloc(0);

	(void)state;
	same_str(s, S("owned"));
	mem_free((void *)s.p);
	assert_true(str_is_none(str_keep(STR_NONE)));
	p = mem_realloc(p, 100);
	memset(p, 1, 100);
	mem_free(p);
	mem_free(NULL);
}

static void overflow_of_sizes(void)
{
	struct arena *a = arena_new();

	arena_calloc(a, SIZE_MAX / 2, 4);
}

static void too_large_ends_the_process(void **state)
{
	(void)state;
	assert_true(dies(overflow_of_sizes));
}

TEST_MAIN(cmocka_unit_test(pieces_do_not_overlap), cmocka_unit_test(use_is_counted_as_asked),
	  cmocka_unit_test(zeroed_after_reset), cmocka_unit_test(texts), cmocka_unit_test(long_printf),
	  cmocka_unit_test(vectors_grow), cmocka_unit_test(freeing_twice_is_fine), cmocka_unit_test(owned_memory),
	  cmocka_unit_test(too_large_ends_the_process))
