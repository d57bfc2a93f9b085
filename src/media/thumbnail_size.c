/*
 * thumbnail_size.c - which thumbnail is made for a wish.
 *
 * "The dimensions given to the thumbnail API are the minimum size the client would prefer. Servers must never return
 * thumbnails smaller than the client's requested dimensions, unless the content being thumbnailed is smaller than the
 * dimensions." And clients ask for every size that a window can have, so a size is chosen that covers many wishes: the
 * least of the configured ones, or, above and beside them, the next step of a ladder in the wanted proportions.
 */
#include "media/thumbnail.h"

#include <assert.h>

/* For a thumbnail's longer side. */
static const uint32_t ladder[] = { 32, 64, 96, 160, 240, 320, 480, 640, 800, 1024, 1280, 1600, 1920, 2560, 3840 };

static uint32_t at_most(uint64_t n) { return (uint32_t)MIN(n, (uint64_t)UINT16_MAX); }

/* In the wanted proportions, larger by less than the half. */
static struct image_want next_step(const struct image_want *want)
{
	const uint64_t longer = MAX(want->width, want->height);
	struct image_want out = *want;

	for (size_t i = 0; i < ARRAY_LEN(ladder); i++) {
		if (ladder[i] < longer)
			continue;
		out.width = at_most((want->width * (uint64_t)ladder[i] + longer - 1) / longer);
		out.height = at_most((want->height * (uint64_t)ladder[i] + longer - 1) / longer);
		break;
	}
	return out;
}

/* Does it do for the wish: large enough, and of its shape where it is a crop? */
static bool covers(const struct thumbnail_size *size, const struct image_want *want)
{
	return size->crop == want->crop && size->width >= want->width && size->height >= want->height &&
	       (!size->crop || (uint64_t)size->width * want->height == (uint64_t)size->height * want->width);
}

/* The least of the configured sizes that does; NULL where none does. */
static const struct thumbnail_size *configured(const struct thumbnails_options *opt, const struct image_want *want)
{
	const struct thumbnail_size *best = NULL;

	for (size_t i = 0; i < opt->n_sizes; i++) {
		const struct thumbnail_size *s = &opt->sizes[i];

		if (covers(s, want) && (!best || (uint64_t)s->width * s->height < (uint64_t)best->width * best->height))
			best = s;
	}
	return best;
}

static struct image_want by_sizes(const struct thumbnails_options *opt, const struct image_want *want)
{
	const struct thumbnail_size *best = opt->dynamic ? NULL : configured(opt, want);
	struct image_want out = *want;

	if (!best)
		return opt->dynamic ? out : next_step(want);
	out.width = best->width;
	out.height = best->height;
	return out;
}

/* The size that it will have. */
static struct image_want of_image(struct image_want out, const struct image_seen *seen)
{
	struct image_want fit;
	uint32_t width, height;

	imager_size(seen, &out, &width, &height);
	out.width = width;
	out.height = height;
	fit = (struct image_want){ .width = width, .height = height };
	imager_size(seen, &fit, &width, &height);
	out.crop = out.crop && (width != out.width || height != out.height);
	/* An APNG moves as it is, and not otherwise: libvips shows its first picture. */
	out.animated = out.animated && seen->frames > 1 &&
		       (!str_eq(str_c(seen->content_type), S("image/png")) || thumbnail_is_whole(&out, seen));
	return out;
}

struct image_want thumbnail_choose(const struct thumbnails_options *opt, const struct image_want *want,
				   const struct image_seen *seen)
{
	const struct image_want out = by_sizes(opt, want);

	return seen ? of_image(out, seen) : out;
}

struct image_want thumbnail_choose_of_few(const struct thumbnails_options *opt, const struct image_want *want,
					  const struct image_seen *seen)
{
	const struct thumbnail_size *size = configured(opt, want);
	const struct image_want least = thumbnail_choose(opt, want, seen);

	if (size)
		return of_image((struct image_want){ size->width, size->height, size->crop, want->animated }, seen);
	for (size_t i = 0; i < ARRAY_LEN(ladder); i++) {
		const struct image_want out =
			of_image((struct image_want){ ladder[i], ladder[i], .animated = want->animated }, seen);

		if (out.width >= least.width && out.height >= least.height)
			return out;
	}
	return of_image((struct image_want){ at_most(seen->width), at_most(seen->height), .animated = want->animated },
			seen);
}

bool thumbnail_is_whole(const struct image_want *chosen, const struct image_seen *seen)
{
	return !chosen->crop && chosen->width == seen->width && chosen->height == seen->height;
}
