/*
 * third_party.h - third-party invites: who vouches that an address is a user's.
 *
 * m.room.third_party_invite has keys of the identity server that keeps the invitation; `signed` in the m.room.member
 * made of it has its signature. Pure.
 */
#pragma once

#include "json/json.h"

struct third_party_key { /* borrowed from the invitation */
	str public_key;  /* as it stands there: base64 */
	str url;         /* key_validity_url; STR_NONE: "the key must be considered valid indefinitely" */
};
/* "If any signature in signed matches any public key in the m.room.third_party_invite event, allow. The public keys are
 * in content of m.room.third_party_invite as: 1. A single public key in the public_key property. 2. A list of public
 * keys in the public_keys property." (Authorization rules.) Those that have signed, in that order, at most `max`. */
size_t third_party_signers(struct arena *a, const struct json *signed_part, const struct json *invitation,
			   struct third_party_key *out, size_t max);
