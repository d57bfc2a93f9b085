/*
 * event.h - an event: made, received, read back, redacted.
 *
 * An event is immutable. `bytes` is what is stored and sent to servers: canonical JSON with hashes and signatures,
 * without `unsigned` (made per reader). Where ids are reference hashes (from room version 3 on) no event_id stands in
 * it; in versions 1 and 2 it does, and is hashed and signed like the rest. The members below are slices of the tree
 * `json`, whose values point into the bytes or into equal text they were read from; all live in one arena.
 * Server-Server API, "PDUs" and "Signing Events"; appendix "Cryptographic Test Vectors".
 */
#pragma once

#include "json/json.h"
#include "matrix/room_version.h"
#include "matrix/sign.h"

enum {
	EVENT_MAX_BYTES = 65536, /* canonical JSON with signatures: Client-Server API, "Size limits" */
	EVENT_MAX_PREV = 20,
	EVENT_MAX_AUTH = 10,
	EVENT_MAX_SIGNERS = 3,
};
#define EVENT_MAX_DEPTH INT64_C(9007199254740991) /* 2^53 - 1 */

struct event {
	str event_id; /* "$" and the reference hash; in versions 1 and 2 what its server called it, "$opaque:domain" */
	str room_id;  /* of a version 12 create event, too, which does not carry it: made from event_id */
	str sender, type;
	str state_key; /* STR_NONE: a message */
	/* The redacted event's id, from where the room version puts it; STR_NONE when absent or no string. */
	str redacts;
	const struct json *content;
	const struct json *creators; /* content.additional_creators by name, where there are many; NULL: not made */
	/* What peers choose freely: depth decides nothing (but for state resolution in version 1). Before version 6
	 * both may be integers of any size: beyond 64 bits they are held as INT64_MIN or INT64_MAX. Never add to
	 * them. */
	int64_t origin_server_ts, depth;
	const str *prev_events, *auth_events; /* ids, also where the event has them in pairs with their hashes */
	size_t n_prev_events, n_auth_events;
	const struct json *json; /* the whole */
	str bytes;               /* its canonical text */
	str signed_bytes;        /* event_parse, event_build: what signatures and reference hash cover; or STR_NONE */
	bool rejected;           /* set by who knows: it failed the authorisation rules */
	bool hash_failed;        /* event_parse: the content hash was wrong, this is the redacted copy */
	int64_t nid;             /* the store's number, set by who knows; 0 */
};

/* What an event is made of. All borrowed. From version 6 on content that is no canonical JSON is refused. */
struct event_fields {
	/* Versions 1 and 2 only (EVENT_FORMAT_NAMED), else STR_NONE: the event's id (event_id_named makes one), and of
	 * each prev_event and auth_event its reference hash (event_hash_text), or STR_NONE where it is not known. */
	str event_id;
	const str *prev_hashes, *auth_hashes;
	str room_id; /* STR_NONE for the create event of a room version whose room ids are hashes */
	str sender, type, state_key;
	const struct json *content;
	str redacts; /* written where the room version wants it: at the top, or into content */
	int64_t origin_server_ts, depth;
	const str *prev_events, *auth_events;
	size_t n_prev_events, n_auth_events;
};

/* Hashes, signs, names the event. ERR_BAD_JSON (not canonical), ERR_TOO_LARGE (64 KiB, or a field's own limit),
 * ERR_INVALID_PARAM (ill-formed ids). Nothing is said about whether the room allows it: auth.h. */
NODISCARD err *event_build(struct arena *a, const struct room_version *rv, const struct event_fields *f,
			   const struct signer *by, struct event **out);

/* An event of ours read back: its bytes are as event_build or event_parse made them, possibly redacted since, and its
 * id is known. Neither hashed nor checked; `bytes` must live as long as the event. An error means a damaged store. */
NODISCARD err *event_load(struct arena *a, const struct room_version *rv, str event_id, str bytes, struct event **out);

/* An event from outside: the whole format is checked ("Checks performed on receipt of a PDU", 1 and 3; 2 is
 * event_well_signed). When the content hash does not fit, *out is the redacted copy and says so. ERR_BAD_JSON,
 * ERR_NOT_JSON, ERR_TOO_LARGE. `text` must live as long as the event. */
NODISCARD err *event_parse(struct arena *a, const struct room_version *rv, str text, struct event **out);
/* The same from a tree that was parsed already (an event inside a transaction). */
NODISCARD err *event_parse_json(struct arena *a, const struct room_version *rv, const struct json *json,
				struct event **out);

/* Which servers must have signed: the sender's (but for invites by third-party id), in versions 1 and 2 the event id's,
 * and from version 8 on the one that authorised a restricted join. Each once. */
size_t event_signers(const struct room_version *rv, const struct event *ev, str out_servers[EVENT_MAX_SIGNERS]);
/* Has this server validly signed with this key? (event_verify.h asks for all that must have.) */
bool event_verify(struct arena *a, const struct room_version *rv, const struct event *ev, str server, str key_id,
		  const uint8_t public_key[32]);

/* What its signatures cover. */
str event_signed_bytes(struct arena *a, const struct room_version *rv, const struct event *ev);
/* The same event (it keeps its id) with one more signature, whoever's: nothing is verified. ERR_TOO_LARGE. */
NODISCARD err *event_add_signature(struct arena *a, const struct room_version *rv, const struct event *ev, str server,
				   str key_id, str signature_text, struct event **out);
NODISCARD err *event_sign(struct arena *a, const struct room_version *rv, const struct event *ev,
			  const struct signer *by, struct event **out);

/* The redaction algorithm. event_redact: the event's new canonical bytes; its id and signatures stay valid. The same
 * bytes as before when there is nothing to remove. */
NODISCARD err *event_redact(struct arena *a, const struct room_version *rv, const struct event *ev, str *out_bytes);
/* Of trees: a new tree which shares values with the old. */
struct json *redact_event(struct arena *a, const struct room_version *rv, const struct json *event);
struct json *redact_content(struct arena *a, const struct room_version *rv, str type, const struct json *content);

/* The hashes. `json` may hold hashes, signatures and unsigned: what does not count is left out. */
NODISCARD err *event_content_hash(struct arena *a, const struct json *json, uint8_t out[32]);
NODISCARD err *event_reference_hash(struct arena *a, const struct room_version *rv, const struct json *json,
				    uint8_t out[32]);

/* What a version 1 or 2 event says of an event it refers to, beside the id: its reference hash in unpadded Base64. */
NODISCARD err *event_hash_text(struct arena *a, const struct room_version *rv, const struct event *ev, str *out);
/* An id for a version 1 or 2 event of `server_name`: "$", 24 characters made of the random bytes, ":server_name". */
str event_id_named(struct arena *a, str server_name, const uint8_t random[18]);

/* depth of an event after others of which the deepest has `max_prev` (0 for none): within limits whatever peers wrote.
 */
int64_t event_depth_after(int64_t max_prev);

static inline bool event_is_state(const struct event *ev) { return !str_is_none(ev->state_key); }
static inline bool event_is(const struct event *ev, str type, str state_key)
{
	return event_is_state(ev) && str_eq(ev->type, type) && str_eq(ev->state_key, state_key);
}
/* content.membership of an m.room.member; STR_NONE for NULL and where there is none. */
str event_membership(const struct event *member);
