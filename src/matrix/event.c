/*
 * Making events.
 *
 * An event is written three times, each time as canonical JSON straight from its fields (the order of the top-level
 * keys is fixed):
 *   1. without hashes and signatures: hashed, this is the content hash;
 *   2. redacted, with that hash: signed; and since the signature and the reference hash cover the same bytes, hashed
 *      for the event id (in versions 1 and 2 the maker has given the id, and it stands in all three);
 *   3. whole: what is stored and sent.
 * The tree is then parsed from the third, so that every value of it knows its canonical bytes. The content is made
 * canonical once and spliced. All together costs a fraction of the signature.
 */
#include "matrix/event.h"

#include <assert.h>

#include "base/b64.h"
#include "json/writer.h"
#include "matrix/id.h"
#include "matrix/internal_event.h"

str event_id_named(struct arena *a, str server_name, const uint8_t random[18])
{
	/* v1, "Event IDs": "$opaque_id:domain [...] where domain is the server name of the homeserver which created the
	 * room, and opaque_id is a locally-unique string." As everywhere, the server is the one that made the event. */
	return arena_join3(a, arena_join2(a, S("$"), b64url_encode(a, (str){ (const char *)random, 18 })), S(":"),
			   server_name);
}

int64_t event_depth_after(int64_t max_prev)
{
	/* "The maximum depth of the prev_events, plus one. [...] If the room's depth is already at the limit, the depth
	 * must be set to the limit." */
	if (max_prev >= EVENT_MAX_DEPTH)
		return EVENT_MAX_DEPTH;
	return MAX(max_prev, 0) + 1;
}

static err *check_fields(struct arena *a, const struct room_version *rv, const struct event_fields *f)
{
	const bool roomless = rv->room_id_is_create_hash && str_eq(f->type, S("m.room.create"));

	if (!id_user_valid(f->sender))
		return err_new(a, ERR_INVALID_PARAM, "sender is not a user ID");
	if (roomless ? !str_is_none(f->room_id) : !id_room_valid(f->room_id))
		return err_new(a, ERR_INVALID_PARAM, "room_id is not a room ID");
	/* "state_key MUST NOT exceed 255 bytes. type MUST NOT exceed 255 bytes." */
	if (f->type.n > ID_MAX)
		return err_new(a, ERR_TOO_LARGE, "Event type is longer than 255 bytes");
	if (f->state_key.n > ID_MAX)
		return err_new(a, ERR_TOO_LARGE, "state_key is longer than 255 bytes");
	if (rv->event_format == EVENT_FORMAT_NAMED && !id_event_named_valid(f->event_id))
		return err_new(a, ERR_INVALID_PARAM, "event_id is not an event ID");
	if (!json_is(f->content, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "Event content is not an object");
	if (f->origin_server_ts > EVENT_MAX_DEPTH || f->origin_server_ts < -EVENT_MAX_DEPTH)
		return err_new(a, ERR_BAD_JSON, "origin_server_ts is outside of the range of canonical JSON");
	assert(f->depth >= 0 && f->depth <= EVENT_MAX_DEPTH);
	assert(f->n_prev_events <= EVENT_MAX_PREV && f->n_auth_events <= EVENT_MAX_AUTH);
	if (rv->event_format == EVENT_FORMAT_NAMED) {
		assert(f->prev_hashes || f->n_prev_events == 0);
		assert(f->auth_hashes || f->n_auth_events == 0);
	} else {
		assert(str_is_none(f->event_id) && !f->prev_hashes && !f->auth_hashes);
	}
	return NULL;
}

static void write_refs(struct jw *w, const char *key, const str *ids, const str *hashes, size_t n)
{
	jw_array(w, key);
	for (size_t i = 0; i < n; i++) {
		if (!hashes) {
			jw_str(w, NULL, ids[i]);
			continue;
		}
		/* v1: "lists of (event_id, hash) pairs" */
		jw_array(w, NULL);
		jw_str(w, NULL, ids[i]);
		jw_object(w, NULL);
		if (!str_is_none(hashes[i]))
			jw_str(w, "sha256", hashes[i]);
		jw_end(w);
		jw_end(w);
	}
	jw_end(w);
}

/* The event with this content; hash and signature may be STR_NONE. `redacted` leaves out what redaction does at the
 * top. */
static err *write_event(struct arena *a, struct buf *buf, const struct room_version *rv, const struct event_fields *f,
			str content, bool redacted, str hash, const struct signer *by, str signature)
{
	buf_reset(buf);
	struct jw w = jw_to(buf);

	jw_object(&w, NULL);
	write_refs(&w, "auth_events", f->auth_events, f->auth_hashes, f->n_auth_events);
	jw_raw(&w, "content", content);
	jw_int(&w, "depth", f->depth);
	if (!str_is_none(f->event_id))
		jw_str(&w, "event_id", f->event_id);
	if (!str_is_none(hash)) {
		jw_object(&w, "hashes");
		jw_str(&w, "sha256", hash);
		jw_end(&w);
	}
	jw_int(&w, "origin_server_ts", f->origin_server_ts);
	write_refs(&w, "prev_events", f->prev_events, f->prev_hashes, f->n_prev_events);
	if (!rv->redacts_in_content && !redacted && !str_is_none(f->redacts))
		jw_str(&w, "redacts", f->redacts);
	if (!str_is_none(f->room_id))
		jw_str(&w, "room_id", f->room_id);
	jw_str(&w, "sender", f->sender);
	if (!str_is_none(signature)) {
		jw_object(&w, "signatures");
		jw_key(&w, by->server_name);
		jw_object(&w, NULL);
		jw_key(&w, by->key_id);
		jw_str(&w, NULL, signature);
		jw_end(&w);
		jw_end(&w);
	}
	if (!str_is_none(f->state_key))
		jw_str(&w, "state_key", f->state_key);
	jw_str(&w, "type", f->type);
	jw_end(&w);
	if (buf->overflow)
		return err_new(a, ERR_TOO_LARGE, "Event is larger than 65536 bytes");
	assert(jw_good(&w));
	return NULL;
}

err *event_build(struct arena *a, const struct room_version *rv, const struct event_fields *f, const struct signer *by,
		 struct event **out)
{
	AUTO_BUF buf = BUF_INIT(EVENT_MAX_BYTES);
	const struct json *content = f->content;
	uint8_t hash[32], signature[64];
	str content_bytes, redacted_bytes;

	TRY(check_fields(a, rv, f));
	if (rv->redacts_in_content && !str_is_none(f->redacts)) {
		struct json *with = json_copy(a, content);

		json_set(a, with, S("redacts"), json_new_str(a, f->redacts));
		content = with;
	}
	TRY(json_canonical(a, content, event_canon(rv), &content_bytes));
	TRY(json_canonical(a, redact_content(a, rv, f->type, content), event_canon(rv), &redacted_bytes));

	TRY(write_event(a, &buf, rv, f, content_bytes, false, STR_NONE, by, STR_NONE));
	sha256(buf_str(&buf), hash);
	const str hash_text = b64_encode(a, (str){ (const char *)hash, sizeof(hash) });

	TRY(write_event(a, &buf, rv, f, redacted_bytes, true, hash_text, by, STR_NONE));
	const str signed_bytes = arena_keep(a, buf_str(&buf));

	ed25519_sign(by->key, signed_bytes, signature);
	const str event_id = event_id_of(a, rv, f->event_id, signed_bytes);
	const str signature_text = b64_encode(a, (str){ (const char *)signature, sizeof(signature) });

	TRY(write_event(a, &buf, rv, f, content_bytes, false, hash_text, by, signature_text));
	TRY(event_load(a, rv, event_id, arena_keep(a, buf_str(&buf)), out));
	(*out)->signed_bytes = signed_bytes;
	return NULL;
}
