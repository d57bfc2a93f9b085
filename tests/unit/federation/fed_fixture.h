/*
 * fed_fixture.h - requests to other servers that a test plays itself: without TLS, on loopback, on a store of its own.
 *
 *     struct fed_world w;
 *     fed_world_begin(&w, answer);         a site (http/site.h) that stands for every server
 *     call.destination = fed_world_name(&w, "a.example");     "a.example:PORT"
 */
#pragma once

#include "http/site.h"
#include "store/both.h"

#include "federation/backoff.h"

struct fed_world {
	struct both db; /* on SQLite; or the test's, given with fed_world_prepare, who then ends it */
	bool owns_db;
	struct arena *a;
	struct site *site;
	struct client *client;
	struct discovery *discovery;
	struct ed25519_key key;
	struct signer signer;
	struct fed *fed;
};

static _Atomic int64_t fed_now; /* ms */
static int64_t fed_clock(void) { return fed_now; }

MAYBE_UNUSED struct fed_options fed_world_options(struct fed_world *w)
{
	static const struct log quiet;

	return (struct fed_options){ .client = w->client,
				     .discovery = w->discovery,
				     .store = w->db.st,
				     .log = &quiet,
				     .signer = &w->signer,
				     .nets = &here,
				     .now = fed_clock,
				     .plain = true };
}

/* Everything but the service, for options of the test's own. */
MAYBE_UNUSED void fed_world_prepare(struct fed_world *w, bool (*answer)(struct visit *), struct client_options client)
{
	static const uint8_t seed[32] = { 7 };

	nets_init(NULL);
	log_setup(LOG_ERROR, LOG_TEXT);
	fed_now = INT64_C(1700000000000);
	w->a = arena_new();
	w->owns_db = !w->db.st;
	if (w->owns_db)
		both_begin(&w->db, false);
	w->site = site_open(S("127.0.0.1"), answer);
	client.resolve = client.resolve ? client.resolve : everybody_is_here;
	w->client = client_with(w->a, client);
	w->discovery = discovery_new(&(struct discovery_options){
		.client = w->client, .nets = &here, .plain_port = w->site->port, .now = fed_clock });
	ed25519_from_seed(&w->key, seed);
	w->signer = (struct signer){ S("here.example"), S("ed25519:1"), &w->key };
}

MAYBE_UNUSED void fed_world_begin(struct fed_world *w, bool (*answer)(struct visit *))
{
	struct fed_options opt;

	*w = (struct fed_world){ 0 };
	fed_world_prepare(w, answer, (struct client_options){ 0 });
	opt = fed_world_options(w);
	good(fed_new(w->a, &opt, &w->fed));
}

MAYBE_UNUSED void fed_world_end(struct fed_world *w)
{
	fed_free(&w->fed);
	discovery_free(&w->discovery);
	client_stop(w->client);
	client_free(&w->client);
	site_close(w->site);
	if (w->owns_db)
		both_end(&w->db);
	arena_free(&w->a);
}

/* A server at the site. */
MAYBE_UNUSED str fed_world_name(struct fed_world *w, const char *host)
{
	return arena_printf(w->a, "%s:%u", host, w->site->port);
}
