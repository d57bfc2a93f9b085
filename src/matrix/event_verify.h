/*
 * event_verify.h - is an event signed by whoever must have signed it?
 *
 * Server-Server API, "Validating hashes and signatures on received events". In two steps, since the second is what
 * costs: event_claims says which signatures by which keys must be good; ed25519_verify_all (of any part of them, on any
 * thread) says whether they are. Neither knows where keys come from.
 */
#pragma once

#include "matrix/event.h"

/* A signing key that a server has published ("Publishing keys"). */
struct server_key {
	uint8_t public_key[32];
	/* ms. Of verify_keys: until when it may be believed (server_key_until). Of old_verify_keys: expired_ts. */
	int64_t until;
	bool old;
};
/* Until when a key of verify_keys counts, that was fetched at received_ts with this valid_until_ts. */
int64_t server_key_until(int64_t valid_until_ts, int64_t received_ts);
/* May an event with this origin_server_ts be signed with the key? */
bool server_key_covers(const struct room_version *rv, const struct server_key *key, int64_t origin_server_ts);

/* The server's key under that id ("ed25519:abc"), or NULL: not known. It must live as long as the claims. */
typedef const struct server_key *server_key_fn(void *ctx, str server, str key_id);

enum {
	EVENT_MAX_KEYS = 4, /* signatures of one server that are looked at: peers may put any number on an event */
	EVENT_MAX_CLAIMS = EVENT_MAX_SIGNERS * EVENT_MAX_KEYS,
};
/*
 * What must be good for the event to be well signed: every signature of a required server under a known key that covers
 * it, at most EVENT_MAX_KEYS a server. Gives their number. *out_lacking becomes a server of which there is none, or an
 * unreadable one: then the event is not well signed whatever the claims are; else STR_NONE. The claims point into the
 * event and the arena.
 */
size_t event_claims(struct arena *a, const struct room_version *rv, const struct event *ev, server_key_fn *find,
		    void *ctx, struct ed25519_claim out[EVENT_MAX_CLAIMS], str *out_lacking);
/* Both steps for one event. *out_server (NULL is fine): whose signature is lacking or bad, or STR_NONE. */
bool event_well_signed(struct arena *a, const struct room_version *rv, const struct event *ev, server_key_fn *find,
		       void *ctx, str *out_server);
