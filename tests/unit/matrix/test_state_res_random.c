/*
 * State resolution on random rooms of every version, against the slow model (res_property.h). Fixed seeds; a failure
 * names its version and seed. That the rooms are worth something is asserted, too: how many cases had a conflict, a
 * refusal, an auth difference that what all states have takes back, and so on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "matrix/res_property.h"

enum { EVENTS = 70, CASES = 24 };

static void run(enum state_res algorithm, uint64_t rooms, struct res_seen *seen)
{
	for (size_t v = 0; room_version_at(v); v++) {
		const struct room_version *rv = room_version_at(v);

		for (uint64_t seed = 1; rv->state_res == algorithm && seed <= rooms; seed++) {
			AUTO_ARENA a = arena_new();
			const struct draws d = { .seed = seed * 0x9e3779b97f4a7c15u + v };
			const char *complaint = res_property(a, rv, d, EVENTS, CASES, seen);

			if (complaint)
				fail_msg("version %.*s, seed %" PRIu64 ": %s", STR_ARG(rv->id), seed, complaint);
		}
	}
	print_message(
		"%zu rooms of %zu events, %zu cases; conflicts %zu refused %zu difference %zu saved %zu subgraph %zu "
		"rejected %zu climbs %zu many %zu losses %zu resets %zu\n",
		seen->rooms, seen->events / seen->rooms, seen->cases, seen->conflicts, seen->refused, seen->difference,
		seen->saved, seen->subgraph, seen->rejected, seen->climbs, seen->many, seen->losses, seen->resets);
	assert_true(seen->events / seen->rooms > 50);
	assert_true(seen->conflicts > seen->cases / 2);
	assert_true(seen->many > seen->cases / 20);
}

static void version_1_is_the_model(void **state)
{
	struct res_seen seen = { 0 };

	(void)state;
	run(STATE_RES_V1, 30, &seen);
	assert_true(seen.refused > seen.cases / 20);
	assert_true(seen.climbs > seen.cases / 4);
}

static void version_2_is_the_model(void **state)
{
	struct res_seen seen = { 0 };

	(void)state;
	run(STATE_RES_V2, 7, &seen);
	assert_true(seen.refused > seen.cases / 10);
	assert_true(seen.difference > seen.cases / 10);
	assert_true(seen.saved > seen.cases / 100);
	assert_true(seen.rejected > seen.cases / 100);
}

static void version_2_1_is_the_model(void **state)
{
	struct res_seen seen = { 0 };

	(void)state;
	run(STATE_RES_V2_1, 30, &seen);
	assert_true(seen.refused > seen.cases / 10);
	assert_true(seen.difference > seen.cases / 10);
	assert_true(seen.saved > seen.cases / 100);
	assert_true(seen.subgraph > seen.cases / 100);
}

static int setup(void **state)
{
	(void)state;
	crypto_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1_is_the_model),
		cmocka_unit_test(version_2_is_the_model),
		cmocka_unit_test(version_2_1_is_the_model),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
