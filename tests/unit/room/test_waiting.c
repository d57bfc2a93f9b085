/* test_waiting.c - who waits for others: so many in all, so many under one name, each kind in places of its own. */
#include "test.h"

#include "room/waiting.h"

static void places_run_out(void **state)
{
	static const struct waiting_bounds ours = { 0, 4, 2 }, theirs = { 4, WAITING_PLACES, WAITING_PLACES };
	struct waiting w;
	size_t at[WAITING_PLACES], more;

	(void)state;
	waiting_init(&w);
	assert_true(waiting_begin(&w, &ours, S("a"), &at[0]));
	assert_true(waiting_begin(&w, &ours, S("a"), &at[1]));
	ok(!waiting_begin(&w, &ours, S("a"), &more), "two of one name");
	assert_true(waiting_begin(&w, &ours, S("b"), &at[2]));
	assert_true(waiting_begin(&w, &ours, S("c"), &at[3]));
	ok(!waiting_begin(&w, &ours, S("d"), &more), "four in all");
	for (size_t i = 4; i < WAITING_PLACES; i++)
		assert_true(waiting_begin(&w, &theirs, S("a"), &at[i]));
	ok(!waiting_begin(&w, &theirs, S("e"), &more), "no place");
	waiting_end(&w, at[0]);
	ok(!waiting_begin(&w, &theirs, S("e"), &more), "that place is for others");
	assert_true(waiting_begin(&w, &ours, S("d"), &at[0]));
	for (size_t i = 0; i < WAITING_PLACES; i++)
		waiting_end(&w, at[i]);
	waiting_done(&w);
}

TEST_MAIN(cmocka_unit_test(places_run_out))
