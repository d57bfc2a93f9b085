/* Room history visibility: the rules as a table, and the two kinds of events that change the answer themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "matrix/visibility.h"

#define W    HISTORY_WORLD_READABLE
#define S_   HISTORY_SHARED
#define I    HISTORY_INVITED
#define J    HISTORY_JOINED
#define OUT  VISIBILITY_OUTSIDE
#define INV  VISIBILITY_INVITED
#define JOIN VISIBILITY_JOINED

static void rules(void **state)
{
	/* allowed, by history and member, [0] never joined later, [1] joined later */
	static const bool allowed[4][3][2] = {
		[W] = { [OUT] = { true, true }, [INV] = { true, true }, [JOIN] = { true, true } },
		[S_] = { [OUT] = { false, true }, [INV] = { false, true }, [JOIN] = { true, true } },
		[I] = { [OUT] = { false, false }, [INV] = { true, true }, [JOIN] = { true, true } },
		[J] = { [OUT] = { false, false }, [INV] = { false, false }, [JOIN] = { true, true } },
	};

	(void)state;
	for (unsigned h = 0; h < 4; h++)
		for (unsigned m = 0; m < 3; m++)
			for (unsigned later = 0; later < 2; later++)
				if (visibility_allows_view((struct visibility_view){ h, m }, later) !=
				    allowed[h][m][later])
					fail_msg("history %u, member %u, joined later %u", h, m, later);
}

static struct event *make(struct arena *a, str type, str key, str content)
{
	struct event *ev = ARENA_NEW(a, struct event);
	struct json *json;

	assert_null(json_parse(a, content, &json_limits_event, &json));
	ev->type = type;
	ev->state_key = key;
	ev->content = json;
	return ev;
}

static void values(void **state)
{
	AUTO_ARENA a = arena_new();
	static const struct {
		str content;
		enum history_visibility history;
	} cases[] = {
		{ STR("{\"history_visibility\":\"world_readable\"}"), HISTORY_WORLD_READABLE },
		{ STR("{\"history_visibility\":\"shared\"}"), HISTORY_SHARED },
		{ STR("{\"history_visibility\":\"invited\"}"), HISTORY_INVITED },
		{ STR("{\"history_visibility\":\"joined\"}"), HISTORY_JOINED },
		{ STR("{\"history_visibility\":\"JOINED\"}"), HISTORY_SHARED },
		{ STR("{\"history_visibility\":7}"), HISTORY_SHARED },
		{ STR("{}"), HISTORY_SHARED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			history_visibility_of(make(a, S("m.room.history_visibility"), S(""), cases[i].content)),
			cases[i].history);
	assert_int_equal(history_visibility_of(NULL), HISTORY_SHARED);
	assert_int_equal(visibility_member_of(NULL), VISIBILITY_OUTSIDE);
	assert_int_equal(visibility_member_parse(S("knock")), VISIBILITY_OUTSIDE);
	assert_int_equal(visibility_member_parse(S("ban")), VISIBILITY_OUTSIDE);
}

static void events_that_change_the_answer(void **state)
{
	AUTO_ARENA a = arena_new();
	static const str me = STR("@me:x");
	static const struct {
		const char *name;
		str type, key, content;
		struct visibility_view before;
		bool allowed;
	} cases[] = {
		{ "from world_readable to joined",
		  STR("m.room.history_visibility"),
		  STR(""),
		  STR("{\"history_visibility\":\"joined\"}"),
		  { W, OUT },
		  true },
		{ "from joined to world_readable",
		  STR("m.room.history_visibility"),
		  STR(""),
		  STR("{\"history_visibility\":\"world_readable\"}"),
		  { J, OUT },
		  true },
		{ "from joined to shared, never a member",
		  STR("m.room.history_visibility"),
		  STR(""),
		  STR("{\"history_visibility\":\"shared\"}"),
		  { J, OUT },
		  false },
		{ "under another state key it sets nothing",
		  STR("m.room.history_visibility"),
		  STR("x"),
		  STR("{\"history_visibility\":\"world_readable\"}"),
		  { J, OUT },
		  false },
		{ "own join", STR("m.room.member"), STR("@me:x"), STR("{\"membership\":\"join\"}"), { J, OUT }, true },
		{ "own leave",
		  STR("m.room.member"),
		  STR("@me:x"),
		  STR("{\"membership\":\"leave\"}"),
		  { J, JOIN },
		  true },
		{ "own invite where history begins at the join",
		  STR("m.room.member"),
		  STR("@me:x"),
		  STR("{\"membership\":\"invite\"}"),
		  { J, OUT },
		  false },
		{ "own invite where history begins there",
		  STR("m.room.member"),
		  STR("@me:x"),
		  STR("{\"membership\":\"invite\"}"),
		  { I, OUT },
		  true },
		{ "another's join",
		  STR("m.room.member"),
		  STR("@you:x"),
		  STR("{\"membership\":\"join\"}"),
		  { J, OUT },
		  false },
		{ "a message after leaving", STR("m.room.message"), { 0 }, STR("{}"), { J, OUT }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct event *ev = make(a, cases[i].type, cases[i].key, cases[i].content);
		const struct visibility_question q = { .before = cases[i].before };

		if (visibility_allows(&q, ev, me) != cases[i].allowed)
			fail_msg("%s", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(values),
		cmocka_unit_test(events_that_change_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
