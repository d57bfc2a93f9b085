/* Whom a server has to prove its name to, and by which authority: the operator's rules, over real TLS. */
#include "federation/fed_fixture.h"
#include "http/tls_site.h"

#define EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static bool no_well_known(struct visit *v) { return SAY(v, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n"); }

/* In words: "asked", or why not. */
static const char *asks_with(struct fed_world *w, const struct tls_rules *rules, str server)
{
	struct fed_options opt = fed_world_options(w);
	struct fed_call c = { .destination = server, .path = S("/_matrix/federation/v1/version") };
	const err *e;

	discovery_free(&w->discovery);
	w->discovery = discovery_new(&(struct discovery_options){
		.client = w->client, .nets = &here, .plain_port = w->site->port, .tls = rules, .now = fed_clock });
	opt.discovery = w->discovery;
	opt.plain = false;
	good(fed_new(w->a, &opt, &w->fed));
	e = fed_one(w->fed, w->a, &c, in_seconds(20));
	fed_free(&w->fed);
	if (!e)
		return "asked";
	return e->code == ERR_CONNECTION_FAILED && e->detail == CLIENT_TLS ? "refused" : e->msg.p;
}

static void rules_of_the_operator(void **state)
{
	static const str onions[] = { STR("x.example"), STR("*.onion") };
	struct tls_site *site, *old;
	struct fed_world w = { 0 };

	(void)state;
	fed_world_prepare(&w, no_well_known, (struct client_options){ 0 });
	site = tls_site_open("a.example", "NORMAL", EMPTY);
	old = tls_site_open("a.example", "NORMAL:-VERS-TLS1.3", EMPTY);
	const struct client_tls ours = { .ca_pem = str_c(site->pem) }, newest = { .only_13 = true, .unverified = true },
				any = { .unverified = true };
	const struct {
		const char *host, *wanted;
		bool old;
		struct tls_rules rules;
	} rows[] = {
		{ "a.example", "asked", false, { .checked = ours } },
		{ "a.example", "refused", true, { .checked = ours } }, /* another's authority */
		{ "b.example", "refused", false, { .checked = ours } },
		{ "a.example", "refused", false, { .checked = { .only_13 = false } } },
		{ "b.example", "asked", false, { .checked = ours, .unchecked = any, .none = true } },
		{ "b.onion",
		  "asked",
		  false,
		  { .checked = ours, .unchecked = any, .trusted = onions, .n_trusted = ARRAY_LEN(onions) } },
		{ "onion.b",
		  "refused",
		  false,
		  { .checked = ours, .unchecked = any, .trusted = onions, .n_trusted = ARRAY_LEN(onions) } },
		{ "a.example", "asked", true, { .unchecked = any, .none = true } },
		{ "a.example", "refused", true, { .unchecked = newest, .none = true } },
		{ "a.example", "asked", false, { .unchecked = newest, .none = true } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const unsigned port = rows[i].old ? old->port : site->port;
		const char *got = asks_with(&w, &rows[i].rules, arena_printf(w.a, "%s:%u", rows[i].host, port));

		ok(strcmp(got, rows[i].wanted) == 0, "row %zu: %s", i, got);
	}
	assert_int_equal(site->n_asked + old->n_asked, 5);
	tls_site_close(site);
	tls_site_close(old);
	fed_world_end(&w);
}

/* Where /.well-known says that the place is, in words; rules over TLS, unless `port` is 0: then from w's own site. */
static const char *leads(struct fed_world *w, const struct tls_rules *rules, str server, uint16_t port)
{
	struct server_place p;

	discovery_free(&w->discovery);
	w->discovery = discovery_new(&(struct discovery_options){ .client = w->client,
								  .nets = &here,
								  .plain_port = port ? 0 : w->site->port,
								  .tls_port = port,
								  .tls = rules,
								  .now = fed_clock });
	good(discovery_find(w->discovery, w->a, server, in_seconds(20), &p));
	return arena_cstr(w->a, p.authority);
}

static _Atomic uint16_t elsewhere;

static bool well_known_is_elsewhere(struct visit *v)
{
	char head[160];

	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: https://b.onion:%u/server\r\n\r\n",
		       elsewhere);
	return say(v, str_c(head));
}

/* The hosts that a redirect leads to have rules of their own. */
static void rules_for_who_is_redirected_to(void **state)
{
	static const str onions[] = { STR("*.onion") }, others[] = { STR("a.example") };
	static const struct client_tls any = { .unverified = true };
	static const struct {
		struct tls_rules rules;
		const char *wanted;
	} rows[] = {
		{ { .unchecked = any, .none = true }, "told.example" },
		{ { .unchecked = any, .trusted = onions, .n_trusted = 1 }, "told.example" },
		{ { .unchecked = any, .trusted = others, .n_trusted = 1 }, "a.example" },
		{ { .unchecked = any }, "a.example" },
	};
	struct tls_site *site;
	struct fed_world w = { 0 };

	(void)state;
	fed_world_prepare(&w, well_known_is_elsewhere, (struct client_options){ 0 });
	site = tls_site_open("x.example", "NORMAL",
			     "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"m.server\":\"told.example\"}");
	elsewhere = site->port;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = leads(&w, &rows[i].rules, S("a.example"), 0);

		ok(strcmp(got, rows[i].wanted) == 0, "row %zu: %s", i, got);
	}
	tls_site_close(site);
	fed_world_end(&w);
}

static bool names_another(struct visit *v) { return say_ok(v, S(""), S("{\"m.server\":\"evil.example\"}")); }

/* Nobody who can only change what passes without TLS is asked where a server is. */
static void a_redirect_does_not_leave_tls(void **state)
{
	static const struct tls_rules rules = { .unchecked = { .unverified = true }, .none = true };
	char head[160];
	struct tls_site *site;
	struct fed_world w = { 0 };

	(void)state;
	fed_world_prepare(&w, names_another, (struct client_options){ 0 });
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://b.example:%u/server\r\n\r\n",
		       w.site->port);
	site = tls_site_open("a.example", "NORMAL", head);
	assert_string_equal(leads(&w, &rules, S("a.example"), site->port), "a.example");
	assert_int_equal(site->n_asked, 1);
	assert_int_equal(w.site->n_visits, 0);
	tls_site_close(site);
	fed_world_end(&w);
}

TEST_MAIN(cmocka_unit_test(rules_of_the_operator), cmocka_unit_test(rules_for_who_is_redirected_to),
	  cmocka_unit_test(a_redirect_does_not_leave_tls))
