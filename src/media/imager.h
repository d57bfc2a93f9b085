/*
 * imager.h - thumbnails of images that strangers sent.
 *
 * Decoders of images are written for speed, and what is sent to them is written to break them. So no image is decoded
 * in this process: a child of it, without files, network or privileges, does that, under limits of memory, pixels and
 * time; when it goes wrong, that child is gone and the answer is an error (docs/internals/imager.md). What is decoded
 * here is only the outline of the file (image_head.h).
 *
 * Errors, of both functions: ERR_UNKNOWN, "the server cannot thumbnail the content" (specification, content repository:
 * 400), ERR_TOO_LARGE for more pixels than are allowed (413), ERR_BUSY when no child is free for too long (503). Their
 * `detail` says whether it is worth to try again.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "media/image_head.h"

struct imager;

struct imager_options {
	const struct log *log;
	const char *program; /* executed as `program IMAGER_COMMAND`; NULL: this program itself */
	unsigned children;   /* at once; 0: 2 */
	int64_t max_pixels;  /* of one image; 0: 32 million */
	uint32_t max_frames; /* of one that moves: with more it stands still; 0: 256 */
	unsigned time_ms;    /* of CPU for one image; 0: 10 s. At most twice as much on the clock */
	unsigned wait_ms;    /* for a free child; 0: 20 s */
	int64_t max_bytes;   /* of an image's file; 0: 256 MiB */
};
/* Starts nothing: the child comes with the first image. */
struct imager *imager_new(const struct imager_options *opt);
/* What is being decoded is given up, and nothing is any more. */
void imager_stop(struct imager *im);
void imager_free(struct imager **im);
/* The child goes, unless it is at work, until there is another image. */
void imager_rest(struct imager *im);

/* err.detail */
enum imager_failure {
	IMAGER_BAD_IMAGE = 1, /* no image, too large, damaged: it stays so */
	IMAGER_TOO_HARD,      /* killed at a limit, or died: it would be so again, though perhaps not for ever */
	IMAGER_NOT_NOW, /* nothing was tried: no child free, libvips not installed, the machine out of something */
};

/* As it is shown: turned as its orientation says. */
struct image_seen {
	const char *content_type; /* static */
	uint32_t width, height, frames;
	bool bare; /* image_head.h */
};
struct image_want {
	uint32_t width, height; /* 1 to 65,535 */
	bool crop;              /* fill the whole of it and cut off what is beyond; else fit into it */
	bool animated;          /* the moving image where it moves, and is not too much */
};
struct image_made {
	const char *content_type; /* static: image/jpeg, image/png; image/webp where it moves */
	uint32_t width, height;
	str bytes; /* in the arena */
};

/* What is it? In this process, without libvips. `fd` is readable and its position does not matter. */
NODISCARD err *imager_probe(struct imager *im, struct arena *a, int fd, struct image_seen *out);
/*
 * Makes the thumbnail, at most as large as the image: only its pixels, in sRGB, turned as its orientation says. What
 * the child wrote is taken over and then checked to be just that, so that it cannot change any more. Blocks for as long
 * as it takes; no lock may be held.
 */
NODISCARD err *imager_thumbnail(struct imager *im, struct arena *a, int in_fd, const struct image_want *want,
				struct image_made *out);

/* The size that such a thumbnail of such an image has. */
void imager_size(const struct image_seen *seen, const struct image_want *want, uint32_t *out_width,
		 uint32_t *out_height);

/*
 * The child's program: when this is its command, main() calls nothing but this, and ends with its result.
 */
#define IMAGER_COMMAND "image-worker"
int imager_child_main(void);
