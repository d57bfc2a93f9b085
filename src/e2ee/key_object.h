/*
 * key_object.h - a published key as JSON: what signatures cover, whose signatures it bears, and the text that is kept.
 *
 * Of the signatures only the owner's are kept with a key: everybody may see them, and nobody else's ("To avoid leaking
 * of social graphs"). The text has them as its last member, always, so that answers are made of it by cutting and
 * splicing bytes.
 */
#pragma once

#include "base/err.h"
#include "json/json.h"

enum {
	KEY_BARE_MAX = 16 * 1024, /* bytes of a key without its signatures */
	KEY_TEXT_MAX = 64 * 1024, /* with them */
};

struct key_object {
	str owner;               /* a user id */
	const struct json *json; /* as it came */
	str bare;                /* canonical, without `signatures` and `unsigned`: what a signature covers */
	struct json *signatures; /* the owner's, by key id; may be empty */
};

/* Texts by key id by user id? */
bool key_signatures_valid(const struct json *signatures);
/* ERR_BAD_JSON: not canonical, or signatures that are no texts by key id by user id. ERR_TOO_LARGE. */
NODISCARD err *key_object_read(struct arena *a, const struct json *json, str owner, struct key_object *out);
/* A device's own keys: ERR_BAD_JSON also where they lack what such keys have, or say that they are another's. */
NODISCARD err *key_device_read(struct arena *a, const struct json *json, str user_id, str device_id,
			       struct key_object *out);
/* key_object_read of a text that was kept. */
NODISCARD err *key_object_parse(struct arena *a, str text, str owner, struct key_object *out);
/* ERR_TOO_LARGE. */
NODISCARD err *key_object_text(struct arena *a, const struct key_object *k, str *out);

/* The owner's signature under the key id; STR_NONE: there is none. */
str key_object_signature(const struct key_object *k, str key_id);
/* Is that signature a good one by this public key? */
bool key_object_verify(struct arena *a, const struct key_object *k, str key_id, const uint8_t public_key[32]);
/* The public key, as text, that stands in `keys` under the id; STR_NONE: none. */
str key_object_public(const struct key_object *k, str key_id);
/* The 32 bytes of a public key's text; false when it is none. */
bool key_decode(struct arena *a, str text, uint8_t out[32]);

/* A kept text without signatures that it does not have: keys of users need not have the member. */
str key_text_shown(struct arena *a, str text);
/* A kept text with one signature of another user, which it cannot have yet. */
str key_text_with(struct arena *a, str text, str signer_id, str key_id, str signature);
