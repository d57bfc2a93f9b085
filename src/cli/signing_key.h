/* signing_key.h - the file with the key that signs this server's events, in Synapse's form: "ed25519 a_AbCd
 * BASE64SEED". */
#pragma once

#include "crypto/crypto.h"

struct signing_key {
	str id; /* "ed25519:a_AbCd" */
	struct ed25519_key key;
};

/* The first key of the file. A missing file is made, with a new key, when `create`. ERR_CONFIG with words for the
 * operator. */
NODISCARD err *signing_key_load(struct arena *a, str path, bool create, struct signing_key *out);
/* A new key as a line of such a file. */
str signing_key_generate(struct arena *a);
