/* Push rules: what an event means to a user, and how the rules are changed. */
#include "matrix/fixture.h"

#include "matrix/push_rules.h"

static const str me = STR("@me:x");

static struct json *parsed(struct arena *a, str text)
{
	struct json *j = NULL;
	err *e = json_parse(a, text, &json_limits_request, &j);

	if (e)
		fail_msg("%.*s", STR_ARG(e->msg));
	return j;
}

/* An event as far as push rules look: nothing is hashed. */
static struct event event_of(struct arena *a, str text)
{
	const struct json *j = parsed(a, text);

	return (struct event){
		.json = j,
		.content = json_get_object(j, S("content")),
		.type = json_get_str(j, S("type")),
		.sender = json_get_str(j, S("sender")),
		.event_id = S("$event"),
		.room_id = S("!r:x"),
		.state_key = json_get_str(j, S("state_key")),
	};
}

static struct push_result evaluate(struct arena *a, str stored, str event, int64_t members)
{
	const struct event ev = event_of(a, event);
	const struct event levels_event = event_of(
		a,
		S("{\"type\":\"m.room.power_levels\",\"sender\":\"@mod:x\",\"state_key\":\"\",\"content\":{\"users\":{\"@mod:x\":50}}}"));
	const struct room_version *rv = room_version_find(S("11"));
	const struct power_levels pl = power_levels_of(rv, NULL, &levels_event);
	const struct push_event pe = { &ev, &pl, members };

	return push_evaluate(push_rules_load(a, stored), &pe, me, S("Me *"));
}

static void test_default_rules(void **state)
{
	static const struct {
		const char *name;
		str event;
		int64_t members;
		bool notify, highlight;
	} cases[] = {
		{ "message",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"msgtype\":\"m.text\",\"body\":\"hi\"}}"),
		  5, true, false },
		{ "notice",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"msgtype\":\"m.notice\",\"body\":\"hi\"}}"),
		  5, false, false },
		{ "edit",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"hi\",\"m.relates_to\":{\"rel_type\":\"m.replace\"}}}"),
		  2, false, false },
		{ "reaction", STR("{\"type\":\"m.reaction\",\"sender\":\"@o:x\",\"content\":{}}"), 2, false, false },
		{ "invite for me",
		  STR("{\"type\":\"m.room.member\",\"sender\":\"@o:x\",\"state_key\":\"@me:x\",\"content\":{\"membership\":\"invite\"}}"),
		  1, true, false },
		{ "invite for another",
		  STR("{\"type\":\"m.room.member\",\"sender\":\"@o:x\",\"state_key\":\"@you:x\",\"content\":{\"membership\":\"invite\"}}"),
		  1, false, false },
		{ "mention",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"\",\"m.mentions\":{\"user_ids\":[\"@you:x\",\"@me:x\"]}}}"),
		  9, true, true },
		{ "mention of another",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"\",\"m.mentions\":{\"user_ids\":[\"@you:x\"]}}}"),
		  9, true, false },
		{ "the body no longer mentions",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"me Me * @room\"}}"), 9,
		  true, false },
		{ "@room by a moderator",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@mod:x\",\"content\":{\"body\":\"\",\"m.mentions\":{\"room\":true}}}"),
		  9, true, true },
		{ "@room by anybody",
		  STR("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"\",\"m.mentions\":{\"room\":true}}}"),
		  9, true, false },
		{ "tombstone",
		  STR("{\"type\":\"m.room.tombstone\",\"sender\":\"@o:x\",\"state_key\":\"\",\"content\":{}}"), 9, true,
		  true },
		{ "no tombstone without a state key",
		  STR("{\"type\":\"m.room.tombstone\",\"sender\":\"@o:x\",\"content\":{}}"), 9, false, false },
		{ "encrypted", STR("{\"type\":\"m.room.encrypted\",\"sender\":\"@o:x\",\"content\":{}}"), 9, true,
		  false },
		{ "call", STR("{\"type\":\"m.call.invite\",\"sender\":\"@o:x\",\"content\":{}}"), 9, true, false },
		{ "unknown type", STR("{\"type\":\"org.x\",\"sender\":\"@o:x\",\"content\":{}}"), 2, false, false },
		{ "topic", STR("{\"type\":\"m.room.topic\",\"sender\":\"@o:x\",\"state_key\":\"\",\"content\":{}}"), 2,
		  false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		const struct push_result r = evaluate(a, STR_NONE, cases[i].event, cases[i].members);

		if (r.notify != cases[i].notify || r.highlight != cases[i].highlight)
			fail_msg("%s: notify %d highlight %d", cases[i].name, r.notify, r.highlight);
	}
}

#define MESSAGE                                                                                                        \
	"{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\"An example event, 3 cakes\",\"n\":5}}"

static void test_own_rules(void **state)
{
	static const struct {
		const char *name, *kind;
		str rule_id, body;
		bool notify, highlight;
	} cases[] = {
		{ "room rule silences", "room", STR("!r:x"), STR("{\"actions\":[]}"), false, false },
		{ "other room's rule does not", "room", STR("!o:x"), STR("{\"actions\":[]}"), true, false },
		{ "a room rule's id is no pattern", "room", STR("!*"), STR("{\"actions\":[]}"), true, false },
		{ "sender rule", "sender", STR("@o:x"), STR("{\"actions\":[\"dont_notify\"]}"), false, false },
		{ "content by word", "content", STR("c"),
		  STR("{\"pattern\":\"ex*ple\",\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]}"), true, true },
		{ "content not inside a word", "content", STR("c"), STR("{\"pattern\":\"cake\",\"actions\":[]}"), true,
		  false },
		{ "content folds case", "content", STR("c"), STR("{\"pattern\":\"EVENT\",\"actions\":[]}"), false,
		  false },
		{ "member count", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"room_member_count\",\"is\":\"<=3\"}],\"actions\":[]}"), false,
		  false },
		{ "member count misses", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"room_member_count\",\"is\":\">3\"}],\"actions\":[]}"), true,
		  false },
		{ "a condition nobody knows never matches", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"org.x\"}],\"actions\":[]}"), true, false },
		{ "no condition always matches", "override", STR("c"), STR("{\"conditions\":[],\"actions\":[]}"), false,
		  false },
		{ "event_match needs a string", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"event_match\",\"key\":\"content.n\",\"pattern\":\"*\"}],\"actions\":[]}"),
		  true, false },
		{ "event_property_is compares numbers", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"event_property_is\",\"key\":\"content.n\",\"value\":5}],\"actions\":[]}"),
		  false, false },
		{ "event_property_is does not cast", "override", STR("c"),
		  STR("{\"conditions\":[{\"kind\":\"event_property_is\",\"key\":\"content.n\",\"value\":\"5\"}],\"actions\":[]}"),
		  true, false },
		{ "no highlight without notify", "override", STR("c"),
		  STR("{\"conditions\":[],\"actions\":[{\"set_tweak\":\"highlight\"}]}"), false, false },
		{ "highlight false", "override", STR("c"),
		  STR("{\"conditions\":[],\"actions\":[\"notify\",{\"set_tweak\":\"highlight\",\"value\":false}]}"),
		  true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		str stored = STR_NONE;
		struct push_result r;

		assert_null(push_rules_put(a, STR_NONE, push_kind_of_text(str_c(cases[i].kind)), cases[i].rule_id,
					   parsed(a, cases[i].body), STR_NONE, STR_NONE, &stored));
		r = evaluate(a, stored, S(MESSAGE), 3);
		if (r.notify != cases[i].notify || r.highlight != cases[i].highlight)
			fail_msg("%s: notify %d highlight %d", cases[i].name, r.notify, r.highlight);
	}
}

static void test_the_master_rule_is_above_all(void **state)
{
	AUTO_ARENA a = arena_new();
	str stored = STR_NONE;

	(void)state;
	assert_null(push_rules_put(a, stored, PUSH_OVERRIDE, S("loud"),
				   parsed(a, S("{\"conditions\":[],\"actions\":[\"notify\"]}")), STR_NONE, STR_NONE,
				   &stored));
	assert_true(evaluate(a, stored, S(MESSAGE), 3).notify);
	assert_null(push_rules_set_enabled(a, stored, PUSH_OVERRIDE, S(".m.rule.master"), true, &stored));
	assert_false(evaluate(a, stored, S(MESSAGE), 3).notify);
}

static str order(struct arena *a, str stored)
{
	const struct push_rules *r = push_rules_load(a, stored);
	str all = S("");

	for (size_t i = 0; i < r->n; i++)
		if (!r->rules[i].is_default)
			all = arena_join3(a, all, r->rules[i].rule_id, S(" "));
	return all;
}

static void test_order_and_changes(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct json *body = parsed(a, S("{\"pattern\":\"x\",\"actions\":[\"notify\"]}"));
	str s = STR_NONE;

	(void)state;
	assert_null(push_rules_put(a, s, PUSH_CONTENT, S("a"), body, STR_NONE, STR_NONE, &s));
	assert_null(push_rules_put(a, s, PUSH_CONTENT, S("b"), body, STR_NONE, STR_NONE, &s));
	assert_true(str_eq(order(a, s), S("b a ")));
	assert_null(push_rules_put(a, s, PUSH_CONTENT, S("c"), body, STR_NONE, S("b"), &s));
	assert_null(push_rules_put(a, s, PUSH_CONTENT, S("d"), body, S("b"), STR_NONE, &s));
	assert_true(str_eq(order(a, s), S("d b c a ")));
	assert_null(push_rules_set_enabled(a, s, PUSH_CONTENT, S("b"), false, &s));
	assert_null(push_rules_put(a, s, PUSH_CONTENT, S("b"), body, STR_NONE, S("a"), &s));
	assert_true(str_eq(order(a, s), S("d c a b ")));
	assert_false(push_rule_find(push_rules_load(a, s), PUSH_CONTENT, S("b"))
			     ->enabled); /* a replaced rule stays disabled */
	assert_null(push_rules_delete(a, s, PUSH_CONTENT, S("c"), &s));
	assert_true(str_eq(order(a, s), S("d a b ")));
	assert_int_equal(push_rules_delete(a, s, PUSH_CONTENT, S("c"), &s)->code, ERR_NOT_FOUND);
	assert_int_equal(push_rules_delete(a, s, PUSH_OVERRIDE, S(".m.rule.master"), &s)->code, ERR_NOT_FOUND);
	assert_int_equal(push_rules_set_enabled(a, s, PUSH_ROOM, S("d"), true, &s)->code, ERR_NOT_FOUND);
	assert_int_equal(push_rules_put(a, s, PUSH_CONTENT, S(".x"), body, STR_NONE, STR_NONE, &s)->code,
			 ERR_INVALID_PARAM);
	assert_int_equal(push_rules_put(a, s, PUSH_CONTENT, S("x/y"), body, STR_NONE, STR_NONE, &s)->code,
			 ERR_INVALID_PARAM);
	assert_int_equal(
		push_rules_put(a, s, PUSH_CONTENT, S("x"), parsed(a, S("{\"actions\":[]}")), STR_NONE, STR_NONE, &s)
			->code,
		ERR_MISSING_PARAM);
	assert_int_equal(
		push_rules_put(a, s, PUSH_CONTENT, S("x"), parsed(a, S("{\"pattern\":\"x\"}")), STR_NONE, STR_NONE, &s)
			->code,
		ERR_MISSING_PARAM);
	assert_int_equal(push_rules_put(a, s, PUSH_CONTENT, S("x"), body, S("nope"), STR_NONE, &s)->code, ERR_UNKNOWN);
	assert_null(push_rules_set_actions(a, s, PUSH_UNDERRIDE, S(".m.rule.message"), parsed(a, S("[]")), &s));
	assert_false(evaluate(a, s, S(MESSAGE), 3).notify);
}

/* What comes from clients: an existing rule keeps its place unless another is asked for; what could not be read again
 * is refused. */
static void test_what_is_put(void **state)
{
	static const struct {
		str rule_id, body;
		unsigned code;
	} bad[] = {
		{ STR("x\\y"), STR("{\"actions\":[]}"), ERR_INVALID_PARAM },
		{ STR(""), STR("{\"actions\":[]}"), ERR_INVALID_PARAM },
		{ STR("x"), STR("{\"actions\":{}}"), ERR_BAD_JSON },
		{ STR("x"), STR("{\"actions\":[7]}"), ERR_INVALID_PARAM },
		{ STR("x"), STR("{\"actions\":[{\"org.example\":1}]}"), ERR_INVALID_PARAM },
		{ STR("x"), STR("{\"actions\":[],\"conditions\":{}}"), ERR_BAD_JSON },
		{ STR("x"), STR("{\"actions\":[],\"conditions\":[{\"key\":\"type\"}]}"), ERR_INVALID_PARAM },
		{ STR("x"), STR("{\"actions\":[],\"conditions\":[\"event_match\"]}"), ERR_INVALID_PARAM },
	};
	AUTO_ARENA a = arena_new();
	AUTO_BUF deep = BUF_INIT(4096);
	const struct json *body = parsed(a, S("{\"actions\":[\"notify\",\"coalesce\",\"dont_notify\"]}"));
	const struct push_rule *rule;
	str s = STR_NONE;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const err *e = push_rules_put(a, s, PUSH_OVERRIDE, bad[i].rule_id, parsed(a, bad[i].body), STR_NONE,
					      STR_NONE, &s);

		ok(e && e->code == bad[i].code, "row %zu", i);
	}
	buf_add(&deep, S("{\"actions\":[{\"set_tweak\":\"x\",\"value\":"));
	for (int i = 0; i < 40; i++)
		buf_byte(&deep, '[');
	for (int i = 0; i < 40; i++)
		buf_byte(&deep, ']');
	buf_add(&deep, S("}]}"));
	assert_non_null(push_rules_put(a, s, PUSH_ROOM, S("!a:x"), parsed(a, buf_str(&deep)), STR_NONE, STR_NONE, &s));
	assert_null(push_rules_put(a, s, PUSH_OVERRIDE, S("a"), body, STR_NONE, STR_NONE, &s));
	assert_null(push_rules_put(a, s, PUSH_OVERRIDE, S("b"), body, STR_NONE, STR_NONE, &s));
	assert_null(push_rules_put(a, s, PUSH_OVERRIDE, S("a"), body, STR_NONE, STR_NONE, &s));
	assert_true(str_eq(order(a, s), S("b a ")));
	rule = push_rule_find(push_rules_load(a, s), PUSH_OVERRIDE, S("a"));
	assert_int_equal(rule->actions->array.n, 1); /* without the historical ones */
	assert_null(
		push_rules_set_actions(a, s, PUSH_UNDERRIDE, S(".m.rule.message"), json_get(body, S("actions")), &s));
	rule = push_rule_find(push_rules_load(a, s), PUSH_UNDERRIDE, S(".m.rule.message"));
	assert_int_equal(rule->actions->array.n, 1);
}

/* "the sender of the event has high enough power": where levels are silent or absent, and where creators stand above
 * them. */
static void test_who_may_notify_the_room(void **state)
{
	static const struct {
		const char *name;
		str version, levels, sender;
		bool highlight;
	} rows[] = {
		{ "without levels the creator has 100", STR("11"), { 0 }, STR("@creator:x"), true },
		{ "and all others nothing", STR("11"), { 0 }, STR("@o:x"), false },
		{ "levels that do not name the creator", STR("11"), STR("{}"), STR("@creator:x"), false },
		{ "users_default", STR("11"), STR("{\"users_default\":50}"), STR("@o:x"), true },
		{ "just too little", STR("11"), STR("{\"users_default\":49}"), STR("@o:x"), false },
		{ "no additional creators before 12", STR("11"), { 0 }, STR("@more:x"), false },
		{ "12: the creator", STR("12"), STR("{\"notifications\":{\"room\":9007199254740991}}"),
		  STR("@creator:x"), true },
		{ "12: an additional one", STR("12"), STR("{\"notifications\":{\"room\":9007199254740991}}"),
		  STR("@more:x"), true },
		{ "12: without levels", STR("12"), { 0 }, STR("@more:x"), true },
		{ "12: anybody", STR("12"), { 0 }, STR("@o:x"), false },
		{ "12: no level is a string", STR("12"), STR("{\"notifications\":{\"room\":\"0\"}}"), STR("@o:x"),
		  false },
		{ "9: a level may be one", STR("9"), STR("{\"notifications\":{\"room\":\"0\"}}"), STR("@o:x"), true },
	};
	const struct event create =
		event_of(A, S("{\"type\":\"m.room.create\",\"sender\":\"@creator:x\",\"state_key\":\"\","
			      "\"content\":{\"creator\":\"@creator:x\",\"additional_creators\":[\"@more:x\"]}}"));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const str none = S("{}");
		const struct event levels =
			event_of(A, arena_join3(A, S("{\"content\":"),
						str_is_none(rows[i].levels) ? none : rows[i].levels, S("}")));
		const struct event ev = event_of(
			A,
			arena_join3(
				A,
				S("{\"type\":\"m.room.message\",\"content\":{\"m.mentions\":{\"room\":true}},\"sender\":\""),
				rows[i].sender, S("\"}")));
		const struct power_levels pl = power_levels_of(room_version_find(rows[i].version), &create,
							       str_is_none(rows[i].levels) ? NULL : &levels);
		const struct push_event pe = { &ev, &pl, 3 };

		ok(push_evaluate(push_rules_load(A, STR_NONE), &pe, me, STR_NONE).highlight == rows[i].highlight, "%s",
		   rows[i].name);
	}
}

/* Thousands are asked about one event: who is mentioned was found out once, and the list is not gone through for each.
 */
static void test_mentions_are_found_out_once(void **state)
{
	const struct event ev = event_of(
		A,
		S("{\"type\":\"org.x\",\"sender\":\"@o:x\",\"content\":{\"m.mentions\":{\"user_ids\":[\"@you:x\"]}}}"));
	const struct power_levels pl = power_levels_of(room_version_find(S("11")), NULL, NULL);
	struct map mentioned;
	const struct push_event pe = { &ev, &pl, 3, &mentioned };

	(void)state;
	map_init(&mentioned, A);
	(void)map_put(&mentioned, me, A);
	assert_true(push_evaluate(push_rules_load(A, STR_NONE), &pe, me, STR_NONE).highlight);
	assert_false(push_evaluate(push_rules_load(A, STR_NONE), &pe, S("@you:x"), STR_NONE).notify);
	assert_false(push_evaluate(push_rules_load(A, STR_NONE), &pe, S(""), STR_NONE).notify);
}

/* Only who looks for their name is asked for it. */
static void test_a_name_is_wanted_by_enabled_rules(void **state)
{
	const str stored = S("{\"rules\":{\"override\":[{\"rule_id\":\"n\",\"actions\":[],\"conditions\":["
			     "{\"kind\":\"room_member_count\",\"is\":\"2\"},{\"kind\":\"contains_display_name\"}]}]}}");
	str off;

	(void)state;
	assert_false(push_rules_want_name(push_rules_load(A, STR_NONE)));
	assert_true(push_rules_want_name(push_rules_load(A, stored)));
	assert_null(push_rules_set_enabled(A, stored, PUSH_OVERRIDE, S("n"), false, &off));
	assert_false(push_rules_want_name(push_rules_load(A, off)));
}

/* A room's successor: what the user's own rules say of the old room is said of the new one, too, right above; and
 * nothing else is. */
static void test_rules_follow_a_room(void **state)
{
	AUTO_ARENA a = arena_new();
	const str before = S(
		"{\"rules\":{\"room\":[{\"rule_id\":\"!old:x\",\"actions\":[]}],\"override\":["
		"{\"rule_id\":\"first\",\"actions\":[]},"
		"{\"rule_id\":\"!old:x\",\"actions\":[],\"conditions\":[{\"kind\":\"event_match\",\"key\":\"room_id\","
		"\"pattern\":\"!old:x\"}]},"
		"{\"rule_id\":\"off\",\"enabled\":false,\"actions\":[],\"conditions\":[{\"kind\":\"event_match\","
		"\"key\":\"room_id\",\"pattern\":\"!old:x\"}]},"
		"{\"rule_id\":\"other\",\"actions\":[],\"conditions\":[{\"kind\":\"event_match\",\"key\":\"content.body\","
		"\"pattern\":\"!old:x\"}]}]}}");
	static const str override[] = { STR("first"), STR("!new:x"), STR("!old:x"), STR("off"), STR("other") };
	const struct json *list;
	str s, again, none;

	(void)state;
	assert_true(push_rules_name_room(a, before, S("!old:x")) && !push_rules_name_room(a, before, S("!new:x")));
	assert_null(push_rules_follow_room(a, before, S("!old:x"), S("!new:x"), &s));
	assert_non_null(push_rule_find(push_rules_load(a, s), PUSH_ROOM, S("!new:x")));
	list = json_get_array(json_get(parsed(a, s), S("rules")), S("override"));
	assert_int_equal(list->array.n, ARRAY_LEN(override));
	for (size_t i = 0; i < ARRAY_LEN(override); i++)
		assert_true(str_eq(json_get_str(list->array.items[i], S("rule_id")), override[i]));
	assert_true(push_rules_name_room(a, s, S("!new:x")));
	assert_null(push_rules_follow_room(a, s, S("!old:x"), S("!new:x"), &again));
	assert_true(str_eq(s, again));
	assert_null(push_rules_follow_room(a, STR_NONE, S("!old:x"), S("!new:x"), &none));
	assert_true(str_is_none(none));
}

/* All the rules of one kind that there may be, more than half of them of the old room: this is done while the store
 * waits. */
static void test_many_rules_follow_a_room_at_once(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);
	const struct push_rules *r;
	size_t before, follow = 0;
	str out;

	(void)state;
	buf_add(&b, S("{\"rules\":{\"override\":["));
	for (int i = 0; i < 700; i++)
		buf_printf(&b,
			   "%s{\"rule_id\":\"r%d\",\"actions\":[],\"conditions\":[{\"kind\":\"event_property_is\","
			   "\"key\":\"room_id\",\"value\":\"!old:x\",\"pattern\":\"p\"}]}",
			   i ? "," : "", i);
	buf_add(&b, S("]}}"));
	before = arena_used(a);
	assert_null(push_rules_follow_room(a, buf_str(&b), S("!old:x"), S("!new:x"), &out));
	assert_true(arena_used(a) - before < (size_t)16 << 20);
	r = push_rules_load(a, out);
	for (size_t i = 0; i < r->n; i++)
		if (!r->rules[i].is_default && str_ends(r->rules[i].rule_id, S(" !new:x"))) {
			const struct json *condition = r->rules[i].conditions->array.items[0];

			assert_true(str_eq(json_get_str(condition, S("value")), S("!new:x")));
			assert_true(str_eq(json_get_str(condition, S("pattern")), S("p")));
			follow++;
		}
	assert_int_equal(follow, PUSH_RULES_MAX - 700);
}

/* What would be too much is not written, and is no error: other settings follow as well. */
static void test_rules_too_large_to_follow_stay(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);
	str out;

	(void)state;
	buf_add(&b, S("{\"rules\":{\"room\":[{\"rule_id\":\"!old:x\",\"actions\":[{\"set_tweak\":\""));
	while (b.n < PUSH_RULES_BYTES * 2 / 3)
		buf_byte(&b, 'x');
	buf_add(&b, S("\"}]}]}}"));
	assert_null(push_rules_follow_room(a, buf_str(&b), S("!old:x"), S("!new:x"), &out));
	assert_true(str_eq(out, buf_str(&b)));
}

static void test_written_rules_name_the_user(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);
	const struct json *got, *mention = NULL;

	(void)state;
	jw_object(&w, NULL);
	push_rules_write(&w, push_rules_load(a, STR_NONE), me);
	jw_end(&w);
	assert_true(jw_good(&w));
	got = json_get_array(parsed(a, buf_str(&b)), S("override"));
	JSON_ITEMS (got, i) {
		if (str_eq(json_get_str(got->array.items[i], S("rule_id")), S(".m.rule.is_user_mention")))
			mention = got->array.items[i];
	}
	assert_true(str_eq(json_get_str(json_get_array(mention, S("conditions"))->array.items[0], S("value")), me));
}

static void test_a_full_list_still_changes(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);
	const struct json *body = parsed(a, S("{\"actions\":[\"notify\"]}"));
	str stored;

	(void)state;
	buf_add(&b, S("{\"rules\":{\"room\":["));
	for (int i = 0; i < PUSH_RULES_MAX; i++)
		buf_printf(&b, "%s{\"rule_id\":\"!%d:x\",\"actions\":[]}", i ? "," : "", i);
	buf_add(&b, S("]}}"));
	assert_non_null(push_rules_put(a, buf_str(&b), PUSH_ROOM, S("!new:x"), body, STR_NONE, STR_NONE, &stored));
	assert_null(push_rules_put(a, buf_str(&b), PUSH_ROOM, S("!5:x"), body, STR_NONE, STR_NONE, &stored));
	assert_int_equal(push_rule_find(push_rules_load(a, stored), PUSH_ROOM, S("!5:x"))->actions->array.n, 1);
}

/* Hundreds of patterns that do not match `q`s, and at last one that does. */
static str costly_rules(struct arena *a)
{
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);

	buf_add(&b, S("{\"rules\":{\"content\":["));
	for (int i = 0; i < 600; i++) {
		buf_printf(&b, "{\"rule_id\":\"r%d\",\"actions\":[],\"pattern\":\"", i);
		for (int k = 0; k < 250; k++)
			buf_byte(&b, "q*?x"[k % 4]);
		buf_add(&b, S("\"},"));
	}
	buf_add(&b, S("{\"rule_id\":\"last\",\"actions\":[],\"pattern\":\"q*\"}]}}"));
	return arena_keep(a, buf_str(&b));
}

static str message_of(struct arena *a, int length)
{
	AUTO_BUF b = BUF_INIT(1 << 17);

	buf_add(&b, S("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"body\":\""));
	for (int i = 0; i < length; i++)
		buf_byte(&b, 'q');
	buf_add(&b, S("\"}}"));
	return arena_keep(a, buf_str(&b));
}

/* Evaluated under the room's lock, for every event of the room: what one member writes into their rules must not stop
 * it. */
static void test_hundreds_of_patterns_do_not_hold_up_a_room(void **state)
{
	AUTO_ARENA a = arena_new();
	const str stored = costly_rules(a);

	(void)state;
	assert_false(evaluate(a, stored, message_of(a, 1000), 3).notify);
	assert_true(evaluate(a, stored, message_of(a, 60000), 3).notify); /* the last one was not looked at any more */
}

static str text_of(struct arena *a, const struct json *json)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);

	jw_json(&w, NULL, json);
	assert_true(jw_good(&w));
	return arena_keep(a, buf_str(&b));
}

/* Rows of tests/vectors/push_rules.json: each is made the one condition of a user's rule. */
static void test_conditions(void **state)
{
	const struct json *all = parse(arena_cstr(A, slurp("tests/vectors/push_rules.json")));
	const struct json *rows = json_get_array(all, S("conditions"));
	const struct event levels_event = event_of(
		A, S("{\"type\":\"m.room.power_levels\",\"sender\":\"@mod:x\",\"state_key\":\"\",\"content\":"
		     "{\"users\":{\"@mod:x\":50},\"notifications\":{\"quiet\":0,\"loud\":100,\"odd\":\"x\"}}}"));
	const struct power_levels pl = power_levels_of(room_version_find(S("11")), NULL, &levels_event);

	(void)state;
	assert_true(rows->array.n > 100);
	JSON_ITEMS (rows, i) {
		struct json *const *row = rows->array.items[i]->array.items;
		const str stored = arena_join3(A, S("{\"rules\":{\"override\":[{\"rule_id\":\"c\",\"conditions\":["),
					       text_of(A, row[1]), S("],\"actions\":[\"matched\"]}]}}"));
		const struct event ev = event_of(A, text_of(A, row[2]));
		const struct push_event pe = { &ev, &pl, 3 };
		const struct push_result r = push_evaluate(push_rules_load(A, stored), &pe, me, S("Me *"));
		const bool holds = r.actions && r.actions->array.n > 0 &&
				   str_eq(json_str(r.actions->array.items[0]), S("matched"));

		ok(holds == row[3]->b, "%.*s", STR_ARG(json_str(row[0])));
	}
}

/* "The following server-default rules are specified": as clients get them, in the text's order and words. */
static void test_the_default_rules_are_the_specifications(void **state)
{
	const struct json *all = parse(arena_cstr(A, slurp("tests/vectors/push_rules.json")));
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);
	const struct json *got;

	(void)state;
	jw_object(&w, NULL);
	push_rules_write(&w, push_rules_load(A, STR_NONE), me);
	jw_end(&w);
	got = parse(arena_cstr(A, buf_str(&b)));
	assert_int_equal(got->object.n, PUSH_KINDS);
	JSON_EACH (got, kind) {
		const struct json *wanted = json_get(json_get(all, S("defaults")), kind->key);

		ok(kind->value->array.n == (wanted ? wanted->array.n : 0), "number of %.*s rules", STR_ARG(kind->key));
		JSON_ITEMS (wanted, i)
			ok(json_equal(kind->value->array.items[i], wanted->array.items[i]), "%.*s rule %zu",
			   STR_ARG(kind->key), i);
	}
}

/* Plain words cost little each, but a thousand of them look at a long body a thousand times. */
static void test_hundreds_of_words_do_not_hold_up_a_room(void **state)
{
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);

	(void)state;
	buf_add(&b, S("{\"rules\":{\"content\":["));
	for (int i = 0; i < 999; i++)
		buf_printf(&b, "{\"rule_id\":\"r%d\",\"actions\":[],\"pattern\":\"qqqqqqqqqqqqqqqqqqqqqqqx\"},", i);
	buf_add(&b, S("{\"rule_id\":\"last\",\"actions\":[],\"pattern\":\"q*\"}]}}"));
	assert_false(evaluate(A, buf_str(&b), message_of(A, 1000), 3).notify);
	assert_true(
		evaluate(A, buf_str(&b), message_of(A, 60000), 3).notify); /* the last one was not looked at any more */
}

/* `n` override rules that do nothing, each of this condition; then one that silences everything. */
static str rules_of(struct arena *a, int n, const char *condition)
{
	AUTO_BUF b = BUF_INIT(PUSH_RULES_BYTES);

	buf_add(&b, S("{\"rules\":{\"override\":["));
	for (int i = 0; i < n; i++)
		buf_printf(&b, "{\"rule_id\":\"r%d\",\"actions\":[\"notify\"],\"conditions\":[%s]},", i, condition);
	buf_add(&b, S("{\"rule_id\":\"last\",\"actions\":[],\"conditions\":[{\"kind\":\"event_property_contains\","
		      "\"key\":\"content.v\",\"value\":3}]}]}}"));
	return arena_keep(a, buf_str(&b));
}

/* A body of the text over and over, and a list that ends with 3. */
static str message_with(struct arena *a, const char *text, int times, int list)
{
	AUTO_BUF b = BUF_INIT(1 << 17);

	buf_add(&b, S("{\"type\":\"m.room.message\",\"sender\":\"@o:x\",\"content\":{\"v\":["));
	for (int i = 0; i < list; i++)
		buf_add(&b, S("1,"));
	buf_add(&b, S("3],\"body\":\""));
	for (int i = 0; i < times; i++)
		buf_add(&b, str_c(text));
	buf_add(&b, S("\"}}"));
	return arena_keep(a, buf_str(&b));
}

/* It is not only patterns that cost. The last rule matches; where the others used up what there is, it is not looked at
 * any more. */
static void test_other_conditions_do_not_hold_up_a_room(void **state)
{
	static const char contains[] = "{\"kind\":\"event_property_contains\",\"key\":\"content.v\",\"value\":2}";
	static const char name[] = "{\"kind\":\"contains_display_name\"}";

	(void)state;
	assert_false(evaluate(A, rules_of(A, 900, contains), message_with(A, "", 0, 1000), 3).notify);
	assert_true(evaluate(A, rules_of(A, 900, contains), message_with(A, "", 0, 28000), 3).notify);
	assert_false(evaluate(A, rules_of(A, 900, name), message_with(A, "Me?", 300, 1), 3).notify);
	assert_true(evaluate(A, rules_of(A, 900, name), message_with(A, "Me?", 20000, 1), 3).notify);
}

/* What an event means to everybody is asked for nobody: an id that is empty names no one, least of all everybody. */
static void test_no_event_names_nobody(void **state)
{
	static const str events[] = {
		STR("{\"type\":\"org.x\",\"sender\":\"@o:x\",\"content\":{\"m.mentions\":{\"user_ids\":[\"\"]}}}"),
		STR("{\"type\":\"m.room.member\",\"sender\":\"@o:x\",\"state_key\":\"\",\"content\":{\"membership\":\"invite\"}}"),
	};
	const struct power_levels pl = power_levels_of(room_version_find(S("11")), NULL, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		const struct event ev = event_of(A, events[i]);
		const struct push_event pe = { &ev, &pl, 3 };

		assert_false(push_evaluate(push_rules_load(A, STR_NONE), &pe, S(""), STR_NONE).notify);
		assert_false(push_evaluate(push_rules_load(A, STR_NONE), &pe, STR_NONE, STR_NONE).notify);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_rules),
		cmocka_unit_test(test_own_rules),
		cmocka_unit_test(test_the_master_rule_is_above_all),
		cmocka_unit_test(test_order_and_changes),
		cmocka_unit_test(test_what_is_put),
		TEST(test_who_may_notify_the_room),
		TEST(test_mentions_are_found_out_once),
		TEST(test_a_name_is_wanted_by_enabled_rules),
		cmocka_unit_test(test_rules_follow_a_room),
		cmocka_unit_test(test_many_rules_follow_a_room_at_once),
		cmocka_unit_test(test_rules_too_large_to_follow_stay),
		cmocka_unit_test(test_written_rules_name_the_user),
		cmocka_unit_test(test_a_full_list_still_changes),
		cmocka_unit_test(test_hundreds_of_patterns_do_not_hold_up_a_room),
		TEST(test_conditions),
		TEST(test_the_default_rules_are_the_specifications),
		TEST(test_hundreds_of_words_do_not_hold_up_a_room),
		TEST(test_other_conditions_do_not_hold_up_a_room),
		TEST(test_no_event_names_nobody),
	};

	push_rules_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
