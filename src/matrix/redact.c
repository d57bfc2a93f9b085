/*
 * The redaction algorithm: rooms/vN, "Redactions". What stays is data (room_version.c).
 *
 * It is written twice. Of trees, for events and contents that are being made. And of text, for events that are whole:
 * their tree is canonical, so that what stays is a row of slices of its bytes, copied once and in order, since members
 * and lists of what stays are both sorted. The tests hold one against the other.
 */
#include "matrix/event.h"

#include <assert.h>

#include "matrix/internal_event.h"

static const struct redact_keep *row_of(const struct room_version *rv, str type)
{
	const struct redact_keep *row = rv->redact_content;

	while (!str_is_none(row->type) && !str_eq(row->type, type))
		row++;
	return row;
}

/* --- of trees --- */

struct json *redact_content(struct arena *a, const struct room_version *rv, str type, const struct json *content)
{
	const struct redact_keep *row = row_of(rv, type);
	struct json *kept = json_new_object(a);

	/* "The content object must also be stripped of all keys, unless it is one of the following event types" */
	if (str_is_none(row->type))
		return kept;
	if (row->all)
		return json_copy(a, content);
	for (const str *key = row->keys; !str_is_none(*key); key++) {
		const struct json *value = json_get(content, *key);

		if (value)
			json_set(a, kept, *key, value);
	}
	/* "Additionally, it allows the signed key of the third_party_invite key." An object without it stays, empty. */
	const struct json *outer = str_is_none(row->nested_key) ? NULL : json_get_object(content, row->nested_key);

	if (outer) {
		const struct json *inner = json_get(outer, row->inner);
		struct json *left = json_new_object(a);

		if (inner)
			json_set(a, left, row->inner, inner);
		json_set(a, kept, row->nested_key, left);
	}
	return kept;
}

struct json *redact_event(struct arena *a, const struct room_version *rv, const struct json *event)
{
	struct json *kept = json_new_object(a);

	/* "Upon receipt of a redaction event, the server must strip off any keys not in the following list" */
	for (const str *key = rv->redact_top; !str_is_none(*key); key++) {
		const struct json *value = json_get(event, *key);

		if (!value)
			continue;
		if (str_eq(*key, S("content")))
			value = redact_content(a, rv, json_get_str(event, S("type")), value);
		json_set(a, kept, *key, value);
	}
	return kept;
}

/* --- of text --- */

static char *put(char *o, str s)
{
	memcpy(o, s.p, s.n);
	return o + s.n;
}

/* The keys of the lists need no escaping: they are the specification's words. */
static char *put_key(char *o, str key, bool *comma)
{
	if (*comma)
		*o++ = ',';
	*comma = true;
	*o++ = '"';
	o = put(o, key);
	return put(o, S("\":"));
}

static char *put_member(char *o, const struct json_member *m, bool *comma)
{
	assert(!str_is_none(m->value->raw));
	return put(put_key(o, m->key, comma), m->value->raw);
}

static bool is_listed(const str *keys, str key)
{
	for (; !str_is_none(*keys); keys++)
		if (str_eq(*keys, key))
			return true;
	return false;
}

static char *put_content(char *o, const struct redact_keep *row, const struct json *content)
{
	bool comma = false, inner_comma = false;

	if (!str_is_none(row->type) && row->all)
		return put(o, content->raw);
	*o++ = '{';
	if (!str_is_none(row->type)) {
		JSON_EACH (content, m) {
			if (is_listed(row->keys, m->key)) {
				o = put_member(o, m, &comma);
			} else if (!str_is_none(row->nested_key) && str_eq(m->key, row->nested_key) &&
				   json_is(m->value, JSON_OBJECT)) {
				o = put_key(o, m->key, &comma);
				*o++ = '{';
				JSON_EACH (m->value, inner) {
					if (str_eq(inner->key, row->inner))
						o = put_member(o, inner, &inner_comma);
				}
				*o++ = '}';
			}
		}
	}
	*o++ = '}';
	return o;
}

str event_redacted_text(struct arena *a, const struct room_version *rv, const struct json *tree, str type, size_t most,
			bool with_signatures)
{
	char *const text = arena_alloc(a, most + 1);
	const str *key = rv->redact_top;
	bool comma = false;
	char *o = text;

	*o++ = '{';
	JSON_EACH (tree, m) {
		while (!str_is_none(*key) && str_cmp(*key, m->key) < 0)
			key++;
		if (str_is_none(*key))
			break;
		if (!str_eq(*key, m->key) || (!with_signatures && str_eq(m->key, S("signatures"))))
			continue;
		if (str_eq(m->key, S("content")))
			o = put_content(put_key(o, m->key, &comma), row_of(rv, type), m->value);
		else
			o = put_member(o, m, &comma);
	}
	*o++ = '}';
	*o = '\0';
	assert((size_t)(o - text) <= most);
	return (str){ text, (size_t)(o - text) };
}

err *event_redact(struct arena *a, const struct room_version *rv, const struct event *ev, str *out_bytes)
{
	*out_bytes = event_redacted_text(a, rv, ev->json, ev->type, ev->bytes.n, true);
	return NULL;
}
