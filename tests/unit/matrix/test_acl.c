/* Server ACLs: m.room.server_acl's five steps, and what malformed ones do. */
#include "matrix/fixture.h"

#include "matrix/acl.h"

static void follows_the_five_steps(void **state)
{
	static const struct {
		const char *acl;
		str server;
		bool allowed;
	} rows[] = {
		{ "{\"allow\":[\"*\"]}", STR("matrix.org"), true },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*.evil.com\",\"evil.com\"]}", STR("evil.com"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*.evil.com\",\"evil.com\"]}", STR("a.evil.com:8448"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*.evil.com\",\"evil.com\"]}", STR("EVIL.com"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*.EVIL.com\"]}", STR("a.evil.com"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*.evil.com\"]}", STR("notevil.com"), true },
		{ "{\"allow\":[\"good.com\"],\"deny\":[\"good.com\"]}", STR("good.com"), false },
		{ "{\"allow\":[\"good.com\"]}", STR("good.com:1234"), true },
		{ "{\"allow\":[\"good.com:1234\"]}", STR("good.com:1234"), false }, /* ports never count */
		{ "{\"allow\":[\"good.com\"]}", STR("other.com"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.4"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.4:80"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("[::1]"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("[::1]:80"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.4.5"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.example"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.400"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":true}", STR("1.2.3.4"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":\"false\"}", STR("1.2.3.4"), true },
		{ "{\"allow\":[\"*\"]}", STR("1.2.3.4"), true },
		{ "{\"allow\":[\"[::1]\"]}", STR("[::1]:80"), true },
		/* Malformed: nobody gets in who was not let in, and no denial is lost beside rubbish. */
		{ "{}", STR("a"), false },
		{ "{\"allow\":\"*\"}", STR("a"), false },
		{ "{\"allow\":{\"0\":\"*\"}}", STR("a"), false },
		{ "{\"allow\":[1,null,{},[\"*\"]]}", STR("a"), false },
		{ "{\"allow\":[\"*\"],\"deny\":\"a\"}", STR("a"), true },
		{ "{\"allow\":[\"*\"],\"deny\":[7,\"a\"]}", STR("a"), false },
	};

	(void)state;
	assert_true(acl_allows(NULL, S("anything")));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(acl_allows(parse(rows[i].acl), rows[i].server) == rows[i].allowed, "%s for %.*s", rows[i].acl,
		   STR_ARG(rows[i].server));
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(follows_the_five_steps) };

	return cmocka_run_group_tests_name("matrix/acl", tests, NULL, NULL);
}
