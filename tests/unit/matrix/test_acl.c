/* Server ACLs: m.room.server_acl's five steps, and what malformed ones do. */
#include "matrix/fixture.h"

#include "base/clock.h"
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
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("001.2.3.4"), false },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":false}", STR("1.2.3.4.example"), true },
		{ "{\"allow\":[\"*\"],\"allow_ip_literals\":null}", STR("1.2.3.4"), true },
		{ "{\"allow\":[\"*\"],\"deny\":[\"1.2.3.*\"]}", STR("1.2.3.4:8448"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"[*\"]}", STR("[::1]:8448"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"[FE80::1]\"]}", STR("[fe80::1]"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"evil?.com\"]}", STR("evil2.com"), false },
		{ "{\"allow\":[\"*\"],\"deny\":[\"evil?.com\"]}", STR("evil.com"), true },
		{ "{\"allow\":[\"*\"],\"deny\":[\"\"]}", STR("evil.com"), true },
		{ "{\"allow\":[\"*\"],\"deny\":[\"*\"]}", STR("good.com"), false },
		{ "{\"allow\":[\"*.com\",\"*.org\"],\"deny\":[\"a.*\"]}", STR("b.org"), true },
		{ "{\"allow\":[\"*.com\",\"*.org\"],\"deny\":[\"a.*\"]}", STR("a.org"), false },
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

/* A list of as many entries as an event holds, made to waste time: asked for every server of a transaction. */
static void long_lists_take_little(void **state)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	const struct json *content;
	int64_t start;

	(void)state;
	buf_add(&b, S("{\"allow\":[\"*\"],\"deny\":["));
	for (int i = 0; i < 2500; i++)
		buf_printf(&b, "%s\"*a*a*a*a*a*a*a*b%d\"", i ? "," : "", i % 10);
	buf_add(&b, S("]}"));
	content = parse(arena_cstr(A, buf_str(&b)));
	start = clock_thread_us();
	for (int i = 0; i < 10; i++)
		assert_true(acl_allows(
			content, S("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")));
	assert_true(clock_thread_us() - start < 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(follows_the_five_steps), TEST(long_lists_take_little) };

	return cmocka_run_group_tests_name("matrix/acl", tests, NULL, NULL);
}
