/* keys.c - the keys that this server signs with: Server-Server API, "Publishing Keys". */
#include "api/services.h"
#include "base/arena.h"
#include "base/clock.h"
#include "config/config.h"
#include "matrix/server_keys.h"

/* The path had a key id once; what it names makes no difference. */
static err *get_keys(struct req *rq)
{
	const struct config *config = rq->services->config;
	const struct config_federation *c = &config->federation;
	struct json *old = NULL, *doc;
	struct jw *w;

	if (!str_is_none(c->old_signing_keys))
		TRY(json_parse(rq->arena, c->old_signing_keys, &json_limits_request, &old));
	TRY(server_keys_write(rq->arena, rq->services->signer, old, clock_ms() + c->key_refresh_interval, &doc));
	w = reply_json(rq, 200);
	JSON_EACH (doc, m) {
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	return NULL;
}

const struct route server_keys_routes[] = {
	{ "GET", "/_matrix/key/v2/server", get_keys, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ "GET", "/_matrix/key/v2/server/{keyId}", get_keys, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ 0 },
};
