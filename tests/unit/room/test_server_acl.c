/* test_server_acl.c - a room's access list against servers: what it says at each moment, and what asking costs. */
#include "world.h"

#include "crypto/crypto.h"
#include "room/server_acl.h"

static bool allows(struct world *w, str room, const char *server)
{
	bool out;

	good(room_acl_allows(w->rs, w->a, room, str_c(server), &out));
	return out;
}

static void a_room_without_a_list_lets_everybody_in(struct world *w)
{
	const str room = make_room(w, who(w, "anna"), "{}");

	assert_true(allows(w, room, "other"));
	assert_true(allows(w, S("!nowhere:test"), "other"));
	good(room_acl_check(w->rs, w->a, room, S("other")));
}

/* The verdict follows each new list, remembered or not; a list without `allow`, or that is no list, lets nobody in. */
static void what_is_remembered_follows_the_list(struct world *w)
{
	static const struct {
		const char *content;
		bool good, evil;
	} steps[] = {
		{ "{'allow':['*'],'deny':['evil.*']}", true, false },
		{ "{'allow':['*']}", true, true },
		{ "{'allow':['EVIL.example'],'deny':[]}", false, true },
		{ "{'deny':['evil.example']}", false, false },
		{ "{'allow':'*'}", false, false },
		{ "{'allow':[7,'good.example'],'deny':'good.example'}", true, false },
		{ "{}", false, false },
	};
	struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{}");

	assert_true(allows(w, room, "evil.example"));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		(void)set_state(w, anna, room, "m.room.server_acl", "", steps[i].content);
		for (int twice = 0; twice < 2; twice++) {
			assert_int_equal(allows(w, room, "good.example"), steps[i].good);
			assert_int_equal(allows(w, room, "evil.example:8448"), steps[i].evil);
		}
		assert_int_equal(room_acl_check(w->rs, w->a, room, S("evil.example")) == NULL, steps[i].evil);
	}
	world_restart(w);
	assert_false(allows(w, room, "good.example"));
}

static void asking_again_costs_no_statement(struct world *w)
{
	struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{}"), open = make_room(w, anna, "{}");
	uint64_t before;

	(void)set_state(w, anna, room, "m.room.server_acl", "", "{'allow':['*'],'deny':['evil']}");
	assert_false(allows(w, room, "evil"));
	assert_true(allows(w, room, "good"));
	assert_true(allows(w, open, "good"));
	before = store_statements_here();
	for (int i = 0; i < 100; i++) {
		assert_false(allows(w, room, "evil"));
		assert_true(allows(w, room, "good"));
		assert_true(allows(w, open, "whoever"));
	}
	assert_int_equal(store_statements_here(), before);
}

/* However many servers ask, what is remembered stays bounded, and right. */
static void many_servers(struct world *w)
{
	struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{}");

	(void)set_state(w, anna, room, "m.room.server_acl", "", "{'allow':['*'],'deny':['s?00']}");
	for (int i = 0; i < 1500; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(allows(w, room, name), !(i % 100 == 0 && i > 0 && i < 1000));
	}
	assert_false(allows(w, room, "s500"));
}

/* A list whose commit failed was never in force. */
static void a_list_that_was_not_stored(struct world *w)
{
	struct actor anna = who(w, "anna");
	const str room = make_room(w, anna, "{}");
	str id;

	(void)set_state(w, anna, room, "m.room.server_acl", "", "{'allow':['*']}");
	assert_true(allows(w, room, "good"));
	store_fault(w->b->st, FAULT_COMMIT, 1);
	assert_non_null(try_send(w, w->a, anna, room, "m.room.server_acl", "", "{'allow':[]}", NULL, &id));
	assert_true(allows(w, room, "good"));
}

WORLD(a_room_without_a_list_lets_everybody_in)
WORLD(what_is_remembered_follows_the_list)
WORLD(asking_again_costs_no_statement)
WORLD(many_servers)
WORLD(a_list_that_was_not_stored)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_room_without_a_list_lets_everybody_in),
		WORLD_TESTS(what_is_remembered_follows_the_list),
		WORLD_TESTS(asking_again_costs_no_statement),
		WORLD_TESTS(many_servers),
		WORLD_TESTS(a_list_that_was_not_stored),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
