#include "matrix/sign.h"

#include "base/b64.h"

err *sign_bytes(struct arena *a, const struct json *object, str *out)
{
	struct json *bare = json_copy(a, object);

	/* "JSON is signed by encoding the JSON object without signatures or keys grouped as unsigned, using the
	 * canonical encoding" */
	json_del(bare, S("signatures"));
	json_del(bare, S("unsigned"));
	return json_canonical(a, bare, JSON_CANON_DOUBLES, out);
}

err *sign_json(struct arena *a, struct json *object, const struct signer *by)
{
	uint8_t signature[64];
	str bytes;

	TRY(sign_bytes(a, object, &bytes));
	ed25519_sign(by->key, bytes, signature);

	const struct json *old = json_get_object(object, S("signatures"));
	const struct json *old_ours = json_get_object(old, by->server_name);
	struct json *all = old ? json_copy(a, old) : json_new_object(a);
	struct json *ours = old_ours ? json_copy(a, old_ours) : json_new_object(a);

	json_set(a, ours, by->key_id,
		 json_new_str(a, b64_encode(a, (str){ (const char *)signature, sizeof(signature) })));
	json_set(a, all, by->server_name, ours);
	json_set(a, object, S("signatures"), all);
	return NULL;
}

bool sign_decode(struct arena *a, str signature_text, str *out)
{
	/* A signature is 86 characters: what is much longer is not decoded at all. */
	const str signature = signature_text.n <= 88 ? b64_decode(a, signature_text) : STR_NONE;

	if (signature.n != 64)
		return false;
	*out = signature;
	return true;
}

bool sign_verify_bytes(struct arena *a, str bytes, str signature_text, const uint8_t public_key[32])
{
	str signature;

	return sign_decode(a, signature_text, &signature) &&
	       ed25519_verify(public_key, bytes, (const uint8_t *)signature.p);
}

bool sign_verify(struct arena *a, const struct json *object, str server, str key_id, const uint8_t public_key[32])
{
	const struct json *theirs = json_get_object(json_get_object(object, S("signatures")), server);
	const str text = json_get_str(theirs, key_id);
	str bytes;

	if (str_is_none(text) || !str_starts(key_id, S("ed25519:")))
		return false;
	if (sign_bytes(a, object, &bytes))
		return false;
	return sign_verify_bytes(a, bytes, text, public_key);
}

bool sign_is_by(const struct json *object, str server)
{
	const struct json *theirs = json_get_object(json_get_object(object, S("signatures")), server);

	return theirs && theirs->object.n > 0;
}
