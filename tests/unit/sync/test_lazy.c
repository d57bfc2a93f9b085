/* test_lazy.c - what a device was sent: only what it surely got counts, and memory is bounded. */
#include "test.h"

#include "sync/internal_sync.h"

static const struct lazy_device phone = { 1, STR("PHONE") }, tablet = { 1, STR("TABLET") }, other = { 2, STR("PHONE") };

static void what_was_sent_counts_once_it_is_acknowledged(void **state)
{
	struct lazy *l = lazy_new(0);

	(void)state;
	lazy_sent(l, phone, 10, 20, 30, 5);
	ok(!lazy_has(l, phone, 10, 20, 30, 4), "the answer may have been lost");
	ok(lazy_has(l, phone, 10, 20, 30, 5), "came back with the answer's token");
	ok(lazy_has(l, phone, 10, 20, 0, 6), "any event");
	ok(!lazy_has(l, phone, 10, 20, 31, 6), "another event");
	ok(!lazy_has(l, phone, 11, 20, 0, 6) && !lazy_has(l, phone, 10, 21, 0, 6), "another room, another member");
	ok(!lazy_has(l, tablet, 10, 20, 0, 6) && !lazy_has(l, other, 10, 20, 0, 6), "another device, another user");
	/* Sent again later: the first time still counts. */
	lazy_sent(l, phone, 10, 20, 30, 9);
	assert_true(lazy_has(l, phone, 10, 20, 30, 5));
	lazy_sent(l, phone, 10, 20, 31, 9);
	ok(!lazy_has(l, phone, 10, 20, 0, 8), "the newer event may have been lost");
	assert_true(lazy_has(l, phone, 10, 20, 31, 9));
	lazy_free(&l);
	assert_null(l);
}

static void a_device_that_begins_anew_knows_nothing(void **state)
{
	struct lazy *l = lazy_new(0);

	(void)state;
	lazy_sent(l, phone, 10, 20, 30, 5);
	lazy_sent(l, tablet, 10, 20, 30, 5);
	lazy_forget(l, phone);
	lazy_forget(l, other);
	ok(!lazy_has(l, phone, 10, 20, 0, 9), "forgotten");
	assert_true(lazy_has(l, tablet, 10, 20, 0, 9));
	lazy_free(&l);
}

static void memory_is_bounded(void **state)
{
	struct lazy *l = lazy_new(100000);

	(void)state;
	lazy_sent(l, phone, 10, 20, 30, 5);
	for (int64_t i = 0; i < 2000; i++)
		lazy_sent(l, tablet, 10, 100 + i, 30, 5);
	ok(!lazy_has(l, phone, 10, 20, 0, 9), "the least recently used device goes for want of room");
	ok(!lazy_has(l, tablet, 10, 100, 0, 9), "one device does not go beyond the bound either");
	lazy_sent(l, phone, 10, 20, 30, 5);
	assert_true(lazy_has(l, phone, 10, 20, 0, 9));
	lazy_free(&l);
}

TEST_MAIN(cmocka_unit_test(what_was_sent_counts_once_it_is_acknowledged),
	  cmocka_unit_test(a_device_that_begins_anew_knows_nothing), cmocka_unit_test(memory_is_bounded))
