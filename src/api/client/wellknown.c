/*
 * wellknown.c - what stands under /.well-known/matrix/: Client-Server API, "Well-known URIs". Each answers only when
 * the operator has said what.
 */
#include "api/services.h"
#include "base/arena.h"
#include "config/config.h"

static err *not_configured(struct req *rq)
{
	return err_new(rq->arena, ERR_NOT_FOUND, "nothing is configured to be told here");
}

static void write_address(struct jw *w, const char *key, str address)
{
	if (str_is_none(address))
		return;
	jw_object(w, key);
	jw_str(w, "base_url", address);
	jw_end(w);
}

/* "m.homeserver: Required. m.identity_server. Other properties": extra_well_known_client_content gives those. */
static err *get_client(struct req *rq)
{
	const struct config *c = rq->services->config;
	struct json *extra;
	struct jw *w;

	if (str_is_none(c->public_baseurl))
		return not_configured(rq);
	extra = json_new_object(rq->arena);
	if (!str_is_none(c->wellknown.client_extra))
		TRY(json_parse(rq->arena, c->wellknown.client_extra, &json_limits_request, &extra));
	w = reply_json(rq, 200);
	write_address(w, "m.homeserver", c->public_baseurl);
	write_address(w, "m.identity_server", c->wellknown.identity_server);
	JSON_EACH (extra, m) {
		if (str_eq(m->key, S("m.homeserver")) || str_eq(m->key, S("m.identity_server")))
			continue;
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	return NULL;
}

static err *get_support(struct req *rq)
{
	const struct config *c = rq->services->config;

	if (str_is_none(c->wellknown.support))
		return not_configured(rq);
	reply_json_text(rq, 200, c->wellknown.support);
	return NULL;
}

const struct route client_wellknown_routes[] = {
	{ "GET", "/.well-known/matrix/client", get_client, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ "GET", "/.well-known/matrix/support", get_support, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ 0 },
};
