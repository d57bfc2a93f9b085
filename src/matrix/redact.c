/* The redaction algorithm: rooms/vN, "Redactions". What stays is data (room_version.c). */
#include "matrix/event.h"

struct json *redact_content(struct arena *a, const struct room_version *rv, str type, const struct json *content)
{
	struct json *kept = json_new_object(a);
	const struct redact_keep *row = rv->redact_content;

	/* "The content object must also be stripped of all keys, unless it is one of the following event types" */
	while (!str_is_none(row->type) && !str_eq(row->type, type))
		row++;
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

err *event_redact(struct arena *a, const struct room_version *rv, const struct event *ev, str *out_bytes)
{
	return json_canonical(a, redact_event(a, rv, ev->json), JSON_CANON_DOUBLES, out_bytes);
}
