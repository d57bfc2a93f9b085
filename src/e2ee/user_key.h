/* user_key.h - internal: one of the three keys that stand for a user, read and checked. */
#pragma once

#include "e2ee/key_object.h"

enum user_key_usage { KEY_MASTER, KEY_SELF_SIGNING, KEY_USER_SIGNING, KEY_USAGES };

struct user_key {
	struct key_object object;
	str id, name; /* "ed25519:<public key>", and the public key alone, which is its name among device ids */
	uint8_t public_key[32];
};

/* "master_key": its name in requests. */
str user_key_member(enum user_key_usage usage);
/* ERR_INVALID_PARAM: no such key of this user. */
NODISCARD err *user_key_read(struct arena *a, const struct json *json, str user_id, enum user_key_usage usage,
			     struct user_key *out);
/* NULL in *out for STR_NONE. */
NODISCARD err *user_key_parse(struct arena *a, str text, str user_id, enum user_key_usage usage, struct user_key **out);
/* Has the owner signed the object with this key? */
bool user_key_signed(struct arena *a, const struct user_key *by, const struct key_object *object);
