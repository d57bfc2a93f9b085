/*
 * server_keys.h - other servers' signing keys, and the lists that they stood in.
 *
 * Which of two sayings about a key counts is decided by who calls (federation/key_ring.h); here is what is bounded: the
 * keys and lists of one server, and the servers with whom nothing is shared.
 */
#pragma once

#include "store/tx.h"

enum {
	STORE_SERVER_KEYS = 100,    /* of one server: those that are believed for the longest stay */
	STORE_SERVER_DOCUMENTS = 4, /* of one server: the newest stay */
};
struct server_key_row {
	str server, key_id;
	str public_key; /* 32 bytes */
	int64_t until;
	bool old;
};
/* Of all these servers. */
NODISCARD err *store_server_keys_of(struct tx *tx, struct strs servers, struct server_key_row **out, size_t *out_n);

struct server_key_document {
	str server, json;
	int64_t received_at, valid_until;
	const str *key_ids; /* whose newest list it is: read only */
	size_t n_key_ids;
};
/* The list as it was received, and the rows of keys that it changes: without one nothing is kept of it. */
NODISCARD err *store_server_keys_save(struct tx *tx, const struct server_key_document *doc,
				      const struct server_key_row *keys, size_t n);
/* The lists of all these servers, a server's oldest first. */
NODISCARD err *store_server_key_documents(struct tx *tx, struct strs servers, struct server_key_document **out,
					  size_t *out_n);
/* Servers in none of our rooms, but for the `keep` of them whose lists are the newest; at most `limit`. */
NODISCARD err *store_server_keys_strangers(struct tx *tx, size_t keep, size_t limit, str **out, size_t *out_n);
NODISCARD err *store_server_keys_forget(struct tx *tx, struct strs servers);
