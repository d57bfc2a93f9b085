/* Content hash and reference hash: Server-Server API, "Calculating the content hash", "Calculating the reference hash".
 * */
#include "matrix/event.h"

#include "base/b64.h"
#include "matrix/internal_event.h"

err *event_content_hash(struct arena *a, const struct json *json, uint8_t out[32])
{
	struct json *bare = json_copy(a, json);
	str bytes;

	/* "First, any existing unsigned, signatures, and hashes properties are removed. The resulting object is then
	 * encoded as Canonical JSON, and the JSON is hashed using SHA-256." */
	json_del(bare, S("unsigned"));
	json_del(bare, S("signatures"));
	json_del(bare, S("hashes"));
	TRY(json_canonical(a, bare, JSON_CANON_DOUBLES, &bytes));
	sha256(bytes, out);
	return NULL;
}

err *event_reference_hash(struct arena *a, const struct room_version *rv, const struct json *json, uint8_t out[32])
{
	str bytes;

	/* "1. The event is put through the redaction algorithm. 2. The signatures and unsigned properties are removed
	 * from the event, if present. 3. The event is converted into Canonical JSON. 4. A sha256 hash is calculated" */
	TRY(sign_bytes(a, redact_event(a, rv, json), &bytes));
	sha256(bytes, out);
	return NULL;
}

err *event_hash_text(struct arena *a, const struct room_version *rv, const struct event *ev, str *out)
{
	str bytes = ev->signed_bytes;
	uint8_t hash[32];

	if (str_is_none(bytes))
		bytes = event_redacted_text(a, rv, ev->json, ev->type, ev->bytes.n, false);
	sha256(bytes, hash);
	*out = b64_encode(a, (str){ (const char *)hash, sizeof(hash) });
	return NULL;
}
