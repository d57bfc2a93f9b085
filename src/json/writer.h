/*
 * writer.h - JSON written as a stream.
 *
 *     struct jw w = jw_to(&buf);
 *     jw_object(&w, NULL); jw_str(&w, "room_id", id); jw_array(&w, "list"); ... jw_end(&w); jw_end(&w);
 *
 * `key` is NULL inside arrays and for the outermost value, and needs no escaping: it is a word of ours (else jw_key).
 * Errors stick: nesting too deep, the buffer's limit. Strings must be valid UTF-8 (they are: everything that came in
 * was checked); bytes that are not become U+FFFD.
 */
#pragma once

#include "json/json.h"

struct jw {
	struct buf *out;
	uint64_t comma;     /* bit per level: a value was written there */
	uint64_t is_object; /* bit per level */
	unsigned depth;
	bool keyed; /* jw_key was called: the next value is its */
	bool failed;
};

static inline struct jw jw_to(struct buf *out) { return (struct jw){ .out = out }; }
void jw_object(struct jw *w, const char *key); /* begins */
void jw_array(struct jw *w, const char *key);  /* begins */
void jw_end(struct jw *w);                     /* ends the innermost */
void jw_str(struct jw *w, const char *key, str v);
void jw_str_or_null(struct jw *w, const char *key, str v); /* STR_NONE: null */
void jw_int(struct jw *w, const char *key, int64_t v);
void jw_bool(struct jw *w, const char *key, bool v);
void jw_null(struct jw *w, const char *key);
void jw_raw(struct jw *w, const char *key, str json_text); /* spliced as it is: must be JSON */
void jw_members(struct jw *w, str object_text); /* the members of an object's text, as they are; not the whole object */
void jw_json(struct jw *w, const char *key, const struct json *v); /* raw bytes where it has them; NULL: null */
/* The key given as text (peer's words): before any value call whose key is then NULL. */
void jw_key(struct jw *w, str key);
/* False when anything failed or the value is not finished. */
bool jw_good(const struct jw *w);
