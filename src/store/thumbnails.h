/*
 * thumbnails.h - what was made of images, hanging on the content it was made of.
 *
 * The rows of a content go with it (store_contents_forget), and with each row the reference to what was made.
 */
#pragma once

#include "store/media.h"

struct thumbnail_row {
	int64_t content; /* of the image */
	uint32_t width, height;
	bool crop, animated;
	int64_t made; /* the content that shows it; `content` itself where the image will do */
	str content_type;
	str image_type; /* the image: by its bytes, as it is shown */
	uint32_t image_width, image_height, image_frames;
	str hash; /* of what was made; read only */
	int64_t size;
};
/* Of one image; the oldest contents first. */
NODISCARD err *store_thumbnails_of(struct tx *tx, int64_t content, const struct thumbnail_row **out, size_t *out_n);
/* With `c`, one reference more to it: row->made is ignored, *out_made is its number. With NULL the image shows itself.
 * False: the image is gone, or there is such a row already; nothing was changed. */
NODISCARD err *store_thumbnail_add(struct tx *tx, const struct thumbnail_row *row, const struct store_content *c,
				   int64_t *out_made, bool *out_added);
/* All rows of those of these contents that nothing refers to. */
NODISCARD err *store_thumbnails_drop(struct tx *tx, const int64_t *contents, size_t n);
