/*
 * range.h - what a request's Range, If-Range and If-None-Match ask for: RFC 9110, "Range Requests" and "Conditional
 * Requests". Pure: whoever answers with bytes that have a length and an entity tag asks here, and answers itself.
 */
#pragma once

#include "base/arena.h"

enum range_kind {
	RANGE_WHOLE,         /* 200 and all of it: no Range, one that is not understood, or several ranges */
	RANGE_PART,          /* 206, Content-Range: range_content */
	RANGE_UNSATISFIABLE, /* 416, Content-Range: range_content */
};
struct range {
	enum range_kind kind;
	uint64_t first, n; /* bytes from `first` on; of RANGE_WHOLE 0 and the length, of RANGE_UNSATISFIABLE nothing */
};
/* `header` may be STR_NONE. Only for GET: "A server MUST ignore a Range header field received with [other methods]". */
struct range range_parse(str header, uint64_t length);
/* "bytes 0-99/1000"; of RANGE_UNSATISFIABLE an asterisk in place of the bytes; of RANGE_WHOLE STR_NONE. */
str range_content(struct arena *a, const struct range *r, uint64_t length);

/* An entity tag is given as it stands in the ETag header, quotes included. */

/* May the Range be honoured? Without If-Range, or when it is this very (strong) tag; dates are never believed. */
bool range_if_range(str header, str etag);
/* Does If-None-Match name the tag, or any ("*")? Then the answer to GET and HEAD is 304. Weak tags count. */
bool range_if_none_match(str header, str etag);
