/*
 * federation.c - what asks other servers, from the client up to what goes to them and comes from them.
 *
 * One client serves all who ask outside, previews of pages among them, so that there is one bound on connections; whom
 * it may ask differs, and comes with each call. Servers are asked in parallel by few threads; as there may be hundreds,
 * and dead ones take a place each until their time is over, there are more places than a client has for itself.
 */
#include "base/buf.h"
#include "base/pool.h"
#include "cli/files.h"
#include "e2ee/list_sender.h"
#include "e2ee/remote_lists.h"
#include "federation/fed.h"
#include "federation/outbox.h"
#include "federation/query.h"
#include "federation/key_ring.h"
#include "main/server.h"
#include "room/receive/inbound.h"
#include "room/receive/missing.h"
#include "room/remote/backfill.h"
#include "media/remote.h"
#include "room/admit/admit.h"
#include "room/policy.h"
#include "room/remote/remote.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

enum { LOOPS = 8, MOST_RUNNING = 2000, MOST_WAITING = 16384, MOST_IDLE = 512, MOST_AUTHORITIES = 4 << 20 };

static err *open_client(struct server *s)
{
	const struct config_federation *c = &s->config->federation;
	const struct client_options opt = {
		.log = s->log,
		.user_agent = S("Hearth/" HEARTH_VERSION),
		.dns_servers = server_joined(s->a, &c->dns_servers),
		.loops = LOOPS,
		.max_running = MOST_RUNNING,
		.max_waiting = MOST_WAITING,
		.max_idle = MOST_IDLE,
	};

	return client_new(s->a, &opt, &s->services.client);
}

/* The authorities of all files together. */
static err *read_authorities(struct server *s, const struct config_list *files, str *out)
{
	AUTO_BUF b = BUF_INIT(MOST_AUTHORITIES);

	for (size_t i = 0; i < files->n; i++) {
		const str text = file_read(s->a, files->p[i], MOST_AUTHORITIES);

		if (str_is_none(text))
			return err_new(s->a, ERR_CONFIG, "federation_custom_ca_list: cannot read %.*s: %s",
				       STR_ARG(files->p[i]), strerror(errno));
		if (!str_contains(text, S("-----BEGIN CERTIFICATE-----")))
			return err_new(s->a, ERR_CONFIG, "federation_custom_ca_list: there is no certificate in %.*s",
				       STR_ARG(files->p[i]));
		buf_add(&b, text);
		buf_byte(&b, '\n');
	}
	if (b.overflow)
		return err_new(s->a, ERR_CONFIG, "federation_custom_ca_list: more than is read");
	*out = files->n == 0 ? STR_NONE : arena_keep(s->a, buf_str(&b));
	return NULL;
}

static err *open_discovery(struct server *s)
{
	const struct config_federation *c = &s->config->federation;
	str authorities;

	TRY(read_authorities(s, &c->authorities, &authorities));
	s->nets = server_networks(s->a, &c->denied, &c->allowed);
	s->tls = (struct tls_rules){
		.checked = { .ca_pem = authorities, .only_13 = c->minimum_tls == CONFIG_TLS_13 },
		.trusted = c->trusted.p,
		.n_trusted = c->trusted.n,
		.none = !c->verify_certificates,
	};
	s->tls.unchecked = s->tls.checked;
	s->tls.unchecked.unverified = true;
	s->discovery = discovery_new(
		&(struct discovery_options){ .client = s->services.client, .nets = &s->nets, .tls = &s->tls });
	return NULL;
}

static err *open_fed(struct server *s)
{
	const struct config_federation *c = &s->config->federation;
	const struct fed_options opt = {
		.client = s->services.client,
		.discovery = s->discovery,
		.store = s->store,
		.log = s->log,
		.signer = &s->signer,
		.nets = &s->nets,
		.whitelist = c->whitelist.p,
		.n_whitelist = c->whitelist.n,
		.silence_ms = c->client_timeout,
		.backoff = { .first_ms = c->min_retry,
			     .most_ms = c->max_retry,
			     .multiplier = (double)c->retry_multiplier },
	};

	TRY(fed_new(s->a, &opt, &s->services.fed));
	s->services.queries = queries_new(&(struct queries_options){ .fed = s->services.fed });
	return NULL;
}

/* Where nobody proves who he is, only a signature shows whose an answer is. */
static err *check_notary(struct server *s, const struct config_notary *n)
{
	if (!str_is_none(n->key_id) || n->insecure || s->config->federation.verify_certificates)
		return NULL;
	return err_new(s->a, ERR_CONFIG,
		       "trusted_key_servers: %.*s needs verify_keys or accept_keys_insecurely, where "
		       "federation_verify_certificates is false",
		       STR_ARG(n->server_name));
}

static err *read_old_keys(struct server *s, struct json **out)
{
	const str text = s->config->federation.old_signing_keys;

	*out = NULL;
	return str_is_none(text) ? NULL : json_parse(s->a, text, &json_limits_request, out);
}

void server_reload_federation(struct server *s)
{
	struct json *old;
	const err *e = read_old_keys(s, &old);

	assert(!e); /* the settings were checked */
	key_ring_set_old(s->services.keys, old);
}

static err *open_keys(struct server *s)
{
	const struct config_federation *c = &s->config->federation;
	struct key_notary *notaries = ARENA_ARRAY(s->a, struct key_notary, c->n_notaries);
	struct json *old;

	for (size_t i = 0; i < c->n_notaries; i++) {
		TRY(check_notary(s, &c->notaries[i]));
		notaries[i] = (struct key_notary){ c->notaries[i].server_name, c->notaries[i].key_id, { 0 } };
		memcpy(notaries[i].public_key, c->notaries[i].public_key, sizeof(notaries[i].public_key));
	}
	TRY(read_old_keys(s, &old));
	return key_ring_new(s->a,
			    &(struct key_ring_options){ .store = s->store,
							.fed = s->services.fed,
							.log = s->log,
							.own = &s->signer,
							.own_old_keys = old,
							.notaries = notaries,
							.n_notaries = c->n_notaries },
			    &s->services.keys);
}

/* Beside whoever has something to check: a thread for every other processor. */
static void open_pool(struct server *s)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	s->pool = pool_new(cores > 1 ? (size_t)MIN(cores, 64) - 1 : 0);
}

err *server_open_federation(struct server *s)
{
	open_pool(s);
	TRY(open_client(s));
	TRY(open_discovery(s));
	TRY(open_fed(s));
	TRY(open_keys(s));
	return server_open_outbox(s);
}

static err *open_admit(struct server *s)
{
	const struct admit_options opt = {
		.rooms = s->services.rooms,
		.users = s->services.users,
		.store = s->store,
		.keys = s->services.keys,
		.fed = s->services.fed,
		.remote = s->services.remote,
		.client = s->services.client,
		.nets = &s->nets,
		.pool = s->pool,
		.log = s->log,
	};

	return admit_new(s->a, &opt, &s->services.admit);
}

/* A user of ours comes into a room with others, who may never have heard of their devices; or somebody leaves. */
static void on_moved(void *ctx, const struct rooms_stored *ev)
{
	if (ev->member_after == MEMBER_JOIN && ev->member_before != MEMBER_JOIN &&
	    (ev->n_servers || ev->through_others))
		list_sender_joined(ctx, ev->row->state_key);
	if (ev->member_before == MEMBER_JOIN && ev->member_after != MEMBER_JOIN)
		remote_lists_left(ctx);
}

static err *open_keys_of_users(struct server *s)
{
	rooms_on_stored(s->services.rooms, on_moved, s->services.e2ee);
	return e2ee_federate(s->services.e2ee, s->a, s->services.fed, s->services.outbox);
}

static err *open_missing(struct server *s)
{
	const struct missing_options opt = {
		.rooms = s->services.rooms,
		.store = s->store,
		.keys = s->services.keys,
		.fed = s->services.fed,
		.pool = s->pool,
		.log = s->log,
		.spool_folder = s->config->data_dir,
	};

	return missing_new(s->a, &opt, &s->missing);
}

static err *open_backfill(struct server *s)
{
	const struct backfill_options opt = {
		.rooms = s->services.rooms,
		.store = s->store,
		.keys = s->services.keys,
		.fed = s->services.fed,
		.pool = s->pool,
		.log = s->log,
		.spool_folder = s->config->data_dir,
	};

	return backfill_new(s->a, &opt, &s->services.backfill);
}

static err *open_inbound(struct server *s)
{
	const struct inbound_options opt = {
		.rooms = s->services.rooms,
		.store = s->store,
		.keys = s->services.keys,
		.fed = s->services.fed,
		.pool = s->pool,
		.log = s->log,
	};

	TRY(inbound_new(s->a, &opt, &s->services.inbound));
	inbound_on_missing(s->services.inbound, missing_begin, s->missing);
	return NULL;
}

static void open_media(struct server *s)
{
	const struct media_remote_options opt = {
		.fed = s->services.fed,
		.client = s->services.client,
		.nets = &s->nets,
		.prevented = s->config->media.prevented.p,
		.n_prevented = s->config->media.prevented.n,
	};

	media_federate(s->services.media, &opt);
}

static err *open_remote(struct server *s)
{
	const struct remote_options opt = {
		.rooms = s->services.rooms,
		.store = s->store,
		.fed = s->services.fed,
		.keys = s->services.keys,
		.pool = s->pool,
		.inbound = s->services.inbound,
		.queries = s->services.queries,
		.log = s->log,
		.spool_folder = s->config->data_dir,
	};

	return remote_new(s->a, &opt, &s->services.remote);
}

static err *open_policies(struct server *s)
{
	const struct policies_options opt = {
		.rooms = s->services.rooms,
		.fed = s->services.fed,
		.ask = fed_all,
		.log = s->log,
	};

	return policies_new(s->a, &opt, &s->policies);
}

err *server_open_shared_rooms(struct server *s)
{
	server_tell_of_events(s);
	TRY(open_policies(s));
	TRY(open_missing(s));
	TRY(open_backfill(s));
	TRY(open_inbound(s));
	open_media(s);
	TRY(open_remote(s));
	TRY(open_admit(s));
	return open_keys_of_users(s);
}

void server_start_shared_rooms(struct server *s)
{
	missing_start(s->missing);
	inbound_start(s->services.inbound);
}

void server_stop_shared_rooms(struct server *s)
{
	server_tell_no_presence(s);
	if (s->services.inbound)
		inbound_stop(s->services.inbound);
	if (s->missing)
		missing_stop(s->missing);
}

void server_close_shared_rooms(struct server *s)
{
	backfill_free(&s->services.backfill);
	missing_free(&s->missing);
	inbound_free(&s->services.inbound);
	policies_free(&s->policies);
}

void server_stop_federation(struct server *s)
{
	outbox_stop(s->services.outbox);
	if (s->services.remote)
		remote_stop(s->services.remote);
	if (s->services.client)
		client_stop(s->services.client);
}

void server_close_federation(struct server *s)
{
	server_stop_federation(s);
	admit_free(&s->services.admit);
	remote_free(&s->services.remote);
	if (s->services.e2ee)
		e2ee_leave_federation(s->services.e2ee);
	key_ring_free(&s->services.keys);
	queries_free(&s->services.queries);
	fed_free(&s->services.fed);
	discovery_free(&s->discovery);
	client_free(&s->services.client);
	pool_free(&s->pool);
}
