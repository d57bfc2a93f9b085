/* test_members.c - a user's memberships in memory: believed only while nothing changed. */
#include "test.h"

#include "sync/internal_sync.h"

static const struct member_row rows[] = {
	{ .room = 7, .membership = MEMBER_INVITE, .stripped = STR("[]") },
	{ .room = 3, .membership = MEMBER_JOIN, .displayname = STR("A") },
	{ .room = 5, .membership = MEMBER_JOIN },
};

static void a_list_is_good_until_a_membership_changes(void **state)
{
	struct members *m = members_new(0);
	struct bus_known known = { .position = 50, .since = 40 };
	const struct member_row *row;
	AUTO_ARENA a = arena_new();
	struct member_list list;

	(void)state;
	ok(!members_known(m, a, 1, &known, &list), "nothing kept yet");
	members_keep(m, 1, &known, rows, ARRAY_LEN(rows));
	ok(!members_known(m, a, 2, &known, &list), "another user");
	known.position = 90;
	known.last[BUS_EVENTS] = 80; /* events in rooms do not matter */
	assert_true(members_known(m, a, 1, &known, &list));
	assert_int_equal(list.n, 3);
	assert_true(members_one(m, a, 1, &known, 3, &row));
	same_str(row->displayname, S("A"));
	assert_true(members_one(m, a, 1, &known, 7, &row));
	same_str(row->stripped, S("[]"));
	same_str(row->displayname, STR_NONE);
	assert_true(members_one(m, a, 1, &known, 4, &row));
	assert_null(row);
	known.own[BUS_EVENTS] = 51;
	ok(!members_known(m, a, 1, &known, &list), "a membership changed after the list was read");
	known.own[BUS_EVENTS] = 50;
	assert_true(members_known(m, a, 1, &known, &list));
	known.since = 51;
	ok(!members_known(m, a, 1, &known, &list), "the bus forgot the user meanwhile: there may have been changes");
	members_free(&m);
}

static void memory_is_bounded(void **state)
{
	const struct bus_known known = { .position = 1 };
	struct members *m = members_new(4096);
	AUTO_ARENA a = arena_new();
	struct member_list list;

	(void)state;
	for (int64_t user = 1; user <= 50; user++)
		members_keep(m, user, &known, rows, ARRAY_LEN(rows));
	ok(!members_known(m, a, 1, &known, &list), "the oldest went");
	assert_true(members_known(m, a, 50, &known, &list));
	members_free(&m);
}

TEST_MAIN(cmocka_unit_test(a_list_is_good_until_a_membership_changes), cmocka_unit_test(memory_is_bounded))
