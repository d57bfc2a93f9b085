/*
 * thumbnail.h - thumbnails of items, made once. Client-Server API, "Thumbnails".
 *
 * A thumbnail is made when it is first asked for, by threads of the service's own, each for a worker of the imager; who
 * asks waits without a thread. It is kept as a content like any other, and goes with the image. Of one image only so
 * many are made of any shape; beyond them one of few sizes, so that no one's wishes are the end of another's. What
 * could not be made is not tried again for a while.
 */
#pragma once

#include "media/imager.h"
#include "media/media.h"

struct thumbnails;

struct thumbnail_size {
	uint32_t width, height;
	bool crop;
};
struct thumbnails_options { /* borrowed for the life of the service */
	struct media *media;
	struct imager *imager;
	const struct thumbnail_size *sizes; /* that are made; what none of them covers is made larger */
	size_t n_sizes;
	bool dynamic;           /* those that are asked for are made instead */
	unsigned threads;       /* 0: 2 */
	unsigned idle_ms;       /* without work until the imager rests; 0: 5 minutes */
	unsigned max_per_image; /* of any shape; then one of few sizes is made. 0: 24 */
};
struct thumbnails *thumbnails_new(const struct thumbnails_options *opt);
/* What is being made is given up. */
void thumbnails_free(struct thumbnails **t);

/*
 * The thumbnail of an item that media_find gave: *out is to be opened and answered as an item of its own; its name is
 * "thumbnail.png" or the like. With *out_waits it is being made: req_park on *wait, and ask again. ERR_UNKNOWN: none
 * can be made of it; ERR_TOO_LARGE; ERR_BUSY: too many are waited for. `asker` is a user's number; 0: nobody's.
 */
NODISCARD err *media_thumbnail(struct thumbnails *t, struct arena *a, const struct media_item *item, int64_t asker,
			       const struct image_want *want, struct media_wait *wait, bool *out_waits,
			       struct media_item *out);

/*
 * Which size is made for a wish (thumbnail_size.c). With what the image is, where that is known, it is the size that
 * the thumbnail will have, never larger than the image; `crop` only where something is cut off, `animated` only where
 * it moves: so wishes that have the same answer become the same.
 */
struct image_want thumbnail_choose(const struct thumbnails_options *opt, const struct image_want *want,
				   const struct image_seen *seen);
/*
 * Which size is made when there are many of the image already: one of few, the same for everybody. The configured one
 * that does for the wish, else all of the image, and no smaller than what the wish would have got.
 */
struct image_want thumbnail_choose_of_few(const struct thumbnails_options *opt, const struct image_want *want,
					  const struct image_seen *seen);
/* Is it the whole image, as large as it is? */
bool thumbnail_is_whole(const struct image_want *chosen, const struct image_seen *seen);
