/* server_keys.c - reading and writing the list of a server's keys. */
#include "matrix/server_keys.h"

#include "base/b64.h"

static const str algorithm = STR("ed25519:");

bool server_key_id_valid(str key_id)
{
	if (!str_starts(key_id, algorithm) || key_id.n == algorithm.n)
		return false;
	/* "The version must have characters matching the regular expression [a-zA-Z0-9_]." */
	for (size_t i = algorithm.n; i < key_id.n; i++) {
		const char c = key_id.p[i];

		if (c != '_' && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			return false;
	}
	return true;
}

bool server_key_decode(struct arena *a, str text, uint8_t out[32])
{
	const str bytes = text.n <= 44 ? b64_decode(a, text) : STR_NONE;

	if (str_is_none(text) || bytes.n != 32)
		return false;
	memcpy(out, bytes.p, 32);
	return true;
}

struct reading {
	struct arena *a;
	struct named_key *keys;
	size_t n;
	bool bad;
};

/* `until`: of all of them; old ones say so themselves. Other servers' keys have had other names than the specification
 * allows, and events are signed with them: they are taken as they are. */
static void read_list(struct reading *r, const struct json *list, bool old, int64_t until)
{
	/* Of two keys under one id only the last is signed. */
	r->bad |= list && list->dup;
	JSON_EACH (list, m) {
		struct named_key *k = &r->keys[r->n];

		if (!str_starts(m->key, algorithm) || m->key.n > SERVER_KEY_ID_MAX)
			continue;
		*k = (struct named_key){ m->key, { .until = until, .old = old } };
		if (r->n == SERVER_KEYS_MAX ||
		    !server_key_decode(r->a, json_get_str(m->value, S("key")), k->key.public_key) ||
		    (old && !json_get_int(m->value, S("expired_ts"), &k->key.until))) {
			r->bad = true;
			return;
		}
		r->n++;
	}
}

bool server_keys_old_valid(struct arena *a, const struct json *old)
{
	struct reading r = { a, ARENA_ARRAY(a, struct named_key, SERVER_KEYS_MAX + 1), 0, false };

	read_list(&r, old, true, 0);
	for (size_t i = 0; i < r.n; i++)
		if (!server_key_id_valid(r.keys[i].key_id))
			return false;
	return json_is(old, JSON_OBJECT) && !r.bad && r.n == old->object.n;
}

size_t server_keys_old(struct arena *a, const struct json *old, struct named_key out[SERVER_KEYS_MAX])
{
	struct reading r = { a, ARENA_ARRAY(a, struct named_key, SERVER_KEYS_MAX + 1), 0, false };

	read_list(&r, old, true, 0);
	memcpy(out, r.keys, r.n * sizeof(*out));
	return r.n;
}

/* One of the keys that are in use has signed it. */
static bool is_own(struct arena *a, const struct json *doc, str server_name, const struct reading *r)
{
	const struct json *signatures = json_get_object(json_get(doc, S("signatures")), server_name);

	for (size_t i = 0; i < r->n; i++)
		if (!r->keys[i].key.old && json_get(signatures, r->keys[i].key_id) &&
		    sign_verify(a, doc, server_name, r->keys[i].key_id, r->keys[i].key.public_key))
			return true;
	return false;
}

err *server_keys_read(struct arena *a, const struct json *doc, str server_name, int64_t received_ts,
		      struct server_keys *out)
{
	struct reading r = { a, ARENA_ARRAY(a, struct named_key, SERVER_KEYS_MAX + 1), 0, false };
	const struct json *old = json_get(doc, S("old_verify_keys"));
	int64_t until;

	if (!json_get_int(doc, S("valid_until_ts"), &until) || !json_get_object(doc, S("verify_keys")) ||
	    (old && !json_is(old, JSON_OBJECT)))
		return err_new(a, ERR_BAD_JSON, "this is no list of a server's keys");
	if (!str_eq(json_get_str(doc, S("server_name")), server_name))
		return err_new(a, ERR_FORBIDDEN, "these keys are another server's");
	read_list(&r, json_get(doc, S("verify_keys")), false, server_key_until(until, received_ts));
	read_list(&r, old, true, 0);
	if (r.bad)
		return err_new(a, ERR_BAD_JSON, "this list has a key that is none");
	if (!is_own(a, doc, server_name, &r))
		return err_new(a, ERR_FORBIDDEN, "these keys are not signed by their server");
	*out = (struct server_keys){ until, r.keys, r.n };
	return NULL;
}

err *server_keys_write(struct arena *a, const struct signer *own, const struct json *old, int64_t valid_until_ts,
		       struct json **out)
{
	struct json *doc = json_new_object(a), *keys = json_new_object(a), *key = json_new_object(a);
	const str public_key = { (const char *)own->key->public_key, sizeof(own->key->public_key) };

	json_set(a, key, S("key"), json_new_str(a, b64_encode(a, public_key)));
	json_set(a, keys, own->key_id, key);
	json_set(a, doc, S("server_name"), json_new_str(a, own->server_name));
	json_set(a, doc, S("valid_until_ts"), json_new_int(a, valid_until_ts));
	json_set(a, doc, S("verify_keys"), keys);
	json_set(a, doc, S("old_verify_keys"), old ? old : json_new_object(a));
	*out = doc;
	return sign_json(a, doc, own);
}
