/* Identifiers: each grammar by the rows of tests/vectors/ids.json, and by bytes that JSON cannot hold. */
#include "matrix/fixture.h"

#include "matrix/id.h"

static bool room_with_domain(str id) { return id_room_fits(id, room_version_find(S("11"))); }
static bool room_of_hash(str id) { return id_room_fits(id, room_version_find(S("12"))); }
static bool event_of_1(str id) { return id_event_fits(id, room_version_find(S("2"))); }
static bool event_of_3(str id) { return id_event_fits(id, room_version_find(S("3"))); }
static bool event_of_4(str id) { return id_event_fits(id, room_version_find(S("12"))); }

static const struct {
	str name;
	bool (*is_valid)(str id);
} grammars[] = {
	{ STR("server_name"), id_server_name_valid },
	{ STR("user"), id_user_valid },
	{ STR("user_compliant"), id_user_compliant },
	{ STR("localpart"), id_localpart_strict },
	{ STR("room"), id_room_valid },
	{ STR("room_with_domain"), room_with_domain },
	{ STR("room_of_hash"), room_of_hash },
	{ STR("alias"), id_alias_valid },
	{ STR("event"), id_event_valid },
	{ STR("event_of_1"), event_of_1 },
	{ STR("event_of_3"), event_of_3 },
	{ STR("event_of_4"), event_of_4 },
	{ STR("opaque"), id_opaque_valid },
	{ STR("namespaced"), id_namespaced_valid },
};

static void vectors(void **state)
{
	const struct json *all = parse(arena_cstr(A, slurp("tests/vectors/ids.json")));

	(void)state;
	for (size_t g = 0; g < ARRAY_LEN(grammars); g++) {
		const struct json *rows = json_get_array(all, grammars[g].name);

		ok(rows && rows->array.n > 0, "no rows for %.*s", STR_ARG(grammars[g].name));
		JSON_ITEMS (rows, i) {
			const struct json *row = rows->array.items[i];
			const str id = json_str(row->array.items[0]);

			ok(grammars[g].is_valid(id) == row->array.items[1]->b, "%.*s \"%.*s\"",
			   STR_ARG(grammars[g].name), STR_ARG(id));
		}
	}
}

/* What no JSON text holds: ill-formed UTF-8. */
static void bytes(void **state)
{
	static const str bad[] = { STR("@\xff:b"), STR("@\xed\xa0\x80:b") /* a surrogate */, STR("@\xc0\x80:b"),
				   STR("@a:b\xff") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char other[16];

		ok(!id_user_valid(bad[i]), "user, row %zu", i);
		memcpy(other, bad[i].p, bad[i].n);
		other[0] = '!';
		ok(!id_room_valid((str){ other, bad[i].n }), "room, row %zu", i);
		other[0] = '#';
		ok(!id_alias_valid((str){ other, bad[i].n }), "alias, row %zu", i);
		other[0] = '$';
		ok(!id_event_valid((str){ other, bad[i].n }), "event, row %zu", i);
	}
}

static void parts(void **state)
{
	(void)state;
	assert_str(id_server(S("@a:b:80")), S("b:80"));
	assert_str(id_server(S("!hash")), STR_NONE);
	assert_str(id_localpart(S("@a:b:80")), S("a"));
	assert_str(id_localpart(S("!hash")), S("hash"));
	assert_true(id_is_of(S("@a:b:80"), S("b:80")));
	assert_false(id_is_of(S("@a:b:80"), S("b")));
	assert_false(id_is_of(S("@a:B"), S("b"))); /* "Server names must be treated case-sensitively" */
	assert_false(id_is_of(S("!hash"), S("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(vectors), TEST(bytes), TEST(parts) };

	return cmocka_run_group_tests_name("matrix/id", tests, NULL, NULL);
}
