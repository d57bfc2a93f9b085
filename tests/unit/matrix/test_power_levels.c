/* Power levels: the defaults, the creators, and whether a redaction takes effect. */
#include "matrix/fixture.h"

#include "matrix/power_levels.h"
#include "matrix/stripped.h"

static struct event *make(const char *type, const char *sender, const char *state_key, const char *content)
{
	struct event *ev = ARENA_NEW(A, struct event);

	ev->type = str_c(type);
	ev->sender = str_c(sender);
	ev->state_key = str_c(state_key);
	ev->content = parse(content);
	return ev;
}

static struct power_levels levels(const char *version, const char *create, const char *content)
{
	return power_levels_of(room_version_find(str_c(version)), make("m.room.create", "@c:d", "", create),
			       content ? make("m.room.power_levels", "@c:d", "", content) : NULL);
}

static void defaults(void **state)
{
	const struct power_levels none = levels("11", "{}", NULL), empty = levels("11", "{}", "{}");
	const struct power_levels *const both[] = { &none, &empty };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(power_for(both[i], POWER_INVITE), 0);
		assert_int_equal(power_for(both[i], POWER_KICK), 50);
		assert_int_equal(power_for(both[i], POWER_BAN), 50);
		assert_int_equal(power_for(both[i], POWER_REDACT), 50);
		assert_int_equal(power_for_event(both[i], S("m.room.topic"), true), 50);
		assert_int_equal(power_for_event(both[i], S("m.room.message"), false), 0);
		assert_int_equal(power_for_notification(both[i], S("room")), 50);
		assert_int_equal(power_of_user(both[i], S("@u:d")), 0);
	}
	/* "If the room contains no m.room.power_levels event, the room's creator has a power level of 100" */
	assert_int_equal(power_of_user(&none, S("@c:d")), 100);
	assert_int_equal(power_of_user(&empty, S("@c:d")), 0);
}

static void what_is_set_counts(void **state)
{
	const struct power_levels pl =
		levels("11", "{}",
		       "{\"ban\":1,\"events\":{\"x\":2},\"events_default\":3,\"invite\":4,\"kick\":5,"
		       "\"notifications\":{\"room\":6},\"redact\":7,\"state_default\":8,"
		       "\"users\":{\"@a:d\":9},\"users_default\":-10}");

	(void)state;
	assert_int_equal(power_for(&pl, POWER_BAN), 1);
	assert_int_equal(power_for_event(&pl, S("x"), true), 2);
	assert_int_equal(power_for_event(&pl, S("x"), false), 2);
	assert_int_equal(power_for_event(&pl, S("y"), false), 3);
	assert_int_equal(power_for(&pl, POWER_INVITE), 4);
	assert_int_equal(power_for(&pl, POWER_KICK), 5);
	assert_int_equal(power_for_notification(&pl, S("room")), 6);
	assert_int_equal(power_for_notification(&pl, S("other")), 50);
	assert_int_equal(power_for(&pl, POWER_REDACT), 7);
	assert_int_equal(power_for_event(&pl, S("y"), true), 8);
	assert_int_equal(power_of_user(&pl, S("@a:d")), 9);
	assert_int_equal(power_of_user(&pl, S("@b:d")), -10);
	assert_true(power_may(&pl, S("@a:d"), POWER_REDACT));
	assert_false(power_may(&pl, S("@b:d"), POWER_BAN));
	assert_true(power_may_send(&pl, S("@a:d"), S("y"), true));
	assert_false(power_may_send(&pl, S("@b:d"), S("y"), false));
}

/* No such event is ever authorised; should one stand in the state, it grants nothing. */
static void nonsense_counts_as_absent(void **state)
{
	const struct power_levels pl =
		levels("11", "{}",
		       "{\"ban\":\"0\",\"events\":[],\"events_default\":null,\"users\":{\"@a:d\":\"100\",\"@b:d\":1e3},"
		       "\"users_default\":99999999999999999999,\"notifications\":7}");

	(void)state;
	assert_int_equal(power_for(&pl, POWER_BAN), 50);
	assert_int_equal(power_for_event(&pl, S("x"), false), 0);
	assert_int_equal(power_for_notification(&pl, S("room")), 50);
	assert_int_equal(power_of_user(&pl, S("@a:d")), 0);
	assert_int_equal(power_of_user(&pl, S("@b:d")), 0);
}

static void creators(void **state)
{
	static const char create[] = "{\"creator\":\"@old:d\",\"additional_creators\":[\"@more:d\",7]}";
	static const struct {
		const char *version;
		str user;
		bool creator;
		int64_t without, with; /* level without and with power levels */
	} rows[] = {
		{ "10", STR("@old:d"), true, 100, 5 }, { "10", STR("@c:d"), false, 0, 5 },
		{ "10", STR("@more:d"), false, 0, 5 }, { "11", STR("@old:d"), false, 0, 5 },
		{ "11", STR("@c:d"), true, 100, 5 },   { "11", STR("@more:d"), false, 0, 5 },
		{ "12", STR("@old:d"), false, 0, 5 },  { "12", STR("@c:d"), true, POWER_INFINITE, POWER_INFINITE },
		{ "12", STR("@x:d"), false, 0, 5 },    { "12", STR("@more:d"), true, POWER_INFINITE, POWER_INFINITE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct power_levels none = levels(rows[i].version, create, NULL);
		const struct power_levels some = levels(rows[i].version, create, "{\"users_default\":5}");

		ok(power_is_creator(none.rv, none.create, rows[i].user) == rows[i].creator, "v%s %.*s", rows[i].version,
		   STR_ARG(rows[i].user));
		ok(power_of_user(&none, rows[i].user) == rows[i].without, "v%s %.*s", rows[i].version,
		   STR_ARG(rows[i].user));
		ok(power_of_user(&some, rows[i].user) == rows[i].with, "v%s %.*s", rows[i].version,
		   STR_ARG(rows[i].user));
	}
	assert_false(power_is_creator(room_version_find(S("12")), NULL, S("@c:d")));
}

static void redactions(void **state)
{
	static const struct {
		const char *version, *levels, *redacter;
		str author;
		bool applies;
	} rows[] = {
		{ "11", "{}", "@u:d", STR("@u:d"), true },
		{ "11", "{}", "@u:d", STR("@v:d"), true },
		{ "11", "{}", "@u:d", STR("@u:e"), false },
		{ "11", "{\"redact\":0}", "@u:d", STR("@u:e"), true },
		{ "11", "{\"users_default\":50}", "@u:d", STR("@u:e"), true },
		{ "11", "{\"redact\":99}", "@c:d", STR("@u:e"), false },
		{ "12", "{\"redact\":99}", "@c:d", STR("@u:e"), true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct power_levels pl = levels(rows[i].version, "{}", rows[i].levels);
		const struct event *redaction = make("m.room.redaction", rows[i].redacter, NULL, "{}");

		ok(redaction_applies(&pl, redaction, rows[i].author) == rows[i].applies, "v%s %s: %s redacts %.*s",
		   rows[i].version, rows[i].levels, rows[i].redacter, STR_ARG(rows[i].author));
	}
}

static void stripped_state_has_four_members(void **state)
{
	AUTO_BUF b = BUF_INIT(1000);
	struct jw w = jw_to(&b);
	const struct event *name = make("m.room.name", "@c:d", "", "{\"name\":\"N\"}");

	(void)state;
	jw_array(&w, NULL);
	stripped_write(&w, name);
	stripped_write(&w, name);
	jw_end(&w);
	assert_true(jw_good(&w));
	const struct json *list = parse(arena_cstr(A, buf_str(&b)));

	assert_int_equal(list->array.n, 2);
	assert_str(canonical(list->array.items[1]),
		   S("{\"content\":{\"name\":\"N\"},\"sender\":\"@c:d\",\"state_key\":\"\",\"type\":\"m.room.name\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults), TEST(what_is_set_counts), TEST(nonsense_counts_as_absent),
		TEST(creators), TEST(redactions),         TEST(stripped_state_has_four_members),
	};

	return cmocka_run_group_tests_name("matrix/power_levels", tests, NULL, NULL);
}
