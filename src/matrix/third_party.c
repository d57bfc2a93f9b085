/*
 * third_party.c - see third_party.h.
 *
 * The signatures of a third-party invite times its public keys: what is tried is far beyond what is in use, and no peer
 * shall have us verify for seconds.
 */
#include "matrix/third_party.h"

#include "base/b64.h"
#include "matrix/sign.h"

enum { VERIFICATIONS_MOST = 128, KEY_TEXT_MOST = 44 };

struct tries {
	struct arena *a;
	const struct json *signed_part;
	str bytes; /* what was signed */
	size_t left;
	struct third_party_key *out;
	size_t n, max;
};

/* Has any key of any server in `signed` signed with this public key? */
static bool has_signed(struct tries *t, const uint8_t public_key[32])
{
	JSON_EACH (json_get(t->signed_part, S("signatures")), server) {
		JSON_EACH (server->value, key) {
			if (!str_starts(key->key, S("ed25519:")) || t->left == 0)
				continue;
			t->left--;
			if (sign_verify_bytes(t->a, t->bytes, json_str(key->value), public_key))
				return true;
		}
	}
	return false;
}

static void consider(struct tries *t, const struct json *entry)
{
	const str text = json_get_str(entry, S("public_key")),
		  key = text.n <= KEY_TEXT_MOST ? b64_decode(t->a, text) : STR_NONE;

	if (key.n == 32 && t->n < t->max && has_signed(t, (const uint8_t *)key.p))
		t->out[t->n++] = (struct third_party_key){ text, json_get_str(entry, S("key_validity_url")) };
}

size_t third_party_signers(struct arena *a, const struct json *signed_part, const struct json *invitation,
			   struct third_party_key *out, size_t max)
{
	const struct json *keys = json_get_array(invitation, S("public_keys"));
	struct tries t = { .a = a, .signed_part = signed_part, .left = VERIFICATIONS_MOST, .out = out, .max = max };

	if (sign_bytes(a, signed_part, &t.bytes))
		return 0;
	consider(&t, invitation);
	JSON_ITEMS (keys, i)
		consider(&t, keys->array.items[i]);
	return t.n;
}
