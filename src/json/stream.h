/*
 * stream.h - one large object, read as it comes.
 *
 * Only what is asked for is held in memory: the elements of some of the object's arrays, one by one, and some of its
 * other members. Each is given out as bytes, for json_parse to judge; of what is skipped only strings and the number of
 * open brackets are looked at.
 */
#pragma once

#include "base/err.h"

struct json_take {
	str key;    /* of the object; compared as written, so not with escapes */
	bool each;  /* the member is an array, whose elements are wanted one by one */
	size_t max; /* bytes of an element, or of the value: ERR_TOO_LARGE */
};
/* which: the index of the take. value: valid during the call. An error ends the reading. */
typedef err *json_take_fn(void *ctx, size_t which, str value);

struct json_stream;
/* takes and ctx are borrowed. */
struct json_stream *json_stream_new(const struct json_take *takes, size_t n, json_take_fn *fn, void *ctx);
/* The object is the second of a pair, [200, {...}], as version 1 of some endpoints gives it. Before anything is fed. */
void json_stream_in_pair(struct json_stream *s);
void json_stream_free(struct json_stream **s);
/* The next bytes. ERR_NOT_JSON, ERR_BAD_JSON (no object; a member that is to be an array is none), ERR_TOO_LARGE, or
 * what the function gave; in arena a. After an error nothing more may be fed. */
NODISCARD err *json_stream_feed(struct json_stream *s, struct arena *a, str bytes);
/* There are no more: ERR_NOT_JSON unless the object has ended. */
NODISCARD err *json_stream_end(struct json_stream *s, struct arena *a);
