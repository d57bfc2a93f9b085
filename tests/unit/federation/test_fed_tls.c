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

TEST_MAIN(cmocka_unit_test(rules_of_the_operator))
