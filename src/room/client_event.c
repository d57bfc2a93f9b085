#include "room/client_event.h"

#include "base/clock.h"
#include "base/map.h"
#include "json/json.h"
#include "matrix/filter.h"
#include "store/events.h"

#include <assert.h>

static bool is_escaped(const char *quote)
{
	const char *p = quote;

	while (p[-1] == '\\') /* the string's opening quote stands before all of them */
		p--;
	return (quote - p) % 2 == 1;
}

/* The byte after a string whose opening quote is at p. Most bytes of an event are within strings: they are not looked
 * at one by one, for lists of members and states read hundreds of events. */
static const char *skip_string(const char *p, const char *end)
{
	const char *quote = p;

	do {
		quote = memchr(quote + 1, '"', (size_t)(end - quote) - 1);
	} while (quote && is_escaped(quote));
	return quote ? quote + 1 : end;
}

/* The byte after a value. Brackets are counted, not matched: the text is known to be JSON. */
static const char *skip_value(const char *p, const char *end)
{
	int depth = 0;

	if (*p == '"')
		return skip_string(p, end);
	if (*p != '{' && *p != '[') {
		while (p < end && *p != ',' && *p != '}' && *p != ']')
			p++;
		return p;
	}
	do {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
		p++;
	} while (depth > 0 && p < end);
	return p;
}

void event_parts_of(str json, struct event_parts *out)
{
	const char *p = json.p + 1, *const end = json.p + json.n;

	assert(json.n >= 2 && json.p[0] == '{' && end[-1] == '}');
	*out = (struct event_parts){ 0 };
	while (p < end && *p == '"') {
		const char *const key_end = skip_string(p, end), *const value = key_end + 1;
		const str key = { p + 1, (size_t)(key_end - p) - 2 };
		str text;

		p = skip_value(value, end);
		text = (str){ value, (size_t)(p - value) };
		if (str_eq(key, S("content")))
			out->content = text;
		else if (str_eq(key, S("origin_server_ts")))
			out->origin_server_ts = text;
		else if (str_eq(key, S("redacts")))
			out->redacts = text;
		else if (str_eq(key, S("room_id")))
			out->room_id = text;
		else if (str_eq(key, S("sender")))
			out->sender = text;
		else if (str_eq(key, S("state_key")))
			out->state_key = text;
		else if (str_eq(key, S("type")))
			out->type = text;
		if (p < end && *p == ',')
			p++;
	}
	assert(p == end - 1);
}

err *event_content_of(struct arena *a, const struct event_row *row, struct json **out)
{
	struct event_parts parts;

	event_parts_of(row->json, &parts);
	return json_parse(a, parts.content, &json_limits_event, out);
}

static err *wanted_rows(struct tx *tx, struct arena *a, const struct event_row *const *rows, size_t n,
			struct event_row ***out, size_t *out_n)
{
	VEC(int64_t) nids = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (rows[i]->replaces)
			vec_push(a, &nids, rows[i]->replaces);
		if (rows[i]->redacted_by)
			vec_push(a, &nids, rows[i]->redacted_by);
	}
	*out_n = 0;
	return nids.n ? store_events_by_nids(tx, nids.p, nids.n, out, out_n) : NULL;
}

static const struct event_row *row_of(const struct map *by_nid, int64_t nid)
{
	return nid ? map_get_i(by_nid, nid) : NULL;
}

err *client_events_load(struct tx *tx, struct arena *a, const struct event_row *const *rows, size_t n,
			struct client_extras *out)
{
	struct event_row **found;
	struct map by_nid;
	size_t n_found;

	out->p = ARENA_ARRAY(a, struct client_extra, n);
	TRY(wanted_rows(tx, a, rows, n, &found, &n_found));
	map_init(&by_nid, a);
	for (size_t i = 0; i < n_found; i++)
		(void)map_put_i(&by_nid, found[i]->nid, found[i]);
	for (size_t i = 0; i < n; i++) {
		out->p[i].replaced = row_of(&by_nid, rows[i]->replaces);
		out->p[i].redaction = row_of(&by_nid, rows[i]->redacted_by);
	}
	return NULL;
}

static void write_unsigned(struct arena *a, struct jw *w, const struct event_row *row, str room_id,
			   const struct client_extra *extra, const struct client_view *view)
{
	struct event_parts parts;

	jw_object(w, "unsigned");
	if (view->now >= row->origin_server_ts)
		jw_int(w, "age", clock_since(view->now, row->origin_server_ts));
	if (extra && !str_is_none(extra->membership))
		jw_str(w, "membership", extra->membership);
	if (extra && extra->replaced) {
		event_parts_of(extra->replaced->json, &parts);
		jw_raw(w, "prev_content", parts.content);
		jw_raw(w, "prev_sender", parts.sender);
		jw_str(w, "replaces_state", extra->replaced->event_id);
	}
	if (extra && extra->redaction) {
		struct client_view whole = *view; /* event_fields picks from what is around it, once */

		whole.fields = NULL;
		jw_str(w, "redacted_by", extra->redaction->event_id);
		client_event_write(a, w, "redacted_because", extra->redaction, room_id, NULL, &whole);
	}
	/* "The client-supplied transaction ID [...] if the client being given the event is the same one which sent it."
	 */
	if (!str_is_none(row->txn_id) && row->sender == view->user && str_eq(row->txn_device, view->device_id))
		jw_str(w, "transaction_id", row->txn_id);
	jw_end(w);
}

static str json_of(const struct event_row *row, const struct client_extra *extra)
{
	return extra && !str_is_none(extra->instead) ? extra->instead : row->json;
}

static void raw_if(struct jw *w, const char *key, str text)
{
	if (!str_is_none(text))
		jw_raw(w, key, text);
}

/*
 * A redaction names its target at the top in room versions up to 10, in content from 11 on. "For
 * backwards-compatibility with older clients, servers should add a redacts property to the top level of
 * m.room.redaction events [...]. For improved compatibility with newer clients, servers should add a redacts property
 * to the content of m.room.redaction events in older room versions".
 */
static void write_content(struct arena *a, struct jw *w, const struct event_parts *p)
{
	struct json *content, *copy, *top;
	const struct json *target;

	if (!str_eq(p->type, S("\"m.room.redaction\"")) || json_parse(a, p->content, &json_limits_event, &content)) {
		jw_raw(w, "content", p->content);
		return;
	}
	target = json_get(content, S("redacts"));
	if (target || str_is_none(p->redacts) || json_parse(a, p->redacts, &json_limits_event, &top)) {
		jw_raw(w, "content", p->content);
	} else {
		copy = json_copy(a, content);
		json_set(a, copy, S("redacts"), top);
		jw_json(w, "content", copy);
	}
	if (!str_is_none(p->redacts))
		jw_raw(w, "redacts", p->redacts);
	else if (json_is(target, JSON_STR))
		jw_str(w, "redacts", target->s);
}

/* What clients of before r0 look for at the top. */
static void write_legacy(struct jw *w, const struct event_row *row, const struct client_extra *extra,
			 const struct client_view *view)
{
	struct event_parts parts;

	event_parts_of(row->json, &parts);
	jw_raw(w, "user_id", parts.sender);
	if (view->now >= row->origin_server_ts)
		jw_int(w, "age", clock_since(view->now, row->origin_server_ts));
	if (extra && extra->replaced) {
		event_parts_of(extra->replaced->json, &parts);
		jw_raw(w, "prev_content", parts.content);
		jw_str(w, "replaces_state", extra->replaced->event_id);
	}
}

static void write_members(struct arena *a, struct jw *w, const struct event_row *row, str room_id,
			  const struct client_extra *extra, const struct client_view *view)
{
	struct event_parts p;

	event_parts_of(json_of(row, extra), &p);
	write_content(a, w, &p);
	jw_str(w, "event_id", row->event_id);
	jw_raw(w, "origin_server_ts", p.origin_server_ts);
	if (!view->without_room_id)
		jw_str(w, "room_id", room_id);
	jw_raw(w, "sender", p.sender);
	raw_if(w, "state_key", p.state_key);
	jw_raw(w, "type", p.type);
	if (view->legacy)
		write_legacy(w, row, extra, view);
	write_unsigned(a, w, row, room_id, extra, view);
}

/* "event_format": "federation" gives the raw event as received over federation; event_id and unsigned are added all the
 * same. */
static void write_federation(struct arena *a, struct jw *w, const struct event_row *row, str room_id,
			     const struct client_extra *extra, const struct client_view *view)
{
	struct json *json;

	if (json_parse(a, json_of(row, extra), &json_limits_event, &json))
		return;
	JSON_EACH (json, m) {
		if (str_eq(m->key, S("event_id"))) /* of room versions 1 and 2, which carry it */
			continue;
		jw_key(w, m->key);
		jw_json(w, NULL, m->value);
	}
	jw_str(w, "event_id", row->event_id);
	write_unsigned(a, w, row, room_id, extra, view);
}

static void write_whole(struct arena *a, struct jw *w, const char *key, const struct event_row *row, str room_id,
			const struct client_extra *extra, const struct client_view *view)
{
	jw_object(w, key);
	if (view->federation_format)
		write_federation(a, w, row, room_id, extra, view);
	else
		write_members(a, w, row, room_id, extra, view);
	jw_end(w);
}

/* An event with all that is around it: its own limits several times. */
static const struct json_limits whole_limits = { .max_bytes = 1 << 20, .max_depth = 1100, .max_values = 4 * 65536 };

void client_event_write(struct arena *a, struct jw *w, const char *key, const struct event_row *row, str room_id,
			const struct client_extra *extra, const struct client_view *view)
{
	AUTO_BUF b = BUF_INIT(whole_limits.max_bytes);
	struct jw picked = jw_to(&b);
	struct json *json;

	if (!view->fields || !view->fields->event_fields.present) {
		write_whole(a, w, key, row, room_id, extra, view);
		return;
	}
	write_whole(a, &picked, NULL, row, room_id, extra, view);
	if (jw_good(&picked) && !json_parse(a, arena_keep(a, buf_str(&b)), &whole_limits, &json))
		jw_json(w, key, filter_fields(a, json, &view->fields->event_fields));
}

void stripped_event_write(struct jw *w, const struct event_row *row)
{
	struct event_parts p;

	event_parts_of(row->json, &p);
	jw_object(w, NULL);
	jw_raw(w, "content", p.content);
	jw_raw(w, "sender", p.sender);
	raw_if(w, "state_key", p.state_key);
	jw_raw(w, "type", p.type);
	jw_end(w);
}
