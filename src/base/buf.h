/*
 * buf.h - a growing byte buffer with a limit fixed at creation.
 *
 * Errors are sticky: a write past the limit sets `overflow` and is dropped, so a writer writes ten fields and checks
 * once.
 */
#pragma once

#include "base/arena.h"

struct buf {
	char *p;
	size_t n, cap, max;
	bool overflow;
};

/* clang-format off */
#define BUF_INIT(limit) { .max = (limit) }
/* clang-format on */
void buf_done(struct buf *b); /* frees the bytes; the buffer can be used again */
#define AUTO_BUF CLEANUP(buf_done) struct buf

void buf_reset(struct buf *b); /* n = 0, overflow = false, memory kept */
void buf_add(struct buf *b, str s);
void buf_byte(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_i64(struct buf *b, int64_t v); /* decimal */
/* Room for n more bytes at the end, or NULL past the limit (overflow is set then); buf_commit counts those written. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
static inline str buf_str(const struct buf *b) { return (str){ b->p ? b->p : "", b->n }; } /* until the next write */
/* Hands the bytes over (mem_free((void *)s.p)); the buffer is empty afterwards. */
str buf_take(struct buf *b);
