/*
 * Making events, and reading our own back.
 *
 * An event is written three times, each time as canonical JSON straight from its fields (the order of the top-level
 * keys is fixed):
 *   1. without hashes and signatures: hashed, this is the content hash;
 *   2. redacted, with that hash: signed; and since the signature and the reference hash cover the same bytes, hashed
 * for the event id;
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

str event_id_of_hash(struct arena *a, const uint8_t hash[32])
{
	return arena_join2(a, S("$"), b64url_encode(a, (str){ (const char *)hash, 32 }));
}

str event_membership(const struct event *member)
{
	return member ? json_get_str(member->content, S("membership")) : STR_NONE;
}

int64_t event_depth_after(int64_t max_prev)
{
	/* "The maximum depth of the prev_events, plus one. [...] If the room's depth is already at the limit, the depth
	 * must be set to the limit." */
	if (max_prev >= EVENT_MAX_DEPTH)
		return EVENT_MAX_DEPTH;
	return MAX(max_prev, 0) + 1;
}

/* --- the parsed view --- */

static bool take_ids(struct arena *a, const struct json *array, const str **out, size_t *out_n)
{
	if (!json_is(array, JSON_ARRAY))
		return false;
	str *ids = ARENA_ARRAY(a, str, array->array.n);

	JSON_ITEMS (array, i) {
		ids[i] = json_str(array->array.items[i]);
		if (str_is_none(ids[i]))
			return false;
	}
	*out = ids;
	*out_n = array->array.n;
	return true;
}

static bool take_int(const struct json *value, int64_t *out)
{
	if (!json_is(value, JSON_INT))
		return false;
	*out = value->i;
	return true;
}

/* Walks the members once: a dozen look-ups by name would cost more than the rest of reading an event. */
static bool take_member(struct arena *a, struct event *ev, const struct json_member *m)
{
	const struct json *v = m->value;

	switch (m->key.n) {
	case 4:
		if (str_eq(m->key, S("type")))
			ev->type = json_str(v);
		return true;
	case 5:
		return !str_eq(m->key, S("depth")) || take_int(v, &ev->depth);
	case 6:
		if (str_eq(m->key, S("sender")))
			ev->sender = json_str(v);
		return true;
	case 7:
		if (str_eq(m->key, S("content")))
			ev->content = json_is(v, JSON_OBJECT) ? v : NULL;
		else if (str_eq(m->key, S("room_id")))
			ev->room_id = json_str(v);
		else if (str_eq(m->key, S("redacts")))
			ev->redacts = json_str(v);
		return true;
	case 9:
		if (!str_eq(m->key, S("state_key")))
			return true;
		ev->state_key = json_str(v);
		return !str_is_none(ev->state_key);
	case 11:
		if (str_eq(m->key, S("prev_events")))
			return take_ids(a, v, &ev->prev_events, &ev->n_prev_events);
		if (str_eq(m->key, S("auth_events")))
			return take_ids(a, v, &ev->auth_events, &ev->n_auth_events);
		return true;
	case 16:
		return !str_eq(m->key, S("origin_server_ts")) || take_int(v, &ev->origin_server_ts);
	default:
		return true;
	}
}

err *event_view(struct arena *a, const struct room_version *rv, const struct json *json, str event_id, str bytes,
		struct event **out)
{
	struct event *ev = ARENA_NEW(a, struct event);

	ev->event_id = event_id;
	ev->json = json;
	ev->bytes = bytes;
	JSON_EACH (json, m) {
		if (!take_member(a, ev, m))
			return err_new(a, ERR_BAD_JSON, "Event has a %.*s of the wrong type", STR_ARG(m->key));
	}
	if (str_is_none(ev->type) || str_is_none(ev->sender) || !ev->content || !ev->prev_events || !ev->auth_events)
		return err_new(a, ERR_BAD_JSON, "Event lacks a required member");
	/* v12: "the room ID is the event ID of the event with sigil `!` instead of `$`" */
	if (rv->room_id_is_create_hash && str_eq(ev->type, S("m.room.create")))
		ev->room_id = arena_join2(a, S("!"), str_from(event_id, 1));
	else if (str_is_none(ev->room_id))
		return err_new(a, ERR_BAD_JSON, "Event has no room_id");
	/* v11: "The redacts property of m.room.redaction events is moved from a top-level event property to a property
	 * under the event content." */
	if (rv->redacts_in_content)
		ev->redacts = json_get_str(ev->content, S("redacts"));
	if (!str_eq(ev->type, S("m.room.redaction")))
		ev->redacts = STR_NONE;
	*out = ev;
	return NULL;
}

err *event_load(struct arena *a, const struct room_version *rv, str event_id, str bytes, struct event **out)
{
	struct json *json;

	assert(event_id.n > 1);
	TRY(json_parse(a, bytes, &json_limits_event, &json));
	return event_view(a, rv, json, event_id, bytes, out);
}

/* --- making --- */

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
	if (!json_is(f->content, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "Event content is not an object");
	if (f->origin_server_ts > EVENT_MAX_DEPTH || f->origin_server_ts < -EVENT_MAX_DEPTH)
		return err_new(a, ERR_BAD_JSON, "origin_server_ts is outside of the range of canonical JSON");
	assert(f->depth >= 0 && f->depth <= EVENT_MAX_DEPTH);
	assert(f->n_prev_events <= EVENT_MAX_PREV && f->n_auth_events <= EVENT_MAX_AUTH);
	return NULL;
}

static void write_ids(struct jw *w, const char *key, const str *ids, size_t n)
{
	jw_array(w, key);
	for (size_t i = 0; i < n; i++)
		jw_str(w, NULL, ids[i]);
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
	write_ids(&w, "auth_events", f->auth_events, f->n_auth_events);
	jw_raw(&w, "content", content);
	jw_int(&w, "depth", f->depth);
	if (!str_is_none(hash)) {
		jw_object(&w, "hashes");
		jw_str(&w, "sha256", hash);
		jw_end(&w);
	}
	jw_int(&w, "origin_server_ts", f->origin_server_ts);
	write_ids(&w, "prev_events", f->prev_events, f->n_prev_events);
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
	TRY(json_canonical(a, content, true, &content_bytes));
	TRY(json_canonical(a, redact_content(a, rv, f->type, content), true, &redacted_bytes));

	TRY(write_event(a, &buf, rv, f, content_bytes, false, STR_NONE, by, STR_NONE));
	sha256(buf_str(&buf), hash);
	const str hash_text = b64_encode(a, (str){ (const char *)hash, sizeof(hash) });

	TRY(write_event(a, &buf, rv, f, redacted_bytes, true, hash_text, by, STR_NONE));
	ed25519_sign(by->key, buf_str(&buf), signature);
	sha256(buf_str(&buf), hash);
	const str event_id = event_id_of_hash(a, hash);
	const str signature_text = b64_encode(a, (str){ (const char *)signature, sizeof(signature) });

	TRY(write_event(a, &buf, rv, f, content_bytes, false, hash_text, by, signature_text));
	return event_load(a, rv, event_id, arena_keep(a, buf_str(&buf)), out);
}
