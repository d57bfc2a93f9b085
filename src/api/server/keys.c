/*
 * keys.c - the keys that this server signs with, and, as a notary, those of others: Server-Server API, "Retrieving
 * server keys".
 *
 * A notary is asked by strangers, without proof: it asks few servers for one question, and answers with what it has
 * where a server does not.
 */
#include "api/services.h"
#include "base/arena.h"
#include "base/clock.h"
#include "config/config.h"
#include "federation/key_ring.h"
#include "matrix/server_keys.h"

enum { MOST_SERVERS = 100, MOST_KEYS = 400, WAIT_US = 15 * 1000000 };

static err *own_document(struct req *rq, struct json **out)
{
	const struct config *config = rq->services->config;
	const struct config_federation *c = &config->federation;
	struct json *old = NULL;

	if (!str_is_none(c->old_signing_keys))
		TRY(json_parse(rq->arena, c->old_signing_keys, &json_limits_request, &old));
	return server_keys_write(rq->arena, rq->services->signer, old, clock_ms() + c->key_refresh_interval, out);
}

/* The path had a key id once; what it names makes no difference. */
static err *get_keys(struct req *rq)
{
	struct json *doc;
	struct jw *w;

	TRY(own_document(rq, &doc));
	w = reply_json(rq, 200);
	JSON_EACH (doc, m) {
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	return NULL;
}

/*
 * A notary
 */
typedef VEC(struct key_want) want_list;

static err *answer(struct req *rq, const want_list *wants, bool with_own)
{
	struct json **docs, *own;
	struct jw *w;
	size_t n;

	TRY(key_ring_documents(rq->services->keys, rq->arena, wants->p, wants->n, clock_mono_us() + WAIT_US, &docs,
			       &n));
	if (with_own)
		TRY(own_document(rq, &own));
	w = reply_json(rq, 200);
	jw_array(w, "server_keys");
	if (with_own)
		jw_json(w, NULL, own);
	for (size_t i = 0; i < n; i++)
		jw_json(w, NULL, docs[i]);
	jw_end(w);
	return NULL;
}

static bool is_own(const struct req *rq, str server) { return str_eq(server, rq->services->signer->server_name); }

/* "If not supplied, the notary server MUST use the current time." A list that is still good for half of its life is not
 * asked for anew. The path had a key id once, which servers still name. */
static err *get_query(struct req *rq)
{
	const str server = req_param(rq, "serverName");
	want_list wants = { 0 };
	struct key_want want = { .server = server, .key_id = STR_NONE };

	TRY(req_query_int(rq, "minimum_valid_until_ts", INT64_MIN, &want.valid_at));
	if (!is_own(rq, server))
		vec_push(rq->arena, &wants, want);
	return answer(rq, &wants, is_own(rq, server));
}

static err *add_wants(struct req *rq, str server, const struct json *keys, want_list *out)
{
	struct key_want want = { .server = server, .key_id = STR_NONE, .valid_at = INT64_MIN };

	if (!json_is(keys, JSON_OBJECT))
		return err_new(rq->arena, ERR_BAD_JSON, "server_keys must be an object of objects");
	/* "If no key IDs are given to be queried, the notary server should query for all keys." */
	if (keys->object.n == 0)
		vec_push(rq->arena, out, want);
	JSON_EACH (keys, m) {
		const struct json *at = json_get(m->value, S("minimum_valid_until_ts"));

		want.key_id = m->key;
		want.valid_at = INT64_MIN;
		if (!json_is(m->value, JSON_OBJECT) ||
		    (at && at->kind != JSON_NULL &&
		     !json_get_int(m->value, S("minimum_valid_until_ts"), &want.valid_at)))
			return err_new(rq->arena, ERR_BAD_JSON, "minimum_valid_until_ts must be an integer");
		vec_push(rq->arena, out, want);
	}
	if (out->n > MOST_KEYS)
		return err_new(rq->arena, ERR_TOO_LARGE, "more than %d keys", MOST_KEYS);
	return NULL;
}

static err *post_query(struct req *rq)
{
	const struct json *body, *servers;
	want_list wants = { 0 };
	bool own = false;

	TRY(req_body_object(rq, &body));
	servers = json_get_object(body, S("server_keys"));
	if (!servers)
		return err_new(rq->arena, json_get(body, S("server_keys")) ? ERR_BAD_JSON : ERR_MISSING_PARAM,
			       "server_keys must be an object");
	if (servers->object.n > MOST_SERVERS)
		return err_new(rq->arena, ERR_TOO_LARGE, "more than %d servers", MOST_SERVERS);
	JSON_EACH (servers, m) {
		if (is_own(rq, m->key))
			own = true;
		else
			TRY(add_wants(rq, m->key, m->value, &wants));
	}
	return answer(rq, &wants, own);
}

const struct route server_keys_routes[] = {
	{ "GET", "/_matrix/key/v2/server", get_keys, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ "GET", "/_matrix/key/v2/server/{keyId}", get_keys, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ "GET", "/_matrix/key/v2/query/{serverName}", get_query, AUTH_NONE, RATE_NONE, LANE_FEDERATION },
	{ "GET", "/_matrix/key/v2/query/{serverName}/{keyId}", get_query, AUTH_NONE, RATE_NONE, LANE_FEDERATION },
	{ "POST", "/_matrix/key/v2/query", post_query, AUTH_NONE, RATE_NONE, LANE_FEDERATION },
	{ 0 },
};
