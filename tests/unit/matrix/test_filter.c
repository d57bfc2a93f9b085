/* Filters: what they let through, and what is no filter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "matrix/filter.h"

static const struct json *parsed(struct arena *a, str text)
{
	struct json *j = NULL;
	err *e = json_parse(a, text, &json_limits_request, &j);

	if (e)
		fail_msg("%.*s", STR_ARG(e->msg));
	return j;
}

static void test_events_pass_or_not(void **state)
{
	static const struct {
		const char *name;
		str filter, type, sender, content;
		bool passes;
	} cases[] = {
		{ "empty filter", STR("{}"), STR("m.a"), STR("@u:x"), STR("{}"), true },
		{ "listed type", STR("{\"types\":[\"m.a\"]}"), STR("m.a"), STR("@u:x"), STR("{}"), true },
		{ "other type", STR("{\"types\":[\"m.a\"]}"), STR("m.b"), STR("@u:x"), STR("{}"), false },
		{ "empty list lets nothing through", STR("{\"types\":[]}"), STR("m.a"), STR("@u:x"), STR("{}"), false },
		{ "wildcard", STR("{\"types\":[\"m.*\"]}"), STR("m.a"), STR("@u:x"), STR("{}"), true },
		{ "types are exact in case", STR("{\"types\":[\"M.*\"]}"), STR("m.a"), STR("@u:x"), STR("{}"), false },
		{ "only the star is a wildcard", STR("{\"types\":[\"m.?*\"]}"), STR("m.ab"), STR("@u:x"), STR("{}"),
		  false },
		{ "other characters are themselves", STR("{\"types\":[\"m.?*\"]}"), STR("m.?b"), STR("@u:x"), STR("{}"),
		  true },
		{ "not_types wins", STR("{\"types\":[\"m.a\"],\"not_types\":[\"m.*\"]}"), STR("m.a"), STR("@u:x"),
		  STR("{}"), false },
		{ "sender", STR("{\"senders\":[\"@u:x\"]}"), STR("m.a"), STR("@u:x"), STR("{}"), true },
		{ "other sender", STR("{\"senders\":[\"@u:x\"]}"), STR("m.a"), STR("@v:x"), STR("{}"), false },
		{ "not_senders wins", STR("{\"senders\":[\"@u:x\"],\"not_senders\":[\"@u:x\"]}"), STR("m.a"),
		  STR("@u:x"), STR("{}"), false },
		{ "url wanted and there", STR("{\"contains_url\":true}"), STR("m.a"), STR("@u:x"),
		  STR("{\"url\":\"mxc://x/y\"}"), true },
		{ "url wanted, absent", STR("{\"contains_url\":true}"), STR("m.a"), STR("@u:x"), STR("{}"), false },
		{ "url unwanted", STR("{\"contains_url\":false}"), STR("m.a"), STR("@u:x"),
		  STR("{\"url\":\"mxc://x/y\"}"), false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		struct event_filter f;

		assert_null(event_filter_parse(a, parsed(a, cases[i].filter), &f));
		if (event_filter_match(&f, cases[i].type, cases[i].sender, parsed(a, cases[i].content)) !=
		    cases[i].passes)
			fail_msg("%s", cases[i].name);
	}
}

static void test_rooms(void **state)
{
	AUTO_ARENA a = arena_new();
	struct filter f;

	(void)state;
	assert_null(filter_parse(a, parsed(a, S("{\"room\":{\"rooms\":[\"!a:x\",\"!b:x\"],\"not_rooms\":[\"!b:x\"]}}")),
				 &f));
	assert_true(filter_has_room(&f, S("!a:x")));
	assert_false(filter_has_room(&f, S("!b:x")));
	assert_false(filter_has_room(&f, S("!c:x")));
	assert_null(filter_parse(a, NULL, &f));
	assert_true(filter_has_room(&f, S("!c:x")));
	assert_true(event_filter_is_open(&f.timeline));
}

static void test_what_is_no_filter_is_refused(void **state)
{
	static const str bad[] = {
		STR("[]"),
		STR("{\"room\":[]}"),
		STR("{\"room\":{\"timeline\":7}}"),
		STR("{\"room\":{\"timeline\":{\"limit\":-1}}}"),
		STR("{\"room\":{\"timeline\":{\"limit\":1.5}}}"),
		STR("{\"room\":{\"timeline\":{\"types\":\"m.a\"}}}"),
		STR("{\"room\":{\"timeline\":{\"types\":[1]}}}"),
		STR("{\"room\":{\"timeline\":{\"senders\":[\"no id\"]}}}"),
		STR("{\"room\":{\"rooms\":[\"no id\"]}}"),
		STR("{\"event_format\":\"xml\"}"),
		STR("{\"event_fields\":{}}"),
		STR("{\"room\":{\"include_leave\":\"yes\"}}"),
		STR("null"),
		STR("7"),
		STR("{\"presence\":[]}"),
		STR("{\"presence\":null}"),
		STR("{\"account_data\":{\"not_types\":{}}}"),
		STR("{\"account_data\":{\"not_senders\":[null]}}"),
		STR("{\"presence\":{\"senders\":[\"\"]}}"),
		STR("{\"presence\":{\"limit\":\"10\"}}"),
		STR("{\"room\":{\"not_rooms\":[\"#alias:x\"]}}"),
		STR("{\"room\":{\"rooms\":\"!a:x\"}}"),
		STR("{\"room\":{\"state\":{\"rooms\":[\"a\"]}}}"),
		STR("{\"room\":{\"state\":{\"not_rooms\":[\"a\"]}}}"),
		STR("{\"room\":{\"state\":{\"lazy_load_members\":1}}}"),
		STR("{\"room\":{\"state\":{\"include_redundant_members\":\"true\"}}}"),
		STR("{\"room\":{\"state\":{\"contains_url\":1}}}"),
		STR("{\"room\":{\"timeline\":{\"unread_thread_notifications\":[]}}}"),
		STR("{\"room\":{\"ephemeral\":\"none\"}}"),
		STR("{\"room\":{\"account_data\":{\"types\":[[]]}}}"),
		STR("{\"event_format\":7}"),
		STR("{\"event_fields\":[7]}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_ARENA a = arena_new();
		struct filter f;
		const err *e = filter_parse(a, parsed(a, bad[i]), &f);

		if (!e || e->code != ERR_BAD_JSON)
			fail_msg("accepted: %.*s", STR_ARG(bad[i]));
	}
}

/* Every member that a filter may have arrives where it belongs. */
static void test_all_of_it_is_read(void **state)
{
	AUTO_ARENA a = arena_new();
	struct filter f;

	(void)state;
	assert_null(filter_parse(
		a,
		parsed(a,
		       S("{\"event_fields\":[\"type\"],\"event_format\":\"federation\",\"presence\":{\"limit\":2,\"types\":[\"p\"]},"
			 "\"account_data\":{\"not_types\":[\"q\",\"r\"]},\"org.example.unknown\":{\"x\":1},"
			 "\"room\":{\"rooms\":[\"!a:x\"],\"not_rooms\":[\"!b:x\"],\"include_leave\":true,"
			 "\"state\":{\"lazy_load_members\":true,\"include_redundant_members\":true,\"contains_url\":null},"
			 "\"timeline\":{\"limit\":0,\"unread_thread_notifications\":true,\"contains_url\":true,\"rooms\":[\"!c:x\"],"
			 "\"not_rooms\":[\"!d:x\"],\"senders\":[\"@a:x\"],\"not_senders\":[\"@b:x\"]},"
			 "\"ephemeral\":{\"types\":[]},\"account_data\":{\"contains_url\":false,\"limit\":9007199254740991}}}")),
		&f));
	assert_true(f.event_fields.n == 1 && f.federation_format && f.include_leave);
	assert_true(f.presence.limit == 2 && f.presence.types.n == 1 && f.account_data.not_types.n == 2);
	assert_true(f.rooms.n == 1 && f.not_rooms.n == 1);
	assert_true(f.state.lazy_load_members && f.state.include_redundant_members && f.state.contains_url == URL_ANY);
	assert_true(f.timeline.limit == 0 && f.timeline.limit_is_zero && f.timeline.unread_thread_notifications);
	assert_true(f.timeline.contains_url == URL_WITH && f.timeline.rooms.n == 1 && f.timeline.not_rooms.n == 1);
	assert_true(f.timeline.senders.n == 1 && f.timeline.not_senders.n == 1);
	assert_true(f.ephemeral.types.present && f.ephemeral.types.n == 0);
	assert_true(f.room_account_data.contains_url == URL_WITHOUT && !f.room_account_data.limit_is_zero);
	/* What is open says so: then nobody looks further. */
	assert_true(event_filter_is_open(&f.state));
	assert_false(event_filter_is_open(&f.presence));
	assert_false(event_filter_is_open(&f.account_data));
	assert_false(event_filter_is_open(&f.timeline));
	assert_false(event_filter_is_open(&f.ephemeral));
	assert_false(event_filter_is_open(&f.room_account_data));
}

/* What the specification's filters do not have is neither looked at nor applied: such a filter stays open. */
static void test_unknown_members_mean_nothing(void **state)
{
	static const str unknown[] = {
		STR("{\"related_by_rel_types\":[\"m.thread\"],\"related_by_senders\":[\"@a:x\"]}"),
		STR("{\"related_by_rel_types\":7,\"related_by_senders\":[\"no id\"]}"),
		STR("{\"org.example\":{\"types\":[]}}"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		AUTO_ARENA a = arena_new();
		struct event_filter f;

		assert_null(event_filter_parse(a, parsed(a, unknown[i]), &f));
		assert_true(event_filter_is_open(&f));
	}
}

/* The longest list there may be, and one entry more. */
static void test_lists_are_bounded(void **state)
{
	(void)state;
	for (int n = 1000; n <= 1001; n++) {
		AUTO_ARENA a = arena_new();
		AUTO_BUF b = BUF_INIT(1 << 16);
		struct event_filter f;

		buf_add(&b, S("{\"not_types\":["));
		for (int i = 0; i < n; i++)
			buf_printf(&b, "%s\"m.%d\"", i ? "," : "", i);
		buf_add(&b, S("]}"));
		assert_true(!event_filter_parse(a, parsed(a, buf_str(&b)), &f) == (n == 1000));
	}
}

static void test_fields(void **state)
{
	static const struct {
		str fields, event, left;
	} cases[] = {
		{ STR("[\"content.body\"]"), STR("{\"type\":\"a\",\"content\":{\"body\":\"b\",\"x\":1}}"),
		  STR("{\"content\":{\"body\":\"b\"}}") },
		{ STR("[\"type\",\"nothing\"]"), STR("{\"type\":\"a\",\"content\":{}}"), STR("{\"type\":\"a\"}") },
		{ STR("[\"content.a\\\\.b\"]"), STR("{\"content\":{\"a.b\":1,\"a\":{\"b\":2}}}"),
		  STR("{\"content\":{\"a.b\":1}}") },
		{ STR("[\"content\",\"content.a\"]"), STR("{\"content\":{\"a\":1,\"b\":2}}"),
		  STR("{\"content\":{\"a\":1,\"b\":2}}") },
		{ STR("[]"), STR("{\"type\":\"a\"}"), STR("{}") },
		{ STR("[\"content.a\\\\\\\\b\"]"), STR("{\"content\":{\"a\\\\b\":1}}"),
		  STR("{\"content\":{\"a\\\\b\":1}}") },
		{ STR("[\"content.a\\\\b\"]"), STR("{\"content\":{\"a\\\\b\":1}}"),
		  STR("{\"content\":{\"a\\\\b\":1}}") },
		{ STR("[\"content.a\",\"content\"]"), STR("{\"content\":{\"a\":1,\"b\":2}}"),
		  STR("{\"content\":{\"a\":1,\"b\":2}}") },
		{ STR("[\"content.a\"]"), STR("{\"content\":\"x\"}"), STR("{}") },
		{ STR("[\"content.a.b\"]"), STR("{\"content\":{\"a\":[{\"b\":1}]}}"), STR("{}") },
		{ STR("[\"content.a.x\",\"content.a.y\"]"), STR("{\"content\":{\"a\":{\"x\":1,\"y\":2,\"z\":3}}}"),
		  STR("{\"content\":{\"a\":{\"x\":1,\"y\":2}}}") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const struct json *list = parsed(a, cases[i].fields);
		str paths[4];
		struct str_list fields = { paths, list->array.n, true };

		for (size_t k = 0; k < list->array.n; k++)
			paths[k] = list->array.items[k]->s;
		assert_true(json_equal(filter_fields(a, parsed(a, cases[i].event), &fields), parsed(a, cases[i].left)));
	}
}

/* The path is a client's, the event is another's: together they must not cost their product. */
static void test_a_long_path_into_a_deep_event_costs_little(void **state)
{
	enum { LEVELS = 60, KEYS = 30000 };
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(1 << 20);
	str path, left = STR("{}");
	size_t before;

	(void)state;
	for (int i = 0; i < KEYS; i++)
		buf_add(&b, i ? S(".a") : S("a"));
	path = arena_keep(a, buf_str(&b));
	buf_reset(&b);
	for (int i = 0; i < LEVELS; i++)
		buf_add(&b, S("{\"a\":"));
	buf_byte(&b, '1');
	for (int i = 0; i < LEVELS; i++)
		buf_byte(&b, '}');
	const struct json *event = parsed(a, arena_keep(a, buf_str(&b)));

	before = arena_used(a);
	assert_true(json_equal(filter_fields(a, event, &(struct str_list){ &path, 1, true }), parsed(a, left)));
	assert_in_range(arena_used(a) - before, 0, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_pass_or_not),
		cmocka_unit_test(test_rooms),
		cmocka_unit_test(test_what_is_no_filter_is_refused),
		cmocka_unit_test(test_all_of_it_is_read),
		cmocka_unit_test(test_unknown_members_mean_nothing),
		cmocka_unit_test(test_lists_are_bounded),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_a_long_path_into_a_deep_event_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
