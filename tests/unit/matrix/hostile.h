/*
 * hostile.h - the rows of tests/vectors/hostile/ as texts and events: what several tests share.
 *
 * Large and unprintable things are spelled out by the macros of the rows: <<x*n>> is x n times (a # in it is the number
 * of the turn),
 * <<hex:..>> are bytes, <<pad>> fills the event to its size.
 */
#pragma once

#include "base/b64.h"
#include "json/json.h"
#include "matrix/event.h"

/* Is a version (by its number) among "1-5", "6-12", "11"? */
static inline bool hostile_is_for(str versions, unsigned number)
{
	int64_t from, to;
	str rest = versions, piece;

	str_split_next(&rest, '-', &piece);
	if (!str_to_i64(piece, &from))
		return false;
	to = from;
	if (!str_is_none(rest) && !str_to_i64(rest, &to))
		return false;
	return number >= from && number <= to;
}

static inline void hostile_repeat(struct buf *b, str unit, int64_t n)
{
	if (unit.n == 1 && n > 0) {
		char *to = buf_reserve(b, (size_t)n);

		if (to)
			memset(to, unit.p[0], (size_t)n);
		buf_commit(b, to ? (size_t)n : 0);
		return;
	}
	for (int64_t i = 0; i < n; i++) {
		str rest = unit, piece;

		while (str_split_next(&rest, '#', &piece)) {
			buf_add(b, piece);
			if (!str_is_none(rest))
				buf_i64(b, i);
		}
	}
}

static inline str hostile_expand(struct arena *a, str text, size_t pad)
{
	AUTO_BUF b = BUF_INIT(16 << 20);

	while (text.n > 0) {
		size_t open = 0, close;

		while (open + 1 < text.n && !(text.p[open] == '<' && text.p[open + 1] == '<'))
			open++;
		if (open + 1 >= text.n) {
			buf_add(&b, text);
			break;
		}
		buf_add(&b, str_head(text, open));
		text = str_from(text, open + 2);
		for (close = 0; close + 1 < text.n && !(text.p[close] == '>' && text.p[close + 1] == '>');)
			close++;
		const str macro = str_head(text, close);
		const size_t star = str_rfind(macro, '*');
		int64_t n;

		text = str_from(text, close + 2);
		if (str_eq(macro, S("pad")))
			hostile_repeat(&b, S("a"), (int64_t)pad);
		else if (str_starts(macro, S("hex:")))
			buf_add(&b, hex_decode(a, str_from(macro, 4)));
		else if (star < macro.n && str_to_i64(str_from(macro, star + 1), &n))
			hostile_repeat(&b, str_head(macro, star), n);
	}
	return arena_keep(a, buf_str(&b));
}

/* What a row changes, as members of a good message. Ids are of the form that the version has. */
struct hostile_base {
	const struct room_version *rv;
	const struct signer *by;
	str room_id, sender, event_id;
	str prev, auth; /* as JSON texts */
};

/* One reference to an event of this id. */
static inline str hostile_ref(struct arena *a, const struct room_version *rv, str id)
{
	if (rv->event_format == EVENT_FORMAT_NAMED)
		return arena_printf(a, "[\"%.*s\",{\"sha256\":\"AAAA\"}]", STR_ARG(id));
	return arena_printf(a, "\"%.*s\"", STR_ARG(id));
}

static inline str hostile_refs(struct arena *a, const struct room_version *rv, int64_t n)
{
	AUTO_BUF b = BUF_INIT(16 << 20);

	buf_byte(&b, '[');
	for (int64_t i = 0; i < n; i++) {
		const str id = rv->event_format == EVENT_FORMAT_NAMED ? arena_printf(a, "$p%" PRId64 ":domain", i)
								      : arena_printf(a, "$%043" PRId64, i);

		if (i > 0)
			buf_byte(&b, ',');
		buf_add(&b, hostile_ref(a, rv, id));
	}
	buf_byte(&b, ']');
	return arena_keep(a, buf_str(&b));
}

static inline bool hostile_drops(const struct json *row, str name)
{
	const struct json *drop = json_get_array(row, S("drop"));

	JSON_ITEMS (drop, i)
		if (str_eq(json_str(drop->array.items[i]), name))
			return true;
	return false;
}

static inline void hostile_member(struct buf *b, str name, str text)
{
	if (b->n > 1)
		buf_byte(b, ',');
	buf_printf(b, "\"%.*s\":", STR_ARG(name));
	buf_add(b, text);
}

/* The text with these hashes and signatures (STR_NONE: without). */
static inline str hostile_text_with(struct arena *a, const struct hostile_base *base, const struct json *row,
				    size_t pad, str hashes, str signatures)
{
	const struct json *put = json_get_object(row, S("put")), *refs = json_get_object(row, S("refs"));
	const str append = json_get_str(row, S("append"));
	const bool pads = json_get(row, S("pad")) != NULL;
	const struct {
		str name, text;
	} usual[] = {
		{ S("auth_events"), base->auth },
		{ S("content"), pads ? S("{\"body\":\"<<pad>>\"}") : S("{\"body\":\"x\"}") },
		{ S("depth"), S("5") },
		{ S("event_id"), base->rv->event_format == EVENT_FORMAT_NAMED
					 ? arena_printf(a, "\"%.*s\"", STR_ARG(base->event_id))
					 : STR_NONE },
		{ S("hashes"), hashes },
		{ S("origin_server_ts"), S("1000") },
		{ S("prev_events"), base->prev },
		{ S("room_id"), arena_printf(a, "\"%.*s\"", STR_ARG(base->room_id)) },
		{ S("sender"), arena_printf(a, "\"%.*s\"", STR_ARG(base->sender)) },
		{ S("signatures"), signatures },
		{ S("type"), S("\"m.room.message\"") },
	};
	AUTO_BUF b = BUF_INIT(64 << 20);

	buf_byte(&b, '{');
	for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
		int64_t n;

		if (json_get(put, usual[i].name) || hostile_drops(row, usual[i].name) || str_is_none(usual[i].text))
			continue;
		if (json_get_int(refs, usual[i].name, &n))
			hostile_member(&b, usual[i].name, hostile_refs(a, base->rv, n));
		else
			hostile_member(&b, usual[i].name, hostile_expand(a, usual[i].text, pad));
	}
	JSON_EACH (put, m)
		hostile_member(&b, m->key, hostile_expand(a, json_str(m->value), pad));
	if (!str_is_none(append)) {
		buf_byte(&b, ',');
		buf_add(&b, hostile_expand(a, append, pad));
	}
	buf_byte(&b, '}');
	return arena_keep(a, buf_str(&b));
}

static inline const struct json *hostile_read(struct arena *a, str text)
{
	static const struct json_limits limits = { .max_bytes = 64 << 20, .max_depth = 1000, .max_values = 4 << 20 };
	struct json *j;

	return json_parse(a, text, &limits, &j) == NULL && json_is(j, JSON_OBJECT) ? j : NULL;
}

/* As good as it can be made: hashed and signed where it can be read at all. */
static inline str hostile_sealed(struct arena *a, const struct hostile_base *base, const struct json *row, size_t pad)
{
	str hashes = S("{\"sha256\":\"AAAA\"}"), signatures = S("{}"), covered;
	const str bare = hostile_text_with(a, base, row, pad, STR_NONE, STR_NONE);
	const struct json *j = bare.n < 1 << 20 ? hostile_read(a, bare) : NULL; /* nobody reads that far */
	uint8_t hash[32], signature[64];

	if (j && event_content_hash(a, j, hash) == NULL)
		hashes = arena_printf(a, "{\"sha256\":\"%.*s\"}",
				      STR_ARG(b64_encode(a, (str){ (const char *)hash, sizeof(hash) })));
	j = j ? hostile_read(a, hostile_text_with(a, base, row, pad, hashes, STR_NONE)) : NULL;
	if (j && json_get_object(j, S("content")) && !sign_bytes(a, redact_event(a, base->rv, j), &covered)) {
		ed25519_sign(base->by->key, covered, signature);
		signatures = arena_printf(a, "{\"%.*s\":{\"%.*s\":\"%.*s\"}}", STR_ARG(base->by->server_name),
					  STR_ARG(base->by->key_id),
					  STR_ARG(b64_encode(a, (str){ (const char *)signature, sizeof(signature) })));
	}
	return hostile_text_with(a, base, row, pad, hashes, signatures);
}

/* The row's event as another server sends it. */
static inline str hostile_text(struct arena *a, const struct hostile_base *base, const struct json *row)
{
	const str whole = json_get_str(row, S("text"));
	int64_t size;
	str text, bytes;

	if (!str_is_none(whole))
		return hostile_expand(a, whole, 0);
	text = hostile_sealed(a, base, row, 0);
	if (!json_get_int(row, S("pad"), &size))
		return text;
	if (json_canonical(a, hostile_read(a, text), JSON_CANON_LOOSE, &bytes))
		return STR_NONE;
	return hostile_sealed(a, base, row, (size_t)size - bytes.n);
}
