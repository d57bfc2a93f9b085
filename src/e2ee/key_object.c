#include "e2ee/key_object.h"

#include <assert.h>

#include "base/b64.h"
#include "json/writer.h"
#include "matrix/sign.h"

static const str no_signatures = STR(",\"signatures\":{}}");

/* "A map from user ID, to a map from <algorithm>:<device_id> to the signature." */
bool key_signatures_valid(const struct json *all)
{
	if (!json_is(all, JSON_OBJECT))
		return false;
	JSON_EACH (all, user) {
		if (user->value->kind != JSON_OBJECT)
			return false;
		JSON_EACH (user->value, m)
			if (m->value->kind != JSON_STR)
				return false;
	}
	return true;
}

err *key_object_read(struct arena *a, const struct json *json, str owner, struct key_object *out)
{
	const struct json *all = json_get(json, S("signatures"));
	struct key_object k = { .owner = owner, .json = json };

	if (!json_is(json, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "A key must be an object");
	if (all && !key_signatures_valid(all))
		return err_new(a, ERR_BAD_JSON, "signatures must be texts by key id by user id");
	TRY(sign_bytes(a, json, &k.bare));
	if (k.bare.n > KEY_BARE_MAX)
		return err_new(a, ERR_TOO_LARGE, "A key has at most %d bytes", (int)KEY_BARE_MAX);
	k.signatures = json_new_object(a);
	JSON_EACH (json_get_object(all, owner), m)
		json_set(a, k.signatures, m->key, m->value);
	*out = k;
	return NULL;
}

err *key_object_parse(struct arena *a, str text, str owner, struct key_object *out)
{
	struct json *json;

	TRY(json_parse(a, text, &json_limits_request, &json));
	return key_object_read(a, json, owner, out);
}

static bool all_strings(const struct json *array)
{
	JSON_ITEMS (array, i)
		if (!json_is(array->array.items[i], JSON_STR))
			return false;
	return true;
}

static bool are_public_keys(const struct json *keys)
{
	JSON_EACH (keys, m)
		if (m->value->kind != JSON_STR)
			return false;
	return true;
}

err *key_device_read(struct arena *a, const struct json *json, str user_id, str device_id, struct key_object *out)
{
	const struct json *algorithms = json_get_array(json, S("algorithms"));
	const struct json *keys = json_get_object(json, S("keys"));

	if (!json_is(json, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "device_keys must be an object");
	if (!str_eq(json_get_str(json, S("user_id")), user_id))
		return err_new(a, ERR_BAD_JSON, "device_keys: user_id is another user's");
	if (!str_eq(json_get_str(json, S("device_id")), device_id))
		return err_new(a, ERR_BAD_JSON, "device_keys: device_id is another device's");
	if (!algorithms || !all_strings(algorithms))
		return err_new(a, ERR_BAD_JSON, "device_keys: algorithms must be a list of strings");
	if (!keys || !are_public_keys(keys))
		return err_new(a, ERR_BAD_JSON, "device_keys: keys must be texts by <algorithm>:<device_id>");
	return key_object_read(a, json, user_id, out);
}

err *key_object_text(struct arena *a, const struct key_object *k, str *out)
{
	AUTO_BUF buf = BUF_INIT(KEY_TEXT_MAX);
	struct jw w = jw_to(&buf);

	/* The bare text is an object that has members, whatever they are: an empty one is no key. */
	assert(k->bare.n > 2);
	buf_add(&buf, str_head(k->bare, k->bare.n - 1));
	buf_add(&buf, S(",\"signatures\":"));
	jw_object(&w, NULL);
	if (k->signatures->object.n) {
		jw_key(&w, k->owner);
		jw_object(&w, NULL);
		JSON_EACH (k->signatures, m) {
			jw_key(&w, m->key);
			jw_str(&w, NULL, m->value->s);
		}
		jw_end(&w);
	}
	jw_end(&w);
	buf_byte(&buf, '}');
	if (buf.overflow)
		return err_new(a, ERR_TOO_LARGE, "A key with its signatures has at most %d bytes", (int)KEY_TEXT_MAX);
	*out = arena_keep(a, buf_str(&buf));
	return NULL;
}

str key_object_signature(const struct key_object *k, str key_id) { return json_get_str(k->signatures, key_id); }

bool key_object_verify(struct arena *a, const struct key_object *k, str key_id, const uint8_t public_key[32])
{
	const str text = key_object_signature(k, key_id);

	return !str_is_none(text) && sign_verify_bytes(a, k->bare, text, public_key);
}

str key_object_public(const struct key_object *k, str key_id)
{
	return json_get_str(json_get_object(k->json, S("keys")), key_id);
}

bool key_decode(struct arena *a, str text, uint8_t out[32])
{
	/* 43 characters, or 44 with padding. */
	const str bytes = text.n <= 44 ? b64_decode(a, text) : STR_NONE;

	if (bytes.n != 32)
		return false;
	memcpy(out, bytes.p, 32);
	return true;
}

str key_text_shown(struct arena *a, str text)
{
	if (!str_ends(text, no_signatures))
		return text;
	return arena_join2(a, str_head(text, text.n - no_signatures.n), S("}"));
}

str key_text_with(struct arena *a, str text, str signer_id, str key_id, str signature)
{
	AUTO_BUF buf = BUF_INIT(2 * KEY_TEXT_MAX);
	struct jw w = jw_to(&buf);

	/* What ends the signatures and the key is taken off, and put back. */
	assert(str_ends(text, S("}}")));
	buf_add(&buf, str_head(text, text.n - 2));
	if (!str_ends(text, no_signatures))
		buf_byte(&buf, ',');
	jw_str(&w, NULL, signer_id);
	buf_byte(&buf, ':');
	w = jw_to(&buf);
	jw_object(&w, NULL);
	jw_key(&w, key_id);
	jw_str(&w, NULL, signature);
	jw_end(&w);
	buf_add(&buf, S("}}"));
	return arena_keep(a, buf_str(&buf));
}
