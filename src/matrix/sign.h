/*
 * sign.h - signed JSON (appendix "Signing JSON").
 *
 * Numbers that are no canonical JSON are signed and verified as the other servers do (JSON_CANON_DOUBLES): whether they
 * may be there at all is asked before, by who knows the room version.
 */
#pragma once

#include "crypto/crypto.h"
#include "json/json.h"

/* Who signs: a server's name, the key's id ("ed25519:abc"), the key. All borrowed. */
struct signer {
	str server_name, key_id;
	const struct ed25519_key *key;
};

/* Adds signatures.<server>.<key_id> to the object (which is changed; `unsigned` is not covered and stays). ERR_BAD_JSON
 * for numbers that no double holds. */
NODISCARD err *sign_json(struct arena *a, struct json *object, const struct signer *by);

/* Is there a valid signature of `server` under `key_id` by this public key? False also for what cannot be written
 * canonically. */
bool sign_verify(struct arena *a, const struct json *object, str server, str key_id, const uint8_t public_key[32]);
/* The bytes a signature covers: canonical, without `signatures` and `unsigned`. */
NODISCARD err *sign_bytes(struct arena *a, const struct json *object, str *out);
/* The 64 bytes of a signature's text; false when they are none. */
bool sign_decode(struct arena *a, str signature_text, str *out);
/* One key's signature over such bytes; text is unpadded base64. */
bool sign_verify_bytes(struct arena *a, str bytes, str signature_text, const uint8_t public_key[32]);
/* Has `server` any signature on the object (valid or not)? */
bool sign_is_by(const struct json *object, str server);
