/* test_client_event.c - the parts of an event, found in its bytes: quotes, escapes and brackets inside of strings are
 * no structure. */
#include "test.h"

#include "room/client_event.h"

static const struct {
	const char *name;
	str json, content, type;
} cases[] = {
	{ "plain", STR("{\"content\":{\"body\":\"a\"},\"type\":\"m\"}"), STR("{\"body\":\"a\"}"), STR("\"m\"") },
	{ "a quote", STR("{\"content\":{\"body\":\"\\\"}\"},\"type\":\"m\"}"), STR("{\"body\":\"\\\"}\"}"),
	  STR("\"m\"") },
	{ "a backslash at a string's end", STR("{\"content\":{\"body\":\"\\\\\"},\"type\":\"m\"}"),
	  STR("{\"body\":\"\\\\\"}"), STR("\"m\"") },
	{ "a backslash, then a quote", STR("{\"content\":{\"body\":\"\\\\\\\"\\\\\\\\\"},\"type\":\"m\"}"),
	  STR("{\"body\":\"\\\\\\\"\\\\\\\\\"}"), STR("\"m\"") },
	{ "empty strings", STR("{\"content\":{\"\":\"\"},\"type\":\"\"}"), STR("{\"\":\"\"}"), STR("\"\"") },
	{ "brackets in strings", STR("{\"content\":{\"a\":\"}]\",\"b\":[\"{\",[{}]]},\"type\":\"{[\"}"),
	  STR("{\"a\":\"}]\",\"b\":[\"{\",[{}]]}"), STR("\"{[\"") },
	{ "numbers and words", STR("{\"content\":{\"a\":-1,\"b\":[true,null]},\"depth\":12,\"type\":\"m\"}"),
	  STR("{\"a\":-1,\"b\":[true,null]}"), STR("\"m\"") },
	{ "an escape in a key", STR("{\"content\":{\"\\\"type\\\"\":1},\"type\":\"m\\\\\"}"),
	  STR("{\"\\\"type\\\"\":1}"), STR("\"m\\\\\"") },
};

static void test_parts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct event_parts p;

		event_parts_of(cases[i].json, &p);
		ok(str_eq(p.content, cases[i].content), "%s: content %.*s", cases[i].name, STR_ARG(p.content));
		ok(str_eq(p.type, cases[i].type), "%s: type %.*s", cases[i].name, STR_ARG(p.type));
		ok(str_is_none(p.sender), "%s", cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
