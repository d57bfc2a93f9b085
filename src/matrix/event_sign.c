/* event_sign.c - further signatures on an event that is there already: of a server that vouches for it. */
#include "base/b64.h"
#include "matrix/internal_event.h"

str event_signed_bytes(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	return str_is_none(ev->signed_bytes) ? event_redacted_text(a, rv, ev->json, ev->type, ev->bytes.n, false)
					     : ev->signed_bytes;
}

err *event_add_signature(struct arena *a, const struct room_version *rv, const struct event *ev, str server, str key_id,
			 str signature_text, struct event **out)
{
	const struct json *old = json_get_object(ev->json, S("signatures"));
	const struct json *old_ours = json_get_object(old, server);
	struct json *all = old ? json_copy(a, old) : json_new_object(a);
	struct json *ours = old_ours ? json_copy(a, old_ours) : json_new_object(a);
	struct json *whole = json_copy(a, ev->json);
	str bytes;

	json_set(a, ours, key_id, json_new_str(a, signature_text));
	json_set(a, all, server, ours);
	json_set(a, whole, S("signatures"), all);
	json_del(whole, S("unsigned"));
	TRY(json_canonical(a, whole, event_canon(rv), &bytes));
	if (bytes.n > EVENT_MAX_BYTES)
		return err_new(a, ERR_TOO_LARGE, "with a further signature the event is larger than 65536 bytes");
	TRY(event_load(a, rv, ev->event_id, bytes, out));
	(*out)->signed_bytes = event_signed_bytes(a, rv, ev);
	(*out)->hash_failed = ev->hash_failed;
	return NULL;
}

err *event_sign(struct arena *a, const struct room_version *rv, const struct event *ev, const struct signer *by,
		struct event **out)
{
	uint8_t signature[64];

	ed25519_sign(by->key, event_signed_bytes(a, rv, ev), signature);
	return event_add_signature(a, rv, ev, by->server_name, by->key_id,
				   b64_encode(a, (str){ (const char *)signature, sizeof(signature) }), out);
}
