/*
 * key_ring.h - other servers' signing keys: in memory over the store, fetched when they are lacking.
 *
 * Server-Server API, "Retrieving server keys". A key is asked of the server itself and of notaries
 * (trusted_key_servers); each server is asked once however many want it, in batches where a notary allows it, and one
 * that did not answer is left alone for a while.
 */
#pragma once

#include "matrix/event_verify.h"

struct fed;
struct key_ring;
struct store;
struct key_notary {
	str server_name;
	str key_id; /* STR_NONE: any that it publishes */
	uint8_t public_key[32];
};
struct key_ring_options { /* borrowed for the life of the service */
	struct store *store;
	struct fed *fed;
	const struct log *log;
	const struct signer *own;
	const struct json *own_old_keys; /* as old_verify_keys; or NULL: until key_ring_set_old */
	const struct key_notary *notaries;
	size_t n_notaries;
	size_t max_known; /* keys in memory; 0: chosen */
	int64_t (*now)(void);
};
NODISCARD err *key_ring_new(struct arena *a, const struct key_ring_options *opt, struct key_ring **out);
void key_ring_free(struct key_ring **k);
/* What this server has signed with before, from now on. Any thread. */
void key_ring_set_old(struct key_ring *k, const struct json *own_old_keys);

struct key_want {
	str server, key_id; /* key_id STR_NONE: any that the server signs with now */
	int64_t valid_at;   /* ms: minimum_valid_until_ts. An event's origin_server_ts, or now for a request; INT64_MIN:
			     * whenever it was */
	bool speaks;        /* it has just sent us something: it is asked even where it did not answer lately */
};
/* What could be had, in an arena: a server_key_fn and its ctx. */
struct key_set;
const struct server_key *key_set_find(void *set, str server, str key_id);
/* Asks memory, the store, then the network until the deadline (clock_mono_us); 0: no network. What is lacking
 * afterwards is simply not in the set; what is there need not reach valid_at: server_key_covers says. Errors are the
 * store's. */
NODISCARD err *key_ring_get(struct key_ring *k, struct arena *a, const struct key_want *wants, size_t n,
			    int64_t deadline_us, struct key_set **out);

/*
 * The lists themselves, as their servers gave them, signed by this one as well: for a notary. Asked of their servers
 * anew where they do not reach `valid_at` (INT64_MIN: half of their life is over), or none has the key; those that
 * there were, where that fails. Not this server's own.
 */
NODISCARD err *key_ring_documents(struct key_ring *k, struct arena *a, const struct key_want *wants, size_t n,
				  int64_t deadline_us, struct json ***out, size_t *out_n);
