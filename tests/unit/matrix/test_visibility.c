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

/*
 * The whole table. Memberships in the order of `memberships`: the row is the one before the event, the column what the
 * user's own m.room.member makes of it; the diagonal is that of every other event. 'x' may see it, '.' may not, 'j' may
 * who joined later.
 */
static const str memberships[] = { { 0 }, STR("invite"), STR("join"), STR("leave"), STR("ban"), STR("knock") };
static const struct {
	str history;
	const char *allowed[6];
} tables[] = {
	{ STR("world_readable"), { "xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx", "xxxxxx" } },
	{ STR("shared"), { "jjxjjj", "jjxjjj", "xxxxxx", "jjxjjj", "jjxjjj", "jjxjjj" } },
	{ STR("invited"), { ".xx...", "xxxxxx", "xxxxxx", ".xx...", ".xx...", ".xx..." } },
	{ STR("joined"), { "..x...", "..x...", "xxxxxx", "..x...", "..x...", "..x..." } },
	{ STR("no such"), { "jjxjjj", "jjxjjj", "xxxxxx", "jjxjjj", "jjxjjj", "jjxjjj" } }, /* as shared */
};

static bool wanted(char c, bool joined_later) { return c == 'x' || (c == 'j' && joined_later); }

static void own_memberships(void **state)
{
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t h = 0; h < ARRAY_LEN(tables); h++)
		for (size_t before = 0; before < 6; before++)
			for (size_t after = 1; after < 6; after++)
				for (unsigned later = 0; later < 2; later++) {
					const struct visibility_question q = {
						.before = { history_visibility_parse(tables[h].history),
							    visibility_member_parse(memberships[before]) },
						.joined_later = later,
					};
					const str content =
						arena_join3(a, S("{\"membership\":\""), memberships[after], S("\"}"));
					const struct event *own = make(a, S("m.room.member"), S("@me:x"), content);
					const struct event *other = make(a, S("m.room.member"), S("@you:x"), content);

					if (visibility_allows(&q, own, S("@me:x")) !=
					    wanted(tables[h].allowed[before][after], later))
						fail_msg("%.*s, own from %zu to %zu, later %u",
							 STR_ARG(tables[h].history), before, after, later);
					if (visibility_allows(&q, other, S("@me:x")) !=
					    wanted(tables[h].allowed[before][before], later))
						fail_msg("%.*s, another's while %zu, later %u",
							 STR_ARG(tables[h].history), before, later);
				}
}

/* Rows and columns in the order of `tables`: the setting before and after an m.room.history_visibility. */
static void changes_of_history(void **state)
{
	static const struct {
		str membership;
		const char *allowed[5];
	} by_member[] = {
		{ { 0 }, { "xxxxx", "xjjjj", "xj..j", "xj..j", "xjjjj" } },
		{ STR("invite"), { "xxxxx", "xjxjj", "xxxxx", "xjx.j", "xjxjj" } },
		{ STR("join"), { "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx" } },
		{ STR("leave"), { "xxxxx", "xjjjj", "xj..j", "xj..j", "xjjjj" } },
		{ STR("ban"), { "xxxxx", "xjjjj", "xj..j", "xj..j", "xjjjj" } },
		{ STR("knock"), { "xxxxx", "xjjjj", "xj..j", "xj..j", "xjjjj" } },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(by_member); m++)
		for (size_t before = 0; before < 5; before++)
			for (size_t after = 0; after < 5; after++)
				for (unsigned later = 0; later < 2; later++) {
					const struct visibility_question q = {
						.before = { history_visibility_parse(tables[before].history),
							    visibility_member_parse(by_member[m].membership) },
						.joined_later = later,
					};
					const str content = arena_join3(a, S("{\"history_visibility\":\""),
									tables[after].history, S("\"}"));

					if (visibility_allows(
						    &q, make(a, S("m.room.history_visibility"), S(""), content),
						    S("@me:x")) != wanted(by_member[m].allowed[before][after], later))
						fail_msg("member %zu, from %zu to %zu, later %u", m, before, after,
							 later);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(values),
		cmocka_unit_test(events_that_change_the_answer),
		cmocka_unit_test(own_memberships),
		cmocka_unit_test(changes_of_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
