/*
 * multipart.h - a multipart body, read piece by piece as it comes. RFC 2046, section 5.1.
 *
 * Pure: no I/O. The boundary is what the body's first line says. Parts are given out as they come, however the pieces
 * were cut; headers of a part are bounded, its bytes are for the caller to bound.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

enum {
	MULTIPART_BOUNDARY_MAX = 70, /* characters, by the RFC */
	MULTIPART_HEADERS_MAX = 16 << 10,
	MULTIPART_PARTS_MAX = 8,
};

struct multipart_ops {
	/* A part begins: number from 0, and its header lines as they stand, CRLF between. */
	err *(*begin)(void *ctx, size_t part, str headers);
	err *(*take)(void *ctx, size_t part, str bytes);
	void *ctx;
};
struct multipart {
	struct multipart_ops ops;
	enum { MULTIPART_FIRST_LINE, MULTIPART_HEADERS, MULTIPART_BODY, MULTIPART_AFTER, MULTIPART_END } state;
	size_t part;       /* the one that is being read */
	struct buf held;   /* what is not decided yet: a line, headers, the beginning of a delimiter */
	struct buf border; /* CRLF, "--", the boundary */
};
void multipart_init(struct multipart *m, const struct multipart_ops *ops);
void multipart_done(struct multipart *m);
/* ERR_BAD_JSON is none of its errors: ERR_INVALID_PARAM is what is no multipart body; else what a callback said. */
NODISCARD err *multipart_take(struct multipart *m, struct arena *a, str bytes);
/* Was the closing delimiter seen? */
bool multipart_is_whole(const struct multipart *m);
/* A header's value among a part's lines, trimmed; STR_NONE: it is not there. name: any case. */
str multipart_header(str headers, str name);
