/* notaries.c - servers that are trusted to tell other servers' keys. */
#include "config/internal_options.h"

#include "matrix/id.h"
#include "matrix/server_keys.h"

typedef VEC(struct config_notary) notary_list;

static bool add_notary(struct reader *r, const struct json *entry, notary_list *out)
{
	const struct json *keys = json_get(entry, S("verify_keys"));
	struct config_notary notary = {
		.server_name = json_get_str(entry, S("server_name")),
		.key_id = STR_NONE,
		.insecure = json_get_bool(entry, S("accept_keys_insecurely"), false),
	};

	if (!id_server_name_valid(notary.server_name))
		return false;
	if (!keys) {
		vec_push(r->a, out, notary);
		return true;
	}
	JSON_EACH (keys, m) {
		notary.key_id = m->key;
		if (!server_key_id_valid(m->key) || !server_key_decode(r->a, json_str(m->value), notary.public_key))
			return false;
		vec_push(r->a, out, notary);
	}
	return json_is(keys, JSON_OBJECT) && keys->object.n > 0;
}

void read_notaries(struct reader *r, const struct option *o, const struct ynode *n)
{
	struct config_federation *c = &r->conf->federation;
	notary_list out = { 0 };
	struct json *list;
	bool good = !json_parse(r->a, c->trusted_key_servers, &json_limits_request, &list);

	JSON_ITEMS (good ? list : NULL, i)
		good = good && add_notary(r, list->array.items[i], &out);
	if (!good)
		note_expected(r, o, n,
			      "a list such as [{server_name: example.org, verify_keys: {\"ed25519:auto\": ...}}]");
	c->notaries = out.p;
	c->n_notaries = out.n;
}
