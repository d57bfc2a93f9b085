/* Identifiers: each grammar by examples on both sides of it. */
#include "matrix/fixture.h"

#include "matrix/id.h"

struct row {
	str id;
	bool valid;
};

#define CHECK(fn, rows)                                                                                                \
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)                                                                   \
	ok(fn((rows)[i].id) == (rows)[i].valid, #fn "(\"%.*s\")", STR_ARG((rows)[i].id))

static void server_names(void **state)
{
	static const struct row rows[] = {
		{ STR("matrix.org"), true },
		{ STR("matrix.org:8888"), true },
		{ STR("1.2.3.4"), true },
		{ STR("1.2.3.4:1234"), true },
		{ STR("[1234:5678::abcd]"), true },
		{ STR("[1234:5678::abcd]:5678"), true },
		{ STR("localhost"), true },
		{ STR("LOCALhost:1"), true },
		{ STR(""), false },
		{ STR(":80"), false },
		{ STR("a:"), false },
		{ STR("a:123456"), false },
		{ STR("a:8a"), false },
		{ STR("a:1:2"), false },
		{ STR("a b"), false },
		{ STR("a_b"), false },
		{ STR("a/b"), false },
		{ STR("[::1"), false },
		{ STR("[::1]x"), false },
		{ STR("[::1]:"), false },
		{ STR("[g::1]"), false },
		{ STR("[:]"), false },
		{ STR("[]"), false },
		{ STR("::1"), false },
		{ STR("b\xc3\xbc"
		      "cher.de"),
		  false },
		{ STR("a\0b"), false },
	};

	(void)state;
	CHECK(id_server_name_valid, rows);
}

static void users(void **state)
{
	static const struct row rows[] = {
		{ STR("@a:b"), true },
		{ STR("@a.b-c_d=e/f+9:matrix.org:8448"), true },
		{ STR("@A:b"), true },             /* historical */
		{ STR("@:b"), true },              /* historical, empty */
		{ STR("@\xc3\xa9 \x01:b"), true }, /* historical, beyond ASCII and control characters */
		{ STR("@a:[::1]:80"), true },
		{ STR("@a"), false },
		{ STR("a:b"), false },
		{ STR("@a:"), false },
		{ STR("@a:b:c"), false },
		{ STR("@a\0:b"), false },
		{ STR("@\xff:b"), false },
		{ STR("@\xed\xa0\x80:b"), false }, /* a surrogate */
		{ STR(""), false },
		{ STR("@"), false },
		{ STR("#a:b"), false },
	};
	char longest[257];

	(void)state;
	CHECK(id_user_valid, rows);
	memset(longest, 'a', sizeof(longest));
	longest[0] = '@';
	longest[1] = 'x';
	longest[2] = ':';
	assert_true(id_user_valid((str){ longest, 255 }));
	assert_false(id_user_valid((str){ longest, 256 }));
	assert_true(id_user_compliant(S("@a:b")));
	assert_true(id_user_compliant(S("@A~!:b")));
	assert_false(id_user_compliant(S("@:b")));
	assert_false(id_user_compliant(S("@a b:b")));
	assert_false(id_user_compliant(S("@\xc3\xa9:b")));
	assert_false(id_user_compliant(S("@a")));
}

static void localparts(void **state)
{
	static const struct row rows[] = {
		{ STR("alice"), true }, { STR("a.b_c=d-e/f+0"), true }, { STR("0"), true },
		{ STR(""), false },     { STR("Alice"), false },        { STR("a b"), false },
		{ STR("a:b"), false },  { STR("\xc3\xa9"), false },     { STR("a@"), false },
		{ STR("a\0"), false },
	};

	(void)state;
	CHECK(id_localpart_strict, rows);
}

static void rooms_aliases_events(void **state)
{
	static const struct row rooms[] = {
		{ STR("!a:b"), true },    { STR("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"), true },
		{ STR("!a:b:80"), true }, { STR("!\xc3\xa9:b"), true },
		{ STR("!"), false },      { STR("!a:"), false },
		{ STR("!a:b c"), false }, { STR("#a:b"), false },
		{ STR("!a\0"), false },   { STR(""), false },
		{ STR("!\xff"), false },
	};
	static const struct row aliases[] = {
		{ STR("#a:b"), true },    { STR("#\xe6\x97\xa5 \xe6\x9c\xac:b"), true },
		{ STR("#a"), false },     { STR("#a:"), false },
		{ STR("#a\0:b"), false }, { STR("!a:b"), false },
		{ STR("#a:b#c"), false },
	};
	static const struct row events[] = {
		{ STR("$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"), true },
		{ STR("$a:b"), true },
		{ STR("$"), false },
		{ STR("a"), false },
		{ STR(""), false },
		{ STR("$a\0"), false },
	};

	(void)state;
	CHECK(id_room_valid, rooms);
	CHECK(id_alias_valid, aliases);
	CHECK(id_event_valid, events);
}

static void other_identifiers(void **state)
{
	static const struct row opaque[] = {
		{ STR("aA0-._~"), true }, { STR(""), false },         { STR("a b"), false },
		{ STR("a/b"), false },    { STR("\xc3\xa9"), false },
	};
	static const struct row namespaced[] = {
		{ STR("m.foo"), true },  { STR("com.example.x-y_z0"), true },
		{ STR("0a"), false },    { STR(".a"), false },
		{ STR("Com.x"), false }, { STR(""), false },
		{ STR("a b"), false },
	};

	(void)state;
	CHECK(id_opaque_valid, opaque);
	CHECK(id_namespaced_valid, namespaced);
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
	const struct CMUnitTest tests[] = {
		TEST(server_names),      TEST(users), TEST(localparts), TEST(rooms_aliases_events),
		TEST(other_identifiers), TEST(parts),
	};

	return cmocka_run_group_tests_name("matrix/id", tests, NULL, NULL);
}
