/*
 * Events from outside.
 *
 * Whatever the text looked like, what goes on is its canonical form without `unsigned`: from there on a received event
 * is of one kind with those made here. Nothing in it is believed: types, lengths and counts are checked before the view
 * is made. `depth` and origin_server_ts are any integers that the version can write, for nothing hangs on them.
 *
 * The canonical text is written once. What the content hash covers is that text less two members, and what signatures
 * and reference hash cover are slices of it (redact.c). Other servers send canonical text, mostly: then the tree that
 * was read is that of the canonical text already, and it is not read again.
 */
#include "matrix/event.h"

#include "base/b64.h"
#include "matrix/id.h"
#include "matrix/internal_event.h"

/* White space, escapes and `unsigned` do not count for the size limit, but have one of their own. */
static const struct json_limits received_limits = { .max_bytes = 8 * EVENT_MAX_BYTES,
						    .max_depth = 1000,
						    .max_values = EVENT_MAX_BYTES };

static err *check_refs(struct arena *a, const struct room_version *rv, const struct json *json, str key, size_t max)
{
	/* "Must contain less than or equal to 10 events" (auth_events), 20 (prev_events). */
	const struct json *ids = json_get_array(json, key);

	if (!ids)
		return err_new(a, ERR_BAD_JSON, "Event has no array %.*s", STR_ARG(key));
	if (ids->array.n > max)
		return err_new(a, ERR_BAD_JSON, "Event has more than %zu %.*s", max, STR_ARG(key));
	JSON_ITEMS (ids, i) {
		if (!id_event_valid(event_ref_id(rv, ids->array.items[i])))
			return err_new(a, ERR_BAD_JSON, "Event has %.*s that are not event IDs", STR_ARG(key));
	}
	return NULL;
}

/* "signatures": server > key id > text. */
static bool is_signatures(const struct json *signatures)
{
	if (!json_is(signatures, JSON_OBJECT))
		return false;
	JSON_EACH (signatures, server) {
		if (!json_is(server->value, JSON_OBJECT))
			return false;
		JSON_EACH (server->value, key) {
			if (!json_is(key->value, JSON_STR))
				return false;
		}
	}
	return true;
}

static err *check_room_id(struct arena *a, const struct room_version *rv, const struct json *json)
{
	const str room_id = json_get_str(json, S("room_id"));

	/* v12: "Omitted from m.room.create events." One that is there is for the authorisation rules to reject. */
	if (rv->room_id_is_create_hash && str_eq(json_get_str(json, S("type")), S("m.room.create")))
		return NULL;
	if (!id_room_valid(room_id))
		return err_new(a, ERR_BAD_JSON, "Event has no valid room_id");
	/* Before, "room IDs take the form !opaque_id:domain". */
	if (!rv->room_id_is_create_hash && str_is_none(id_server(room_id)))
		return err_new(a, ERR_BAD_JSON, "room_id has no domain");
	return NULL;
}

static err *check_event_id(struct arena *a, const struct room_version *rv, const struct json *json)
{
	const struct json *event_id = json_get(json, S("event_id"));

	/* v3: "When events are sent over federation, the event_id field is no longer included." */
	if (rv->event_format != EVENT_FORMAT_NAMED)
		return event_id ? err_new(a, ERR_BAD_JSON, "Event has an event_id") : NULL;
	/* v1: "Event IDs in this room version have the format: $opaque_id:domain" */
	if (!id_event_named_valid(json_str(event_id)))
		return err_new(a, ERR_BAD_JSON, "Event has no valid event_id");
	return NULL;
}

/* The event format: rooms/vN, "Event format"; Client-Server API, "Size limits". */
static err *check_format(struct arena *a, const struct room_version *rv, const struct json *json)
{
	const struct json *state_key = json_get(json, S("state_key"));
	const str type = json_get_str(json, S("type"));
	int64_t number;

	if (!json_is(json, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "Event is not an object");
	if (str_is_none(type) || type.n > ID_MAX)
		return err_new(a, ERR_BAD_JSON, "Event has no valid type");
	if (!id_user_valid(json_get_str(json, S("sender"))))
		return err_new(a, ERR_BAD_JSON, "Event has no valid sender");
	if (state_key && (!json_is(state_key, JSON_STR) || state_key->s.n > ID_MAX))
		return err_new(a, ERR_BAD_JSON, "Event has an invalid state_key");
	if (!json_get_object(json, S("content")))
		return err_new(a, ERR_BAD_JSON, "Event has no content");
	if (!event_integer(json_get(json, S("origin_server_ts")), &number))
		return err_new(a, ERR_BAD_JSON, "Event has no integer origin_server_ts");
	if (!event_integer(json_get(json, S("depth")), &number))
		return err_new(a, ERR_BAD_JSON, "Event has no integer depth");
	if (str_is_none(json_get_str(json_get_object(json, S("hashes")), S("sha256"))))
		return err_new(a, ERR_BAD_JSON, "Event has no sha256 hash");
	if (!is_signatures(json_get(json, S("signatures"))))
		return err_new(a, ERR_BAD_JSON, "Event has no valid signatures");
	TRY(check_event_id(a, rv, json));
	TRY(check_room_id(a, rv, json));
	TRY(check_refs(a, rv, json, S("prev_events"), EVENT_MAX_PREV));
	return check_refs(a, rv, json, S("auth_events"), EVENT_MAX_AUTH);
}

/* Where a member stands in the text: from the quote of its key to the end of its value. */
struct span {
	size_t at, n;
};
/* An event's canonical text and the tree of it. */
struct text {
	str bytes;
	struct json *tree;
	struct span hashes, signatures;
};

static void note(struct text *t, str key, struct span span)
{
	if (str_eq(key, S("hashes")))
		t->hashes = span;
	else if (str_eq(key, S("signatures")))
		t->signatures = span;
}

/* Has the text been canonical when it came? Then its values stand in the canonical text as they stood there. */
static bool is_as_it_came(struct text *t, const struct json *tree)
{
	const str s = t->bytes;
	size_t at = 1;

	JSON_EACH (tree, m) {
		const size_t n = m->key.n + 3 + m->value->raw.n;

		/* The comma or brace behind it counts, too. */
		if (str_is_none(m->value->raw) || s.n - at < n + 1 || memcmp(s.p + at + 1, m->key.p, m->key.n) != 0 ||
		    s.p[at + 1 + m->key.n] != '"' ||
		    memcmp(s.p + at + m->key.n + 3, m->value->raw.p, m->value->raw.n) != 0)
			return false;
		note(t, m->key, (struct span){ at, n });
		at += n + 1;
	}
	return at == s.n;
}

static err *read_canonical(struct arena *a, str bytes, struct json *came, struct text *out)
{
	struct text t = { .bytes = bytes, .tree = came };

	if (is_as_it_came(&t, came)) {
		came->raw = bytes;
		*out = t;
		return NULL;
	}
	TRY(json_parse(a, bytes, &json_limits_event, &t.tree));
	JSON_EACH (t.tree, m) {
		const size_t value = (size_t)(m->value->raw.p - bytes.p), key = m->key.n + 3;

		note(&t, m->key, (struct span){ value - key, key + m->value->raw.n });
	}
	*out = t;
	return NULL;
}

/* The text without hashes and signatures. Neither is the first member, so that the comma before each goes with it. */
static str text_hashed(struct arena *a, const struct text *t)
{
	const size_t first = t->hashes.at - 1, second = t->signatures.at - 1;

	return arena_join3(a, str_head(t->bytes, first),
			   str_head(str_from(t->bytes, first + 1 + t->hashes.n), second - first - 1 - t->hashes.n),
			   str_from(t->bytes, second + 1 + t->signatures.n));
}

/* "The content hash in the hashes property of the received event is base64-decoded, and the two are compared for
 * equality." */
static bool hash_fits(struct arena *a, const struct text *t)
{
	const str claimed = json_get_str(json_get(t->tree, S("hashes")), S("sha256"));
	uint8_t hash[32];

	sha256(text_hashed(a, t), hash);
	return claimed.n <= 44 && str_eq(b64_decode(a, claimed), (str){ (const char *)hash, sizeof(hash) });
}

err *event_parse_json(struct arena *a, const struct room_version *rv, const struct json *json, struct event **out)
{
	struct json *bare;
	struct text t;
	str bytes, signed_bytes, type;
	bool fits;

	TRY(check_format(a, rv, json));
	bare = json_copy(a, json);
	json_del(bare, S("unsigned"));
	/* v6: "Servers MUST strictly enforce the JSON format specified in the appendices"; before, "MUST NOT". */
	TRY(json_canonical(a, bare, event_canon(rv), &bytes));
	/* "The complete event MUST NOT be larger than 65536 bytes [...] including any signatures, and encoded as
	 * Canonical JSON." */
	if (bytes.n > EVENT_MAX_BYTES)
		return err_new(a, ERR_TOO_LARGE, "Event is larger than 65536 bytes");
	TRY(read_canonical(a, bytes, bare, &t));
	type = json_get_str(t.tree, S("type"));
	signed_bytes = event_redacted_text(a, rv, t.tree, type, bytes.n, false);
	/* "If the hash check fails, then it is assumed that this is because we have only been given a redacted version
	 * of the event. To enforce this, the receiving server should use the redacted copy it calculated rather than
	 * the full copy it received." */
	fits = hash_fits(a, &t);
	if (!fits) {
		t.bytes = event_redacted_text(a, rv, t.tree, type, bytes.n, true);
		TRY(json_parse(a, t.bytes, &json_limits_event, &t.tree));
	}
	TRY(event_view(a, rv, t.tree, event_id_of(a, rv, json_get_str(t.tree, S("event_id")), signed_bytes), t.bytes,
		       out));
	(*out)->hash_failed = !fits;
	(*out)->signed_bytes = signed_bytes;
	return NULL;
}

err *event_parse(struct arena *a, const struct room_version *rv, str text, struct event **out)
{
	struct json *json;

	TRY(json_parse(a, text, &received_limits, &json));
	return event_parse_json(a, rv, json, out);
}
