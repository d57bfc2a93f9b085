/* Who must have signed an event, and whether they did: Server-Server API, "Validating hashes and signatures on received
 * events". */
#include "matrix/event.h"

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
	/* v8, "Authorisation rules": "If content has a join_authorised_via_users_server key: If the event is not validly
	 * signed by the homeserver of the user ID denoted by the key, reject." What is no user ID has no homeserver:
	 * nobody can sign for "". */
	if (rv->restricted && member && authoriser)
		n = add(out_servers, n, id_user_valid(json_str(authoriser)) ? id_server(json_str(authoriser)) : S(""));
	return n;
}

bool event_verify(struct arena *a, const struct room_version *rv, const struct event *ev, str server, str key_id,
		  const uint8_t public_key[32])
{
	const struct json *theirs = json_get_object(json_get_object(ev->json, S("signatures")), server);
	const str text = json_get_str(theirs, key_id);
	str bytes = ev->signed_bytes;

	if (str_is_none(text) || !str_starts(key_id, S("ed25519:")))
		return false;
	if (str_is_none(bytes))
		bytes = event_redacted_text(a, rv, ev->json, ev->type, ev->bytes.n, false);
	return sign_verify_bytes(a, bytes, text, public_key);
}
