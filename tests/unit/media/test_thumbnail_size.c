/* test_thumbnail_size.c - which thumbnail is made for a wish. */
#include "media/thumbnail.h"
#include "test.h"

static const struct thumbnail_size usual[] = {
	{ 32, 32, true }, { 96, 96, true }, { 320, 240, false }, { 640, 480, false }, { 800, 600, false },
};
static const struct thumbnails_options opt = { .sizes = usual, .n_sizes = ARRAY_LEN(usual) };

static const struct {
	struct image_want want;
	uint32_t width, height;
} unknown_images[] = {
	{ { 32, 32, .crop = true }, 32, 32 },
	{ { 1, 1, .crop = true }, 32, 32 },
	{ { 33, 33, .crop = true }, 96, 96 },
	{ { 97, 97, .crop = true }, 160, 160 },
	{ { 96, 48, .crop = true }, 96, 48 }, /* of another shape than every size */
	{ { 90, 45, .crop = true }, 96, 48 },
	{ { 45, 90, .crop = true }, 48, 96 },
	{ { 1000, 1, .crop = true }, 1024, 2 },
	{ { 32, 32 }, 320, 240 },
	{ { 320, 240 }, 320, 240 },
	{ { 240, 320 }, 640, 480 },
	{ { 800, 600 }, 800, 600 },
	{ { 600, 800 }, 600, 800 },
	{ { 1920, 1080 }, 1920, 1080 },
	{ { 1900, 1000 }, 1920, 1011 },
	{ { 5000, 4000 }, 5000, 4000 }, /* above the ladder: the image is hardly larger */
	{ { 65535, 65535 }, 65535, 65535 },
};

static void chooses_the_least_that_covers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown_images); i++) {
		const struct image_want *want = &unknown_images[i].want;
		const struct image_want got = thumbnail_choose(&opt, want, NULL),
					again = thumbnail_choose(&opt, &got, NULL);

		ok(got.width == unknown_images[i].width && got.height == unknown_images[i].height, "case %zu: %ux%u", i,
		   got.width, got.height);
		ok(got.width >= want->width && got.height >= want->height, "case %zu: smaller than wanted", i);
		ok(got.crop == want->crop, "case %zu: another method", i);
		ok(again.width == got.width && again.height == got.height, "case %zu: chosen again it is another", i);
	}
}

static void dynamic_sizes_are_the_wish(void **state)
{
	const struct thumbnails_options dynamic = { .sizes = usual, .n_sizes = ARRAY_LEN(usual), .dynamic = true };
	const struct image_want want = { 77, 33, .crop = true };
	const struct image_want got = thumbnail_choose(&dynamic, &want, NULL);

	(void)state;
	ok(got.width == 77 && got.height == 33, "%ux%u", got.width, got.height);
}

static const struct {
	struct image_seen seen;
	struct image_want want;
	uint32_t width, height;
	bool crop, animated, whole;
} known_images[] = {
	/* never larger than the image */
	{ { "image/png", 20, 10, 1 }, { 32, 32 }, 20, 10, false, false, true },
	{ { "image/png", 20, 10, 1 }, { 32, 32, .crop = true }, 20, 10, false, false, true },
	{ { "image/png", 20, 50, 1 }, { 32, 32, .crop = true }, 20, 32, true, false, false },
	{ { "image/png", 1000, 1, 1 }, { 320, 240 }, 320, 1, false, false, false },
	{ { "image/png", 10, 1000, 1 }, { 32, 32, .crop = true }, 10, 32, true, false, false },
	/* in its proportions */
	{ { "image/jpeg", 4000, 3000, 1 }, { 800, 600 }, 800, 600, false, false, false },
	{ { "image/jpeg", 3000, 4000, 1 }, { 800, 600 }, 450, 600, false, false, false },
	{ { "image/jpeg", 4000, 3000, 1 }, { 96, 96, .crop = true }, 96, 96, true, false, false },
	/* a crop that cuts nothing off is none */
	{ { "image/jpeg", 500, 500, 1 }, { 96, 96, .crop = true }, 96, 96, false, false, false },
	/* what moves, where it can */
	{ { "image/gif", 100, 100, 5 }, { 96, 96, .crop = true, .animated = true }, 96, 96, false, true, false },
	{ { "image/gif", 100, 100, 5 }, { 96, 96, .crop = true }, 96, 96, false, false, false },
	{ { "image/gif", 100, 100, 1 }, { 96, 96, .crop = true, .animated = true }, 96, 96, false, false, false },
	{ { "image/png", 100, 100, 5 }, { 96, 96, .crop = true, .animated = true }, 96, 96, false, false, false },
	{ { "image/png", 100, 100, 5 }, { 320, 240, .animated = true }, 100, 100, false, true, true },
};

static void wishes_with_one_answer_become_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known_images); i++) {
		const struct image_want got = thumbnail_choose(&opt, &known_images[i].want, &known_images[i].seen);

		ok(got.width == known_images[i].width && got.height == known_images[i].height, "case %zu: %ux%u", i,
		   got.width, got.height);
		ok(got.crop == known_images[i].crop, "case %zu: crop %d", i, got.crop);
		ok(got.animated == known_images[i].animated, "case %zu: animated %d", i, got.animated);
		ok(thumbnail_is_whole(&got, &known_images[i].seen) == known_images[i].whole, "case %zu: whole", i);
	}
}

/* Whatever is wished for: large enough, and so few that an image has them all. */
static void beyond_the_bound_there_are_few(void **state)
{
	const struct image_seen seen = { .content_type = "image/jpeg", .width = 3000, .height = 2000, .frames = 1 };
	struct image_want all[64];
	size_t n = 0;

	(void)state;
	for (uint32_t w = 1; w < 4000; w = w * 5 / 4 + 1)
		for (uint32_t h = 1; h < 4000; h = h * 5 / 4 + 1) {
			const struct image_want want = { w, h, .crop = (w + h) % 2 };
			const struct image_want exact = thumbnail_choose(&opt, &want, &seen),
						got = thumbnail_choose_of_few(&opt, &want, &seen);
			size_t i = 0;

			ok(got.width >= exact.width && got.height >= exact.height, "%ux%u becomes %ux%u", w, h,
			   got.width, got.height);
			while (i < n && (all[i].width != got.width || all[i].height != got.height))
				i++;
			assert_true(i < ARRAY_LEN(all));
			if (i == n)
				all[n++] = got;
		}
	ok(n <= ARRAY_LEN(usual) + 16, "%zu of them", n);
	/* Where the operator's sizes do, it is one of them. */
	const struct image_want got =
		thumbnail_choose_of_few(&opt, &(struct image_want){ 20, 20, .crop = true }, &seen);

	ok(got.width == 32 && got.height == 32 && got.crop, "%ux%u", got.width, got.height);
}

TEST_MAIN(cmocka_unit_test(chooses_the_least_that_covers), cmocka_unit_test(dynamic_sizes_are_the_wish),
	  cmocka_unit_test(wishes_with_one_answer_become_one), cmocka_unit_test(beyond_the_bound_there_are_few))
