/* Where SRV records lead the client: in which order, when there are none, and what the DNS may do instead of answering.
 */
#include "http/dns.h"
#include "http/internal_client.h"
#include "http/site.h"

static struct dns_record records[] = {
	{ "_new._tcp.a.example", 20, 5, 0, "second.example" },
	{ "_new._tcp.a.example", 10, 5, 9, "first.example" }, /* nobody listens there */
	{ "_new._tcp.a.example", 30, 0, 7, "third.example" },
	{ "_old._tcp.b.example", 1, 1, 0, "second.example" },
	{ "_new._tcp.b.example.else", 1, 1, 7, "third.example" },
	{ "_new._tcp.none.example", 0, 0, 0, "" },
	{ "_new._tcp.nowhere.example", 0, 0, 1, "nowhere.example" },
	{ "_new._tcp.public.example", 0, 0, 1, "public.example" },
};

static size_t names(void *ctx, str host, struct ip *out, size_t max)
{
	(void)ctx;
	(void)max;
	if (str_eq(host, S("nowhere.example")))
		return 0;
	assert_true(ip_parse(str_eq(host, S("public.example")) ? S("192.0.2.1") : S("127.0.0.1"), out));
	return 1;
}

/* Says which host was asked for. */
static bool answer(struct visit *v)
{
	const char *host = memmem(v->request.p, v->request.n, "Host: ", 6);
	const str rest = host ? str_from(v->request, (size_t)(host + 6 - v->request.p)) : S("none\r");

	return say_ok(v, S(""), str_head(rest, str_find(rest, '\r')));
}

struct world {
	struct arena *a;
	struct dns dns;
	struct site *site;
	struct client *client;
};

static void world_begin(struct world *w)
{
	nets_init(NULL);
	w->a = arena_new();
	w->site = site_open(S("127.0.0.1"), answer);
	for (size_t i = 0; i < ARRAY_LEN(records); i++)
		if (strcmp(records[i].target, "second.example") == 0)
			records[i].port = w->site->port;
	dns_start(&w->dns, records, ARRAY_LEN(records));
	w->client =
		client_with(w->a, (struct client_options){ .resolve = names, .dns_servers = str_c(w->dns.servers) });
}

static void world_end(struct world *w)
{
	client_stop(w->client);
	client_free(&w->client);
	site_close(w->site);
	dns_stop(&w->dns);
	arena_free(&w->a);
}

/* With fall-back to the site where there are no records. */
static struct client_call call_of(struct world *w, const char *domain, str services[2])
{
	services[0] = arena_join2(w->a, S("_new._tcp."), str_c(domain));
	services[1] = arena_join2(w->a, S("_old._tcp."), str_c(domain));
	return (struct client_call){ .url = arena_join2(w->a, S("http://"), str_c(domain)),
				     .nets = &here,
				     .max_bytes = 100,
				     .connect_host = S("second.example"),
				     .connect_port = w->site->port,
				     .connect_srv = services,
				     .n_connect_srv = 2 };
}

/* The one of the lowest priority is tried first, and the next where nobody answers; Host stays the URL's. */
static void records_are_followed(void **state)
{
	static const char *const domains[] = { "a.example", "b.example", "without.example" };
	struct world w;

	(void)state;
	world_begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		str services[2];
		struct client_call call = call_of(&w, domains[i], services);

		good(client_one(w.client, w.a, &call, in_seconds(20)));
		same_str(call.answer, str_c(domains[i]));
	}
	world_end(&w);
}

static void failures(void **state)
{
	static const struct {
		const char *domain;
		int rcode;
		enum client_failure failure;
	} rows[] = {
		/* "A Target of "." means that the service is decidedly not available at this domain." */
		{ "none.example", 0, CLIENT_NO_HOST },
		{ "nowhere.example", 0, CLIENT_NO_HOST },
		/* What a record points to is checked like any address. */
		{ "public.example", 0, CLIENT_REFUSED },
		/* No answer is not "no such record". */
		{ "without.example", 2, CLIENT_NO_HOST },
	};
	struct world w;

	(void)state;
	world_begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str services[2];

		w.dns.rcode = rows[i].rcode;
		breaks_with(w.client, w.a, call_of(&w, rows[i].domain, services), rows[i].failure);
	}
	world_end(&w);
}

static void a_silent_dns_is_waited_for_until_the_deadline(void **state)
{
	struct world w;
	str services[2];
	struct client_call call;

	(void)state;
	world_begin(&w);
	w.dns.rcode = -1;
	call = call_of(&w, "without.example", services);
	assert_non_null(client_one(w.client, w.a, &call, clock_mono_us() + 50000));
	assert_int_equal(call.error->detail, CLIENT_TIMEOUT);
	world_end(&w);
}

static void many_share_a_question(void **state)
{
	struct client_call calls[20];
	struct world w;
	str services[2];

	(void)state;
	world_begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		calls[i] = call_of(&w, "b.example", services);
	client_all(w.client, w.a, calls, ARRAY_LEN(calls), in_seconds(20));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		good(calls[i].error);
	ok(w.dns.asked < 2 * ARRAY_LEN(calls), "%u questions", w.dns.asked);
	world_end(&w);
}

static uint64_t next_chance;
static uint64_t chosen(uint64_t below) { return next_chance < below ? next_chance : below - 1; }

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

TEST_MAIN(cmocka_unit_test(records_are_followed), cmocka_unit_test(failures),
	  cmocka_unit_test(a_silent_dns_is_waited_for_until_the_deadline), cmocka_unit_test(many_share_a_question),
	  cmocka_unit_test(weights))
