/* Membership: the table of m.room.member, row by row. */
#include "matrix/fixture.h"

#include "matrix/membership.h"

static void changes_mean_what_the_table_says(void **state)
{
	static const struct {
		enum membership from, to;
		enum member_change by_self, by_other;
	} rows[] = {
		{ MEMBER_INVITE, MEMBER_INVITE, CHANGE_NOTHING, CHANGE_NOTHING },
		{ MEMBER_INVITE, MEMBER_JOIN, CHANGE_JOINED, CHANGE_JOINED },
		{ MEMBER_INVITE, MEMBER_LEAVE, CHANGE_REJECTED, CHANGE_REVOKED },
		{ MEMBER_INVITE, MEMBER_BAN, CHANGE_BANNED, CHANGE_BANNED },
		{ MEMBER_INVITE, MEMBER_KNOCK, CHANGE_KNOCKED, CHANGE_KNOCKED },
		{ MEMBER_JOIN, MEMBER_INVITE, CHANGE_NEVER, CHANGE_NEVER },
		{ MEMBER_JOIN, MEMBER_JOIN, CHANGE_PROFILE, CHANGE_PROFILE },
		{ MEMBER_JOIN, MEMBER_LEAVE, CHANGE_LEFT, CHANGE_KICKED },
		{ MEMBER_JOIN, MEMBER_BAN, CHANGE_KICKED_BANNED, CHANGE_KICKED_BANNED },
		{ MEMBER_JOIN, MEMBER_KNOCK, CHANGE_NEVER, CHANGE_NEVER },
		{ MEMBER_LEAVE, MEMBER_INVITE, CHANGE_INVITED, CHANGE_INVITED },
		{ MEMBER_LEAVE, MEMBER_JOIN, CHANGE_JOINED, CHANGE_JOINED },
		{ MEMBER_LEAVE, MEMBER_LEAVE, CHANGE_NOTHING, CHANGE_NOTHING },
		{ MEMBER_LEAVE, MEMBER_BAN, CHANGE_BANNED, CHANGE_BANNED },
		{ MEMBER_LEAVE, MEMBER_KNOCK, CHANGE_KNOCKED, CHANGE_KNOCKED },
		{ MEMBER_BAN, MEMBER_INVITE, CHANGE_NEVER, CHANGE_NEVER },
		{ MEMBER_BAN, MEMBER_JOIN, CHANGE_NEVER, CHANGE_NEVER },
		{ MEMBER_BAN, MEMBER_LEAVE, CHANGE_UNBANNED, CHANGE_UNBANNED },
		{ MEMBER_BAN, MEMBER_BAN, CHANGE_NOTHING, CHANGE_NOTHING },
		{ MEMBER_BAN, MEMBER_KNOCK, CHANGE_NEVER, CHANGE_NEVER },
		{ MEMBER_KNOCK, MEMBER_INVITE, CHANGE_ACCEPTED, CHANGE_ACCEPTED },
		{ MEMBER_KNOCK, MEMBER_JOIN, CHANGE_JOINED, CHANGE_JOINED }, /* as the rules have it, see there */
		{ MEMBER_KNOCK, MEMBER_LEAVE, CHANGE_RETRACTED, CHANGE_DENIED },
		{ MEMBER_KNOCK, MEMBER_BAN, CHANGE_BANNED, CHANGE_BANNED },
		{ MEMBER_KNOCK, MEMBER_KNOCK, CHANGE_NOTHING, CHANGE_NOTHING },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ok(membership_change(rows[i].from, rows[i].to, true) == rows[i].by_self, "row %zu by oneself", i);
		ok(membership_change(rows[i].from, rows[i].to, false) == rows[i].by_other, "row %zu by another", i);
		if (rows[i].from == MEMBER_LEAVE) /* never having been there is the same */
			ok(membership_change(MEMBER_NONE, rows[i].to, true) == rows[i].by_self, "row %zu", i);
	}
	for (enum membership m = MEMBER_NONE; m <= MEMBER_KNOCK; m++)
		assert_int_equal(membership_change(m, MEMBER_NONE, true), CHANGE_NEVER);
}

static void texts(void **state)
{
	static const str words[] = { STR("join"), STR("invite"), STR("leave"), STR("ban"), STR("knock") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_str(membership_text(membership_of_text(words[i])), words[i]);
	assert_int_equal(membership_of_text(S("Join")), MEMBER_NONE);
	assert_int_equal(membership_of_text(S("")), MEMBER_NONE);
	assert_int_equal(membership_of_text(STR_NONE), MEMBER_NONE);
	assert_str(membership_text(MEMBER_NONE), STR_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(changes_mean_what_the_table_says), TEST(texts) };

	return cmocka_run_group_tests_name("matrix/membership", tests, NULL, NULL);
}
