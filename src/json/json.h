/*
 * json.h - JSON as a tree in an arena that keeps the bytes of every value.
 *
 * The parser is strict (RFC 8259, strict UTF-8, limits on depth, size and members). A number is an integer where its
 * text is one (no fraction, no exponent) and fits 64 bits; every other number stays JSON_NUMBER with its text: what it
 * means is its owner's decision (canonical JSON refuses it from room version 6 on). Escaped lone surrogates ("\ud800")
 * make the text invalid. Duplicate keys: the last one wins in look-ups, and `dup` is set on the object, so that the
 * owner can refuse it.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_NUMBER, JSON_STR, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_kind kind;
	bool dup;     /* JSON_OBJECT: a key stands twice */
	uint8_t room; /* private: 0, or members and items have room for 1 << room */
	str raw;      /* the value's own bytes, in the text that was parsed (borrowed from it); JSON_NUMBER: its text */
	union {
		bool b;
		int64_t i;
		str s; /* unescaped */
		struct {
			struct json **items;
			size_t n;
		} array;
		struct {
			struct json_member *members;
			size_t n;
			struct json_index *index;
		} object;
	};
};
struct json_member {
	str key;
	struct json *value;
};

struct json_limits {
	size_t max_bytes;
	unsigned max_depth;
	size_t max_values; /* values in the whole text */
};
extern const struct json_limits json_limits_request; /* 16 MiB, 64 deep, 65,536 values (some 100 bytes each) */
extern const struct json_limits json_limits_event;   /* 64 KiB, 1000 deep: any event, also one of other servers */

/* Parses one value that fills the whole text (white space around it aside). ERR_NOT_JSON when it is none, ERR_TOO_LARGE
 * beyond a limit. `text` must live as long as the tree. "-0" is the integer 0. */
NODISCARD err *json_parse(struct arena *a, str text, const struct json_limits *limits, struct json **out);

/* Look-ups accept NULL and values that are no object (then: absent), so that they chain. */
const struct json *json_get(const struct json *object, str key);        /* NULL: absent */
str json_get_str(const struct json *object, str key);                   /* STR_NONE: absent or no string */
bool json_get_int(const struct json *object, str key, int64_t *out);    /* false: absent or no integer */
bool json_get_bool(const struct json *object, str key, bool otherwise); /* absent or no bool: otherwise */
const struct json *json_get_object(const struct json *object, str key); /* NULL: absent or no object */
const struct json *json_get_array(const struct json *object, str key);  /* NULL: absent or no array */
bool json_lists(const struct json *array, str text);                    /* is the string among its items? */
static inline bool json_is(const struct json *j, enum json_kind kind) { return j && j->kind == kind; }
static inline str json_str(const struct json *j) { return json_is(j, JSON_STR) ? j->s : STR_NONE; }

/* JSON_EACH(object, m) m->key, m->value;   JSON_ITEMS(array, i) array->array.items[i] */
#define JSON_EACH(obj, m)                                                                                              \
	for (const struct json_member *m = json_is((obj), JSON_OBJECT) ? (obj)->object.members : NULL,                 \
				      *m##_end_ = m ? m + (obj)->object.n : NULL;                                      \
	     m != m##_end_; m++)
#define JSON_ITEMS(arr, i) for (size_t i = 0, i##_n_ = json_is((arr), JSON_ARRAY) ? (arr)->array.n : 0; i < i##_n_; i++)

/*
 * Building and changing trees (for events we make). A changed value has no raw bytes (raw is STR_NONE), so that writers
 * write its members. A value does not know what contains it: to change something inside a parsed value, json_copy it,
 * change the copy and json_set that in a copy of what is around it. Changing an object that has duplicate keys first
 * drops all but the last of each. Only objects from json_new_object, json_copy or a parse's root may be changed.
 */
struct json *json_new_object(struct arena *a);
struct json *json_new_array(struct arena *a);
struct json *json_new_str(struct arena *a, str s); /* borrows s */
struct json *json_new_int(struct arena *a, int64_t i);
struct json *json_new_bool(struct arena *a, bool b);
struct json *json_new_null(struct arena *a);
void json_set(struct arena *a, struct json *object, str key, const struct json *value); /* adds or replaces; borrows */
void json_del(struct json *object, str key);                                            /* fine when it is absent */
void json_append(struct arena *a, struct json *array, const struct json *value);
/* A shallow copy of an object: its members can be set and deleted without touching the original. */
struct json *json_copy(struct arena *a, const struct json *object);
/* Same value: objects in any order of keys, numbers by value for integers and by text otherwise. */
bool json_equal(const struct json *a, const struct json *b);

/*
 * Canonical JSON (appendix "Canonical JSON"): keys sorted by code point, shortest form, UTF-8 unescaped but for what
 * must be. What is no integer in [-(2^53)+1, (2^53)-1], and duplicate keys:
 */
enum json_canon {
	/* Numbers are written as they came (but 1e10 as 10000000000), and of duplicate keys the last. */
	JSON_CANON_LOOSE,
	/* ERR_BAD_JSON: events from room version 6 on. */
	JSON_CANON_STRICT,
	/* Integers of any size as they came; a number with a fraction or an exponent as the double nearest to it, in
	 * the shortest digits that read back as the same: 1e10 is 10000000000.0. It is what the servers of room
	 * versions 1 to 5 hash and sign. ERR_BAD_JSON for what no finite double holds. Duplicate keys: the last. */
	JSON_CANON_DOUBLES,
};
NODISCARD err *json_canonical(struct arena *a, const struct json *value, enum json_canon mode, str *out);
