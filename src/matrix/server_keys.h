/*
 * server_keys.h - the list of keys that a server publishes. Server-Server API, "Publishing Keys".
 */
#pragma once

#include "matrix/event_verify.h"

enum {
	SERVER_KEYS_MAX = 100,   /* of one server: who has more is not believed */
	SERVER_KEY_ID_MAX = 255, /* bytes: a key of a longer name is passed over */
};

/* "ed25519:" and [a-zA-Z0-9_]+ */
bool server_key_id_valid(str key_id);
/* The 32 bytes of a public key's text; false: it is none. */
bool server_key_decode(struct arena *a, str text, uint8_t out[32]);

struct named_key {
	str key_id;
	struct server_key key;
};
struct server_keys {
	int64_t valid_until_ts; /* as it was told */
	const struct named_key *p;
	size_t n;
};
/*
 * A document as /key/v2/server or a notary gave it, received at that time. Keys of other algorithms are passed over.
 * ERR_BAD_JSON: not of this form. ERR_FORBIDDEN: another server's, or not signed by one of the keys that it lists
 * itself, which is what shows that it is the server's own. Texts are the document's.
 */
NODISCARD err *server_keys_read(struct arena *a, const struct json *doc, str server_name, int64_t received_ts,
				struct server_keys *out);

/* Our own document, signed. `old`: an object as old_verify_keys has it, checked with server_keys_old_valid; or NULL. */
NODISCARD err *server_keys_write(struct arena *a, const struct signer *own, const struct json *old,
				 int64_t valid_until_ts, struct json **out);
bool server_keys_old_valid(struct arena *a, const struct json *old);
/* Those keys; NULL has none. Gives their number. */
size_t server_keys_old(struct arena *a, const struct json *old, struct named_key out[SERVER_KEYS_MAX]);
