/* SRV records: asked for, put in order, and what the DNS may do instead of answering. */
#include "federation/dns.h"

#include "base/clock.h"
#include "federation/srv.h"

static int64_t soon(void) { return clock_mono_us() + 20 * 1000000; }

static void records_in_order_of_priority(void **state)
{
	static const struct dns_record records[] = {
		{ "_x._tcp.a.example", 20, 5, 1002, "second.example" },
		{ "_x._tcp.a.example", 10, 5, 1001, "first.example" },
		{ "_x._tcp.a.example", 30, 0, 1003, "third.example" },
		{ "_x._tcp.b.example", 1, 1, 1, "other.example" },
	};
	struct srv_target t[SRV_MAX];
	AUTO_ARENA a = arena_new();
	struct dns d;
	size_t n = 0;

	(void)state;
	dns_start(&d, records, ARRAY_LEN(records));
	good(srv_look_up(a, str_c(d.servers), S("_x._tcp.a.example"), soon(), t, &n));
	assert_int_equal(n, 3);
	same_str(t[0].host, S("first.example"));
	assert_int_equal(t[0].port, 1001);
	same_str(t[1].host, S("second.example"));
	same_str(t[2].host, S("third.example"));
	good(srv_look_up(a, str_c(d.servers), S("_x._tcp.c.example"), soon(), t, &n));
	assert_int_equal(n, 0);
	dns_stop(&d);
}

/* "A Target of "." means that the service is decidedly not available at this domain." */
static void decidedly_not_available(void **state)
{
	static const struct dns_record records[] = { { "_x._tcp.a.example", 0, 0, 0, "" } };
	struct srv_target t[SRV_MAX];
	AUTO_ARENA a = arena_new();
	struct dns d;
	const err *e;
	size_t n;

	(void)state;
	dns_start(&d, records, 1);
	e = srv_look_up(a, str_c(d.servers), S("_x._tcp.a.example"), soon(), t, &n);
	assert_true(e && e->code == ERR_CONNECTION_FAILED);
	dns_stop(&d);
}

/* No answer is not "no such record": whoever takes it for that asks the wrong machine. */
static void trouble_is_an_error(void **state)
{
	struct srv_target t[SRV_MAX];
	AUTO_ARENA a = arena_new();
	struct dns d;
	const err *e;
	size_t n;

	(void)state;
	dns_start(&d, NULL, 0);
	d.rcode = 2;
	e = srv_look_up(a, str_c(d.servers), S("_x._tcp.a.example"), soon(), t, &n);
	assert_true(e && e->code == ERR_CONNECTION_TIMEOUT);
	d.rcode = -1;
	e = srv_look_up(a, str_c(d.servers), S("_x._tcp.a.example"), clock_mono_us() + 20000, t, &n);
	assert_true(e && e->code == ERR_CONNECTION_TIMEOUT);
	dns_stop(&d);
	e = srv_look_up(a, S("no address"), S("_x._tcp.a.example"), soon(), t, &n);
	assert_true(e && e->code == ERR_CONNECTION_TIMEOUT);
}

static uint64_t next_chance, last_below;
static uint64_t chosen(uint64_t below)
{
	last_below = below;
	return next_chance < below ? next_chance : below - 1;
}

/* Who comes first among equals, for every number that chance may give. */
static void weights(void **state)
{
	static const struct {
		uint16_t weight[3];
		const char *first; /* one character for each number: whose turn it is */
	} rows[] = {
		{ { 1, 2, 1 }, "00112" },
		{ { 0, 2, 1 }, "0112" },
		{ { 2, 0, 0 }, "100" },
		{ { 0, 0, 0 }, "0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (next_chance = 0; rows[i].first[next_chance]; next_chance++) {
			struct srv_target t[3];

			for (uint16_t k = 0; k < 3; k++)
				t[k] = (struct srv_target){ .port = k, .weight = rows[i].weight[k] };
			srv_order(t, 1, chosen); /* one alone is in order */
			assert_int_equal(t[0].port, 0);
			srv_order(t, 3, chosen);
			ok(t[0].port == rows[i].first[next_chance] - '0', "row %zu, chance %" PRIu64 ": %u", i,
			   next_chance, t[0].port);
			assert_int_equal(t[0].port + t[1].port + t[2].port, 3);
		}
	}
}

TEST_MAIN(cmocka_unit_test(records_in_order_of_priority), cmocka_unit_test(decidedly_not_available),
	  cmocka_unit_test(trouble_is_an_error), cmocka_unit_test(weights))
