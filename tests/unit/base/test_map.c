/* The map against a plain array that says what must be in it, over thousands of random steps. */
#include "test.h"

#include "base/map.h"

/* https://github.com/veorq/SipHash, vectors.h: key 00..0f, messages 00, 00 01, ... of growing length. */
static void siphash_vectors(void **state)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} cases[] = {
		{ 0, 0x726fdb47dd0e0e31u }, { 1, 0x74f839c593dc67fdu },  { 7, 0xab0200f58b01d137u },
		{ 8, 0x93f5f5799a932462u }, { 15, 0xa129ca6149be45e5u }, { 63, 0x958a324ceb064572u },
	};
	uint8_t key[16], message[64];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ok(siphash(key, message, cases[i].n) == cases[i].hash, "length %zu", cases[i].n);
}

static uint32_t random_step(uint32_t *x)
{
	*x = *x * 1664525u + 1013904223u;
	return *x >> 8;
}

#define KEYS 500

static void check_all(const struct map *m, const str *keys, void *const *want)
{
	size_t n = 0, walked = 0;
	str key;
	void *value;

	for (size_t i = 0; i < KEYS; i++) {
		ok(map_get(m, keys[i]) == want[i], "key %zu", i);
		n += want[i] != NULL;
	}
	assert_int_equal(m->n, n);
	for (size_t i = 0; map_next(m, &i, &key, &value);) {
		int64_t at;

		walked++;
		assert_true(str_to_i64(str_from(key, 1), &at));
		assert_ptr_equal(value, want[at]);
	}
	assert_int_equal(walked, n);
}

static void as_a_model(struct arena *map_arena)
{
	AUTO_ARENA a = arena_new();
	struct map m;
	str keys[KEYS];
	void *want[KEYS] = { 0 };
	uint32_t x = 1;

	map_init(&m, map_arena);
	for (size_t i = 0; i < KEYS; i++)
		keys[i] = arena_printf(a, "k%zu", i);
	check_all(&m, keys, want);
	for (int step = 0; step < 50000; step++) {
		const size_t i = random_step(&x) % KEYS;

		/* Phases of growth and of shrinking. */
		if (random_step(&x) % 100 < (step / 5000 % 2 ? 30u : 70u)) {
			void *value = &keys[random_step(&x) % KEYS];

			assert_ptr_equal(map_put(&m, keys[i], value), want[i]);
			want[i] = value;
		} else {
			assert_ptr_equal(map_del(&m, keys[i]), want[i]);
			want[i] = NULL;
		}
		if (step % 1000 == 0)
			check_all(&m, keys, want);
	}
	check_all(&m, keys, want);
	map_done(&m);
}

static void model_on_the_heap(void **state)
{
	(void)state;
	as_a_model(NULL);
}

static void model_in_an_arena(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	as_a_model(a);
}

static void deleting_does_not_use_up_the_table(void **state)
{
	struct map m;
	int value;

	(void)state;
	map_init(&m, NULL);
	for (int64_t i = 0; i < 100000; i++) {
		map_put_i(&m, i, &value);
		assert_ptr_equal(map_del_i(&m, i), &value);
	}
	ok(m.cap <= 16, "%zu slots for an empty map", m.cap);
	map_done(&m);
}

static void numbers(void **state)
{
	static const int64_t keys[] = { 0, 1, -1, INT64_MAX, INT64_MIN, 1 << 20 };
	struct map m;
	size_t walked = 0;
	int64_t key;
	void *value;

	(void)state;
	map_init(&m, NULL);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_null(map_put_i(&m, keys[i], (void *)&keys[i]));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_ptr_equal(map_get_i(&m, keys[i]), &keys[i]);
	assert_null(map_get_i(&m, 2));
	for (size_t i = 0; map_next_i(&m, &i, &key, &value); walked++)
		assert_int_equal(key, *(int64_t *)value);
	assert_int_equal(walked, ARRAY_LEN(keys));
	map_done(&m);
}

static void deleting_while_walking(void **state)
{
	struct map m;
	int64_t key;
	void *value;
	size_t walked = 0;

	(void)state;
	map_init(&m, NULL);
	for (int64_t i = 0; i < 1000; i++)
		map_put_i(&m, i, &m);
	for (size_t i = 0; map_next_i(&m, &i, &key, &value); walked++)
		map_del_i(&m, key);
	assert_int_equal(walked, 1000);
	assert_int_equal(m.n, 0);
	map_done(&m);
}

/* A key usually lives in its value: after replacing, the old value may be freed. */
static void replacing_takes_the_new_key(void **state)
{
	struct map m;
	char *old = mem_alloc(3), *new = mem_alloc(3);

	(void)state;
	memcpy(old, "abc", 3);
	memcpy(new, "abc", 3);
	map_init(&m, NULL);
	map_put(&m, (str){ old, 3 }, old);
	assert_ptr_equal(map_put(&m, (str){ new, 3 }, new), old);
	mem_free(old);
	assert_ptr_equal(map_get(&m, S("abc")), new);
	map_done(&m);
	mem_free(new);
}

TEST_MAIN(cmocka_unit_test(siphash_vectors), cmocka_unit_test(model_on_the_heap), cmocka_unit_test(model_in_an_arena),
	  cmocka_unit_test(deleting_does_not_use_up_the_table), cmocka_unit_test(numbers),
	  cmocka_unit_test(deleting_while_walking), cmocka_unit_test(replacing_takes_the_new_key))
