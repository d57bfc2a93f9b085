/* The steps from a server's name to where it is, against hosts on loopback. */
#include "http/site.h"

#include "federation/discovery.h"

static struct {
	_Atomic int mode; /* 0: as the table says; 1: 503; 2: 404 */
	_Atomic unsigned asked;
	_Atomic int64_t now;
} web;

static int64_t now(void) { return web.now; }

static const struct {
	const char *host, *answer;
} DELEGATIONS[] = {
	{ "wk.example", "delegated.example" },  { "wkport.example", "delegated.example:443" },
	{ "wkip.example", "192.0.2.7" },        { "wkip6.example", "[2001:db8::7]:1234" },
	{ "wkplain.example", "plain.example" }, { "wkbad.example", "no/server" },
	{ "wkself.example", "wkself.example" },
};

static bool answer(struct visit *v)
{
	web.asked++;
	if (web.mode == 1)
		return SAY(v, "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
	for (size_t i = 0; web.mode == 0 && i < ARRAY_LEN(DELEGATIONS); i++) {
		char host[80], body[120];
		const int n = snprintf(host, sizeof(host), "Host: %s\r\n", DELEGATIONS[i].host);

		if (!memmem(v->request.p, v->request.n, host, (size_t)n))
			continue;
		(void)snprintf(body, sizeof(body), "{\"m.server\":\"%s\"}", DELEGATIONS[i].answer);
		return say_ok(v, S("Cache-Control: max-age=3600\r\n"), str_c(body));
	}
	return SAY(v, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
}

struct world {
	struct arena *a;
	struct site *site;
	struct client *client;
	struct discovery *d;
};

static void world_begin(struct world *w, size_t max_known)
{
	nets_init(NULL);
	web.mode = 0;
	web.asked = 0;
	web.now = INT64_C(1700000000000);
	w->a = arena_new();
	w->site = site_open(S("127.0.0.1"), answer);
	w->client = client_with(w->a, (struct client_options){ .resolve = everybody_is_here });
	w->d = discovery_new(&(struct discovery_options){
		.client = w->client, .nets = &here, .plain_port = w->site->port, .max_known = max_known, .now = now });
}

static void world_end(struct world *w)
{
	discovery_free(&w->d);
	client_stop(w->client);
	client_free(&w->client);
	site_close(w->site);
	arena_free(&w->a);
}

/* "authority>host:port", with "srv " before it where SRV records are asked for. */
static const char *places(struct world *w, const char *name)
{
	struct server_place p;
	const err *e = discovery_find(w->d, w->a, str_c(name), in_seconds(20), &p);

	if (e)
		return e->code == ERR_INVALID_PARAM ? "no name" : "unreachable";
	if (p.n_srv) {
		assert_int_equal(p.n_srv, 2);
		same_str(p.srv[0], arena_join2(w->a, S("_matrix-fed._tcp."), p.authority));
		same_str(p.srv[1], arena_join2(w->a, S("_matrix._tcp."), p.authority));
	}
	return arena_printf(w->a, "%s%.*s>%.*s:%u", p.n_srv ? "srv " : "", STR_ARG(p.authority),
			    STR_ARG(p.connect_host), p.connect_port)
		.p;
}

#define reaches(w, name, wanted) ok(strcmp(places((w), (name)), (wanted)) == 0, "%s: %s", (name), places((w), (name)))

static void every_step(void **state)
{
	static const struct {
		const char *name, *wanted;
		unsigned web; /* questions to /.well-known */
	} rows[] = {
		/* 1 */
		{ "192.0.2.1", "192.0.2.1>192.0.2.1:8448", 0 },
		{ "192.0.2.1:99", "192.0.2.1:99>192.0.2.1:99", 0 },
		{ "[2001:db8::1]", "[2001:db8::1]>2001:db8::1:8448", 0 },
		{ "[2001:db8::1]:99", "[2001:db8::1]:99>2001:db8::1:99", 0 },
		/* 2 */
		{ "wk.example:99", "wk.example:99>wk.example:99", 0 },
		/* 3.1 to 3.5 */
		{ "wkip.example", "192.0.2.7>192.0.2.7:8448", 1 },
		{ "wkip6.example", "[2001:db8::7]:1234>2001:db8::7:1234", 1 },
		{ "wkport.example", "delegated.example:443>delegated.example:443", 1 },
		{ "wk.example", "srv delegated.example>delegated.example:8448", 1 },
		{ "wkplain.example", "srv plain.example>plain.example:8448", 1 },
		/* Not looked up once more: no loop. */
		{ "wkself.example", "srv wkself.example>wkself.example:8448", 1 },
		/* 4, 5, 6 */
		{ "plain.example", "srv plain.example>plain.example:8448", 1 },
		{ "wkbad.example", "srv wkbad.example>wkbad.example:8448", 1 },
		{ "nowhere.example", "srv nowhere.example>nowhere.example:8448", 0 },
		{ "no/name", "no name", 0 },
		{ "a:99999", "no name", 0 },
	};
	struct world w;

	(void)state;
	world_begin(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const unsigned before = web.asked;

		reaches(&w, rows[i].name, rows[i].wanted);
		ok(web.asked - before == rows[i].web, "%s: %u questions", rows[i].name, web.asked - before);
	}
	world_end(&w);
}

static void answers_are_kept(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, 0);
	reaches(&w, "wk.example", "srv delegated.example>delegated.example:8448");
	reaches(&w, "wk.example", "srv delegated.example>delegated.example:8448");
	assert_int_equal(web.asked, 1);
	web.now += 59 * 60 * 1000;
	reaches(&w, "wk.example", "srv delegated.example>delegated.example:8448");
	assert_int_equal(web.asked, 1);
	web.now += 3600 * 1000; /* max-age is over */
	reaches(&w, "wk.example", "srv delegated.example>delegated.example:8448");
	assert_int_equal(web.asked, 2);
	world_end(&w);
}

/* A web server that is being restarted does not send everybody to another machine; one that says "none" does. */
static void a_passing_failure_keeps_the_delegation(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, 0);
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	web.mode = 1;
	web.now += 2 * 3600 * 1000;
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	assert_int_equal(web.asked, 2);
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	assert_int_equal(web.asked, 2);       /* not for each request */
	web.now += 50 * 3600 * INT64_C(1000); /* but not for ever */
	reaches(&w, "wkport.example", "srv wkport.example>wkport.example:8448");
	web.mode = 0;
	web.now += 2 * 3600 * 1000;
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	web.mode = 2;
	web.now += 2 * 3600 * 1000;
	reaches(&w, "wkport.example", "srv wkport.example>wkport.example:8448");
	world_end(&w);
}

/* Asked again after minutes at first, then ever more seldom, but at least hourly. */
static void failures_are_kept_for_longer_each_time(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, 0);
	web.mode = 1;
	for (unsigned minutes = 0; minutes < 24 * 60; minutes += 5) {
		reaches(&w, "wk.example", "srv wk.example>wk.example:8448");
		if (minutes == 10)
			assert_int_equal(web.asked, 3);
		web.now += 5 * 60 * 1000;
	}
	assert_in_range(web.asked, 23, 30);
	world_end(&w);
}

/* The least lately used go. */
static void a_bounded_number_is_kept(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w, 2);
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	reaches(&w, "wkip.example", "192.0.2.7>192.0.2.7:8448");
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	assert_int_equal(web.asked, 2);
	reaches(&w, "wk.example", "srv delegated.example>delegated.example:8448");
	reaches(&w, "wkport.example", "delegated.example:443>delegated.example:443");
	assert_int_equal(web.asked, 3);
	reaches(&w, "wkip.example", "192.0.2.7>192.0.2.7:8448");
	assert_int_equal(web.asked, 4);
	world_end(&w);
}

/* A host that says nothing takes half of the time at most: there is a server to be asked in the rest. */
static void a_silent_host_leaves_time_for_the_server(void **state)
{
	static const struct {
		int64_t given_s, taken_s;
	} rows[] = { { 1, 0 }, { 10, 5 }, { 60, 10 } };
	struct world w;

	(void)state;
	world_begin(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct discovery_search s = { 0 };
		enum discovery_step step;
		const int64_t second = 1000000;

		good(discovery_look(w.d, w.a, S("wk.example"), clock_mono_us() + rows[i].given_s * second, &s, &step));
		assert_int_equal(step, DISCOVERY_ASK);
		ok((s.call_deadline_us - s.asked_us + second / 4) / second == rows[i].taken_s, "row %zu", i);
		discovery_leave(w.d, &s);
	}
	world_end(&w);
}

struct asker {
	struct world *w;
	struct thread *thread;
	struct arena *a;
	bool good;
};

static void ask(void *arg)
{
	struct asker *k = arg;
	struct server_place p;

	k->a = arena_new();
	k->good = !discovery_find(k->w->d, k->a, S("wkport.example"), in_seconds(20), &p) &&
		  str_eq(p.authority, S("delegated.example:443"));
}

static void many_ask_at_once(void **state)
{
	struct asker askers[16];
	struct world w;

	(void)state;
	world_begin(&w, 1);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		askers[i] = (struct asker){ .w = &w };
		askers[i].thread = thread_start("ask", ask, &askers[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		thread_join(&askers[i].thread);
		assert_true(askers[i].good);
		arena_free(&askers[i].a);
	}
	assert_int_equal(web.asked, 1);
	world_end(&w);
}

TEST_MAIN(cmocka_unit_test(every_step), cmocka_unit_test(answers_are_kept),
	  cmocka_unit_test(a_passing_failure_keeps_the_delegation),
	  cmocka_unit_test(failures_are_kept_for_longer_each_time), cmocka_unit_test(a_bounded_number_is_kept),
	  cmocka_unit_test(a_silent_host_leaves_time_for_the_server), cmocka_unit_test(many_ask_at_once))
