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

/* What cannot be read is nobody's: neither of who has it nor of who would need it. Notifications alone go on. */
static void what_cannot_be_read_grants_nothing(void **state)
{
	static const char *const versions[] = { "1", "6", "11" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct power_levels pl = levels(
			versions[i], "{}",
			"{\"ban\":\"\",\"events\":[],\"events_default\":{},\"users\":{\"@a:d\":\"x\",\"@h:d\":100},"
			"\"users_default\":[],\"notifications\":7}");

		assert_int_equal(power_for(&pl, POWER_BAN), POWER_INFINITE);
		assert_int_equal(power_for_event(&pl, S("x"), false), POWER_INFINITE);
		assert_int_equal(power_for_event(&pl, S("x"), true), POWER_INFINITE);
		assert_int_equal(power_for_notification(&pl, S("room")), 50);
		assert_int_equal(power_of_user(&pl, S("@a:d")), POWER_NONE);
		assert_int_equal(power_of_user(&pl, S("@b:d")), POWER_NONE);
		assert_false(power_may(&pl, S("@b:d"), POWER_INVITE));
		assert_false(power_is_above(&pl, 100, S("@b:d")));
		assert_false(power_is_above(&pl, 100, S("@h:d")));
		assert_true(power_is_above(&pl, 101, S("@h:d")));
	}
}

/* How a level may be written. A range of versions reads it the same way. */
static void levels_are_read_as_the_version_writes_them(void **state)
{
#define MOST (POWER_INFINITE - 1)
	static const struct {
		const char *value;
		enum power_level one, six, ten; /* in version 1 to 5, 6 to 9, and from 10 on */
		int64_t level;
	} rows[] = {
#define GOOD POWER_LEVEL_GOOD
#define BAD  POWER_LEVEL_UNREADABLE
#define OUT  POWER_LEVEL_OUT_OF_RANGE
		{ "50", GOOD, GOOD, GOOD, 50 },
		{ "-50", GOOD, GOOD, GOOD, -50 },
		{ "-0", GOOD, GOOD, GOOD, 0 },
		{ "9007199254740991", GOOD, GOOD, GOOD, 9007199254740991 },
		{ "9223372036854775807", GOOD, GOOD, GOOD, MOST },
		{ "-9223372036854775808", GOOD, GOOD, GOOD, -MOST },
		{ "9223372036854775808", GOOD, BAD, BAD, MOST },
		{ "-99999999999999999999999999", GOOD, BAD, BAD, -MOST },
		{ "\"50\"", GOOD, GOOD, BAD, 50 },
		{ "\" \\t+0050\\n \"", GOOD, GOOD, BAD, 50 },
		{ "\"-50\"", GOOD, GOOD, BAD, -50 },
		{ "\"\\u2003-50\\u00a0\\u3000\\u0085\"", GOOD, GOOD, BAD, -50 },
		{ "\"99999999999999999999999999\"", GOOD, GOOD, BAD, MOST },
		{ "\"-99999999999999999999999999\"", GOOD, GOOD, BAD, -MOST },
		{ "\"\"", BAD, BAD, BAD, 0 },
		{ "\" \"", BAD, BAD, BAD, 0 },
		{ "\"+\"", BAD, BAD, BAD, 0 },
		{ "\"+-5\"", BAD, BAD, BAD, 0 },
		{ "\"- 5\"", BAD, BAD, BAD, 0 },
		{ "\"5 0\"", BAD, BAD, BAD, 0 },
		{ "\"5_0\"", BAD, BAD, BAD, 0 },
		{ "\"0x5\"", BAD, BAD, BAD, 0 },
		{ "\"5.0\"", BAD, BAD, BAD, 0 },
		{ "\"5e1\"", BAD, BAD, BAD, 0 },
		{ "\"5\\u0000\"", BAD, BAD, BAD, 0 },
		{ "\"\\u0665\"", BAD, BAD, BAD, 0 },
		{ "50.57", GOOD, BAD, BAD, 50 },
		{ "-50.57", GOOD, BAD, BAD, -50 },
		{ "0.99", GOOD, BAD, BAD, 0 },
		{ "-0.99", GOOD, BAD, BAD, 0 },
		{ "5.114698E4", GOOD, BAD, BAD, 51146 },
		{ "5e1", GOOD, BAD, BAD, 50 },
		{ "5e+1", GOOD, BAD, BAD, 50 },
		{ "500e-1", GOOD, BAD, BAD, 50 },
		{ "509999e-4", GOOD, BAD, BAD, 50 },
		{ "5e-1", GOOD, BAD, BAD, 0 },
		{ "0.00050e5", GOOD, BAD, BAD, 50 },
		{ "0.0", GOOD, BAD, BAD, 0 },
		{ "0e99999999999999999999", GOOD, BAD, BAD, 0 },
		{ "1e-99999999999999999999", GOOD, BAD, BAD, 0 },
		{ "1e18", GOOD, BAD, BAD, 1000000000000000000 },
		{ "1e19", GOOD, BAD, BAD, MOST },
		{ "-1e308", GOOD, BAD, BAD, -MOST },
		{ "1.7976931348623157e308", GOOD, BAD, BAD, MOST },
		{ "1.7976931348623158079e308", GOOD, BAD, BAD, MOST },
		{ "1.7976931348623158080e308", OUT, BAD, BAD, 0 },
		{ "0.00017976931348623159e312", OUT, BAD, BAD, 0 },
		{ "17976931348623157e292", GOOD, BAD, BAD, MOST },
		{ "17976931348623159e292", OUT, BAD, BAD, 0 },
		{ "1e309", OUT, BAD, BAD, 0 },
		{ "-1e309", OUT, BAD, BAD, 0 },
		{ "1e99999999999999999999", OUT, BAD, BAD, 0 },
		{ "true", GOOD, GOOD, BAD, 1 },
		{ "null", BAD, BAD, BAD, 0 },
		{ "[]", BAD, BAD, BAD, 0 },
		{ "{}", BAD, BAD, BAD, 0 },
#undef GOOD
#undef BAD
#undef OUT
#undef MOST
	};
	int64_t level = -7;

	(void)state;
	for (size_t v = 0; room_version_at(v); v++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			const struct room_version *rv = room_version_at(v);
			const enum power_level wanted = rv->number < 6    ? rows[i].one
							: rv->number < 10 ? rows[i].six
									  : rows[i].ten;
			const struct json *value =
				json_get(parse(arena_cstr(A, arena_printf(A, "{\"x\":%s}", rows[i].value))), S("x"));

			level = -7;
			ok(power_level_read(rv, value, &level) == wanted, "v%u %s", rv->number, rows[i].value);
			ok(level == (wanted == POWER_LEVEL_GOOD ? rows[i].level : -7), "v%u %s: %" PRId64, rv->number,
			   rows[i].value, level);
		}
	}
	assert_int_equal(power_level_read(room_version_find(S("1")), NULL, &level), POWER_LEVEL_ABSENT);
}

/* The halfway point between the largest double and the next power of two, in all its digits, is the first beyond. */
static void the_range_of_doubles_is_exact(void **state)
{
	static const char halfway[] =
		"17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901797758720"
		"70963302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115317"
		"64475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880";
	const struct room_version *rv = room_version_find(S("1"));
	const str last[] = { S("177904174497791"), S("177904174497792"), S("177904174497793") };
	int64_t level;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct json value = { .kind = JSON_NUMBER, .raw = arena_join2(A, str_c(halfway), last[i]) };

		assert_int_equal(value.raw.n, 309);
		ok(power_level_read(rv, &value, &level) == (i == 0 ? POWER_LEVEL_GOOD : POWER_LEVEL_OUT_OF_RANGE),
		   "%zu", i);
	}
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

/* Thousands fit into a create event, and each message asks: they are looked up, not gone through. */
static void many_creators(void **state)
{
	const struct room_version *rv = room_version_find(S("12"));
	struct buf text = BUF_INIT(1 << 16);
	struct event *ev;
	str bytes;

	(void)state;
	buf_add(&text, S("{\"auth_events\":[],\"content\":{\"additional_creators\":[\"@0:d\""));
	for (unsigned i = 1; i < 1000; i++)
		buf_printf(&text, ",\"@%u:d\"", i % 900);
	buf_add(&text, S("]},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[],\"sender\":\"@c:d\","
			 "\"state_key\":\"\",\"type\":\"m.room.create\"}"));
	bytes = arena_keep(A, (str){ text.p, text.n });
	buf_done(&text);
	assert_null(event_load(A, rv, S("$C"), bytes, &ev));
	assert_non_null(ev->creators);
	assert_true(power_is_creator(rv, ev, S("@c:d")));
	assert_true(power_is_creator(rv, ev, S("@0:d")));
	assert_true(power_is_creator(rv, ev, S("@899:d")));
	assert_false(power_is_creator(rv, ev, S("@900:d")));
	assert_false(power_is_creator(rv, ev, S("")));
	/* Nobody's in versions before. */
	assert_null(event_load(A, room_version_find(S("11")), S("$C"),
			       arena_join2(A, S("{\"room_id\":\"!r:d\","), str_from(bytes, 1)), &ev));
	assert_null(ev->creators);
	assert_false(power_is_creator(room_version_find(S("11")), ev, S("@0:d")));
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
		TEST(defaults),
		TEST(what_is_set_counts),
		TEST(what_cannot_be_read_grants_nothing),
		TEST(levels_are_read_as_the_version_writes_them),
		TEST(the_range_of_doubles_is_exact),
		TEST(creators),
		TEST(many_creators),
		TEST(redactions),
		TEST(stripped_state_has_four_members),
	};

	return cmocka_run_group_tests_name("matrix/power_levels", tests, NULL, NULL);
}
