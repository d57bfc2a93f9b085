/* Addresses and networks. */
#include "test.h"

#include "base/ip.h"

static void addresses_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "192.0.2.1", true },        { "::", true },          { "2001:db8::1", true },
		{ "::ffff:192.0.2.1", true }, { "", false },           { "192.0.2", false },
		{ "192.0.2.256", false },     { "192.0.2.1 ", false }, { "[::1]", false },
		{ "fe80::1%lo", false },      { "0x7f.1", false },     { "192.0.2.1/24", false },
		{ "1:2:3:4:5:6:7", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct ip before = { .bytes = "what was there!" };
		struct ip ip = before;

		if (ip_parse(str_c(cases[i].text), &ip) != cases[i].good)
			fail_msg("%s", cases[i].text);
		/* What is no address leaves no half of one. */
		if (!cases[i].good)
			assert_memory_equal(&ip, &before, sizeof(ip));
	}
	struct ip ip;

	assert_false(ip_parse(S("127.0.0.1\0"), &ip));
	assert_false(ip_parse(STR_NONE, &ip));
}

static void networks_hold_what_begins_like_them(void **state)
{
	static const struct {
		const char *net, *ip;
		bool in;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.1.2", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "172.16.0.0/12", "172.31.255.255", true },
		{ "172.16.0.0/12", "172.32.0.0", false },
		{ "192.0.2.7", "192.0.2.7", true },
		{ "192.0.2.7", "192.0.2.6", false },
		{ "192.0.2.99/24", "192.0.2.1", true },
		{ "0.0.0.0/0", "8.8.8.8", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "8.8.8.8", true },
		{ "fc00::/7", "fdff::1", true },
		{ "fc00::/7", "fe00::1", false },
		{ "127.0.0.0/8", "::ffff:127.0.0.1", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip_net net;
		struct ip ip;

		assert_true(ip_net_parse(str_c(cases[i].net), &net) && ip_parse(str_c(cases[i].ip), &ip));
		if (ip_net_has(&net, &ip) != cases[i].in)
			fail_msg("%s in %s", cases[i].ip, cases[i].net);
	}
}

static void networks_are_read_strictly(void **state)
{
	static const char *const bad[] = { "",       "/8",           "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
					   "::/129", "10.0.0.0/8/8", "x/8" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct ip_net before = { .base.bytes = "what was there!", .bits = 77 };
		struct ip_net net = before;

		if (ip_net_parse(str_c(bad[i]), &net))
			fail_msg("%s", bad[i]);
		assert_memory_equal(&net, &before, sizeof(net));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_strictly),
		cmocka_unit_test(networks_hold_what_begins_like_them),
		cmocka_unit_test(networks_are_read_strictly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
