/*
 * image_head.h - what kind of image a file holds, and how large it says it is: decided by its bytes, never by the type
 * that somebody claims for it.
 *
 * The file is walked block by block to its end, nothing is decoded, and no more than a small window of it is in memory.
 * Only the kinds that are thumbnailed are known; SVG, PDF and whatever else are IMAGE_NONE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_kind { IMAGE_NONE, IMAGE_JPEG, IMAGE_PNG, IMAGE_GIF, IMAGE_WEBP, IMAGE_KINDS };

struct image_head {
	enum image_kind kind;
	uint32_t width, height; /* as stored; a JPEG's orientation may turn them, see image_turned */
	uint32_t frames;      /* 1 for what does not move; an APNG's frames are told, though libvips shows the first */
	unsigned orientation; /* EXIF's 1 to 8; 1: as stored */
	bool hard; /* more scans or packed texts than any honest file has: made to be work; not `bare` either */
	/* Complete, and nothing in it but pixels: no metadata, no comments, no colour profile, no unknown blocks,
	 * nothing behind its end. So it is nothing else besides, and may be shown as it is. */
	bool bare;
};

/* Reads exactly n bytes at `at`, or gives false. Never asked for what is beyond the size given. */
typedef bool image_read(void *ctx, uint64_t at, void *p, size_t n);

/* False: no image of a known kind, or one without a readable size. Damage after the size only makes it not bare. */
bool image_head_read(image_read *read, void *ctx, uint64_t size, struct image_head *out);
/* image_read of a descriptor; `ctx` is an int *. */
bool image_read_fd(void *ctx, uint64_t at, void *p, size_t n);

/* Does its orientation exchange width and height? */
static inline bool image_turned(const struct image_head *h) { return h->orientation >= 5 && h->orientation <= 8; }
const char *image_kind_type(enum image_kind kind); /* "image/jpeg"; NULL for IMAGE_NONE */
