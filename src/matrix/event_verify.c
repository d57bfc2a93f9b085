/*
 * Who must have signed an event, and whether they did.
 *
 * An event is well signed when each server that must sign it has signatures under keys that we know and that were valid
 * then, and all of those are good. Signatures under keys that are not known, or had expired, are as if they were not
 * there: a policy server's, for one.
 */
#include "matrix/event_verify.h"

#include "base/b64.h"
#include "matrix/id.h"
#include "matrix/internal_event.h"

static size_t add(str servers[EVENT_MAX_SIGNERS], size_t n, str server)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(servers[i], server))
			return n;
	servers[n] = server;
	return n + 1;
}

size_t event_signers(const struct room_version *rv, const struct event *ev, str out_servers[EVENT_MAX_SIGNERS])
{
	const bool member = str_eq(ev->type, S("m.room.member"));
	const bool third_party =
		member && str_eq(event_membership(ev), S("invite")) && json_get(ev->content, S("third_party_invite"));
	const struct json *authoriser = json_get(ev->content, S("join_authorised_via_users_server"));
	size_t n = 0;

	/* "unless the event is a 3rd party invite, only the signature(s) from the originating server (the server the
	 * sender belongs to) are required for verification [...] If the event is a 3rd party invite, the sender must
	 * already match the 3rd party invite, and the server which actually sends the event may be a different server."
	 * */
	if (!third_party)
		n = add(out_servers, n, id_server(ev->sender));
	/* "Room versions 1 and 2 also require that a signature is present from the domain in the event_id, if it
	 * differs from the originating server." */
	if (rv->event_format == EVENT_FORMAT_NAMED)
		n = add(out_servers, n, id_server(ev->event_id));
	/* v8, "Authorisation rules": "If content has a join_authorised_via_users_server key: If the event is not
	 * validly signed by the homeserver of the user ID denoted by the key, reject." What is no user ID has no
	 * homeserver: nobody can sign for "". */
	if (rv->restricted && member && authoriser)
		n = add(out_servers, n, id_user_valid(json_str(authoriser)) ? id_server(json_str(authoriser)) : S(""));
	return n;
}

static bool is_known_algorithm(str key_id) { return str_starts(key_id, S("ed25519:")); }

static const struct json *signatures_of(const struct event *ev, str server)
{
	return json_get_object(json_get_object(ev->json, S("signatures")), server);
}

static str signed_bytes(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	return str_is_none(ev->signed_bytes) ? event_redacted_text(a, rv, ev->json, ev->type, ev->bytes.n, false)
					     : ev->signed_bytes;
}

bool event_verify(struct arena *a, const struct room_version *rv, const struct event *ev, str server, str key_id,
		  const uint8_t public_key[32])
{
	const str text = json_get_str(signatures_of(ev, server), key_id);

	if (str_is_none(text) || !is_known_algorithm(key_id))
		return false;
	return sign_verify_bytes(a, signed_bytes(a, rv, ev), text, public_key);
}

int64_t server_key_until(int64_t valid_until_ts, int64_t received_ts)
{
	/* "Servers MUST use the lesser of valid_until_ts and 7 days into the future when determining if a key is
	 * valid." */
	const int64_t week = INT64_C(7) * 24 * 3600 * 1000;

	return MIN(valid_until_ts, received_ts > INT64_MAX - week ? INT64_MAX : received_ts + week);
}

bool server_key_covers(const struct room_version *rv, const struct server_key *key, int64_t origin_server_ts)
{
	/* "any keys that are known to have expired prior to the event's origin_server_ts are ignored." */
	if (key->old)
		return origin_server_ts <= key->until;
	/* v5: "servers MUST enforce the valid_until_ts property from a key request is at least as large as the
	 * origin_server_ts for the event being validated"; before, valid_until_ts "MUST be ignored". */
	return !rv->key_validity || origin_server_ts <= key->until;
}

/* The claims of one server, appended; false: none, or one that is no signature at all. */
static bool claim_server(struct arena *a, const struct room_version *rv, const struct event *ev, str bytes, str server,
			 server_key_fn *find, void *ctx, struct ed25519_claim *out, size_t *n)
{
	const struct json *signatures = signatures_of(ev, server);
	size_t taken = 0;

	JSON_EACH (signatures, m) {
		const struct server_key *key;
		str signature;

		if (taken == EVENT_MAX_KEYS)
			break;
		/* "Removes any signing key identifiers from the entry with algorithms it doesn't understand." */
		if (!is_known_algorithm(m->key))
			continue;
		key = find(ctx, server, m->key);
		if (!key || !server_key_covers(rv, key, ev->origin_server_ts))
			continue;
		/* "If base64 decoding fails then the check fails." */
		if (!sign_decode(a, json_str(m->value), &signature))
			return false;
		out[*n] = (struct ed25519_claim){ .public_key = key->public_key, .bytes = bytes };
		memcpy(out[*n].signature, signature.p, sizeof(out[*n].signature));
		(*n)++;
		taken++;
	}
	return taken > 0;
}

size_t event_claims(struct arena *a, const struct room_version *rv, const struct event *ev, server_key_fn *find,
		    void *ctx, struct ed25519_claim out[EVENT_MAX_CLAIMS], str *out_lacking)
{
	str servers[EVENT_MAX_SIGNERS], lacking = STR_NONE;
	const size_t n_servers = event_signers(rv, ev, servers);
	const str bytes = signed_bytes(a, rv, ev);
	size_t n = 0;

	for (size_t i = 0; i < n_servers && str_is_none(lacking); i++)
		if (!claim_server(a, rv, ev, bytes, servers[i], find, ctx, out, &n))
			lacking = servers[i];
	*out_lacking = lacking;
	return n;
}

bool event_well_signed(struct arena *a, const struct room_version *rv, const struct event *ev, server_key_fn *find,
		       void *ctx, str *out_server)
{
	str servers[EVENT_MAX_SIGNERS];
	const size_t n_servers = event_signers(rv, ev, servers);
	const str bytes = signed_bytes(a, rv, ev);

	for (size_t i = 0; i < n_servers; i++) {
		struct ed25519_claim claims[EVENT_MAX_KEYS];
		size_t n = 0;
		bool good = claim_server(a, rv, ev, bytes, servers[i], find, ctx, claims, &n);

		if (good)
			ed25519_verify_all(claims, n);
		for (size_t k = 0; k < n; k++)
			good = good && claims[k].good;
		if (!good) {
			if (out_server)
				*out_server = servers[i];
			return false;
		}
	}
	if (out_server)
		*out_server = STR_NONE;
	return true;
}
