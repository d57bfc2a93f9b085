/*
 * fuzz.h - one surface against any bytes: libFuzzer calls the function with inputs of its own making, replay.c with
 * those of the corpus. A target that wants more than bytes takes its decisions from them through a `feed`, which gives
 * zeros at its end, so that every input means something and shorter ones mean less.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
	const uint8_t *p;
	size_t n;
};

static inline struct feed feed_of(const uint8_t *data, size_t size) { return (struct feed){ data, size }; }
static inline uint8_t feed_byte(struct feed *f)
{
	if (f->n == 0)
		return 0;
	f->n--;
	return *f->p++;
}
/* 0 to n - 1; n at most 256. */
static inline unsigned feed_below(struct feed *f, size_t n) { return feed_byte(f) % (unsigned)n; }
/* Once in n times; never at the end of the bytes. */
static inline bool feed_once_in(struct feed *f, unsigned n) { return f->n > 0 && feed_below(f, n) == 1; }
/* The text up to the next line feed, without it. */
static inline str feed_line(struct feed *f)
{
	const str all = { f->n ? (const char *)f->p : "", f->n };
	const size_t n = str_find(all, '\n'), used = n < all.n ? n + 1 : n;

	f->p += used;
	f->n -= used;
	return str_head(all, n);
}
/* What is left. */
static inline str feed_rest(struct feed *f) { return (str){ f->n ? (const char *)f->p : "", f->n }; }
