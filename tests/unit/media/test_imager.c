/* test_imager.c - thumbnails of good images, and what becomes of the others. */
#include "media/imager.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "image_worker.h"
#include "images.h"

/* Of the series that begins so in the metrics' text. */
static int64_t counted(const char *series)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	str rest, line;
	int64_t v;

	metrics_write(&b);
	rest = buf_str(&b);
	while (str_split_next(&rest, '\n', &line))
		if (str_starts(line, str_c(series)) && str_to_i64(str_from(line, str_rfind(line, ' ') + 1), &v))
			return v;
	return 0;
}
static const char starts[] = "hearth_image_keeper_starts_total ", died[] = "hearth_thumbnails_total{outcome=\"died\"} ";

static const char *worker_path(void)
{
	static char path[4096];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	assert_true(n > 0);
	path[n] = '\0';
	memcpy(strrchr(path, '/') + 1, "media/image_worker", sizeof("media/image_worker"));
	return path;
}

static const struct log root;
static struct imager_options options(void)
{
	log_setup(LOG_ERROR + 1, LOG_TEXT);
	return (struct imager_options){ .log = &root, .program = worker_path() };
}

/* The thumbnail's bytes; STR_NONE, and *out_error, when there is none. */
static str make(struct imager *im, struct arena *a, str image, struct image_want want, struct image_made *made,
		err **out_error)
{
	const int in = image_fd(image);
	err *e = imager_thumbnail(im, a, in, &want, made);

	close(in);
	if (out_error)
		*out_error = e;
	else
		good(e);
	return e ? STR_NONE : made->bytes;
}

static err *error_of(struct imager *im, struct arena *a, str image, struct image_want want)
{
	struct image_made made;
	err *e;

	(void)make(im, a, image, want, &made, &e);
	return e;
}

/*
 * Good images
 */
static const struct {
	const char *file;
	struct image_want want;
	const char *type;
	uint32_t width, height, frames;
} wanted[] = {
	{ "photo.jpg", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "photo.jpg", { 50, 50, .crop = true }, "image/jpeg", 50, 50, 1 },
	{ "photo.jpg", { 20, 60, .crop = true }, "image/jpeg", 20, 60, 1 },
	{ "photo.jpg", { 800, 600 }, "image/jpeg", 200, 120, 1 },
	{ "photo.jpg", { 800, 600, .crop = true }, "image/jpeg", 200, 120, 1 },
	{ "photo.jpg", { 96, 400, .crop = true }, "image/jpeg", 96, 120, 1 },
	{ "photo.jpg", { 1, 1 }, "image/jpeg", 1, 1, 1 },
	{ "progressive.jpg", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "grey.jpg", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "cmyk.jpg", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "turned.jpg", { 50, 50 }, "image/jpeg", 30, 50, 1 },
	{ "turned.jpg", { 50, 20, .crop = true }, "image/jpeg", 50, 20, 1 },
	{ "comment.jpg", { 800, 600 }, "image/jpeg", 200, 120, 1 },
	{ "opaque.png", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "grey16.png", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "palette.png", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "clear.png", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "turned.png", { 50, 50 }, "image/png", 30, 50, 1 },
	{ "profile.png", { 50, 50 }, "image/png", 50, 50, 1 },
	{ "moving.png", { 50, 50, .animated = true }, "image/png", 50, 30, 1 },
	{ "still.gif", { 50, 50, .animated = true }, "image/png", 50, 30, 1 },
	{ "moving.gif", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "moving.gif", { 50, 50, .animated = true }, "image/webp", 50, 30, 4 },
	{ "moving.gif", { 20, 30, .animated = true, .crop = true }, "image/webp", 20, 30, 4 },
	{ "moving.gif", { 64, 16, .animated = true, .crop = true }, "image/webp", 64, 16, 4 },
	{ "moving.gif", { 800, 600, .animated = true }, "image/webp", 100, 60, 4 },
	{ "photo.webp", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "lossless.webp", { 50, 50, .animated = true }, "image/jpeg", 50, 30, 1 },
	{ "clear.webp", { 50, 50 }, "image/png", 50, 30, 1 },
	{ "turned.webp", { 50, 50 }, "image/jpeg", 30, 50, 1 },
	{ "moving.webp", { 50, 50 }, "image/jpeg", 50, 30, 1 },
	{ "moving.webp", { 50, 50, .animated = true }, "image/webp", 50, 30, 4 },
};

static void makes_thumbnails_of_every_kind(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		AUTO_ARENA a = arena_new();
		const str image = image_file(a, wanted[i].file);
		struct image_made made;
		struct image_seen seen, was;
		uint32_t width, height;
		str bytes = make(im, a, image, wanted[i].want, &made, NULL);
		int fd = image_fd(bytes);

		ok(strcmp(made.content_type, wanted[i].type) == 0, "%zu %s: %s", i, wanted[i].file, made.content_type);
		ok(made.width == wanted[i].width && made.height == wanted[i].height, "%zu %s: %ux%u", i, wanted[i].file,
		   made.width, made.height);
		good(imager_probe(im, a, fd, &seen));
		ok(seen.bare && seen.frames == wanted[i].frames, "%zu %s: bare %d, %u frames", i, wanted[i].file,
		   seen.bare, seen.frames);
		close(fd);
		/* What the size is said to be beforehand. */
		fd = image_fd(image);
		good(imager_probe(im, a, fd, &was));
		imager_size(&was, &wanted[i].want, &width, &height);
		ok(width == made.width && height == made.height, "%zu %s: said to be %ux%u", i, wanted[i].file, width,
		   height);
		close(fd);
	}
	imager_free(&im);
}

/* The pixel of a PNG without interlacing, three or four bytes a pixel. */
static void png_pixel(struct arena *a, str png, uint32_t x, uint32_t y, uint8_t out[4])
{
	const uint8_t *p = (const uint8_t *)png.p;
	const size_t width = (size_t)p[18] << 8 | p[19], height = (size_t)p[22] << 8 | p[23],
		     bands = p[25] == 6 ? 4 : 3, row = width * bands + 1;
	uint8_t *raw = arena_zalloc(a, row * height + 1), *data = arena_alloc(a, png.n);
	uLongf n = row * height;
	size_t packed = 0;

	assert_true(p[24] == 8 && (p[25] == 2 || p[25] == 6) && p[28] == 0);
	for (size_t at = 8; at + 12 <= png.n;) {
		const size_t length =
			(size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];

		if (memcmp(p + at + 4, "IDAT", 4) == 0) {
			memcpy(data + packed, p + at + 8, length);
			packed += length;
		}
		at += length + 12;
	}
	assert_true(uncompress(raw, &n, data, packed) == Z_OK && n == row * height);
	for (size_t r = 0; r < height; r++)
		for (size_t i = 1; i < row; i++) {
			uint8_t *at = raw + r * row + i;
			const int left = i > bands ? at[-(ptrdiff_t)bands] : 0, up = r > 0 ? at[-(ptrdiff_t)row] : 0,
				  corner = r > 0 && i > bands ? at[-(ptrdiff_t)(row + bands)] : 0;
			const int guess = left + up - corner, dl = abs(guess - left), du = abs(guess - up),
				  dc = abs(guess - corner),
				  paeth = dl <= du && dl <= dc ? left
					  : du <= dc           ? up
							       : corner;
			const int add[] = { 0, left, up, (left + up) / 2, paeth };

			*at = (uint8_t)(*at + add[raw[r * row]]);
		}
	memcpy(out, raw + y * row + 1 + x * bands, bands);
}

static bool near(const uint8_t px[4], int r, int g, int b)
{
	return abs(px[0] - r) < 24 && abs(px[1] - g) < 24 && abs(px[2] - b) < 24;
}

/* Left half red, right half blue, lighter above: what is turned to the right is red above and light on the right. */
static void shows_pixels_as_their_file_means_them(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	struct image_made made;
	uint8_t px[4];
	str png;

	(void)state;
	png = make(im, a, image_file(a, "opaque.png"), (struct image_want){ 100, 100 }, &made, NULL);
	png_pixel(a, png, 10, 50, px);
	ok(near(px, 220, 0, 0), "below left %u %u %u", px[0], px[1], px[2]);
	png_pixel(a, png, 90, 10, px);
	ok(near(px, 90, 90, 220), "above right %u %u %u", px[0], px[1], px[2]);

	png = make(im, a, image_file(a, "opaque.png"), (struct image_want){ 40, 60, .crop = true }, &made, NULL);
	png_pixel(a, png, 2, 50, px);
	ok(near(px, 220, 0, 0), "the middle is not what a crop shows: %u %u %u", px[0], px[1], px[2]);
	png_pixel(a, png, 37, 50, px);
	ok(near(px, 0, 0, 220), "the middle is not what a crop shows: %u %u %u", px[0], px[1], px[2]);

	png = make(im, a, image_file(a, "turned.png"), (struct image_want){ 60, 100 }, &made, NULL);
	png_pixel(a, png, 10, 10, px);
	ok(near(px, 220, 0, 0), "not turned: %u %u %u", px[0], px[1], px[2]);
	png_pixel(a, png, 55, 90, px);
	ok(near(px, 90, 90, 220), "not turned: %u %u %u", px[0], px[1], px[2]);

	/* Its profile calls the red channel green. */
	png = make(im, a, image_file(a, "profile.png"), (struct image_want){ 32, 32 }, &made, NULL);
	png_pixel(a, png, 16, 16, px);
	ok(px[1] > 200 && px[0] < 100, "not in sRGB: %u %u %u", px[0], px[1], px[2]);

	png = make(im, a, image_file(a, "clear.png"), (struct image_want){ 100, 100 }, &made, NULL);
	png_pixel(a, png, 50, 50, px);
	ok(px[3] == 0, "not to be seen through");
	imager_free(&im);
}

static void takes_nothing_over_but_pixels(void **state)
{
	static const char *const images[] = { "turned.jpg", "comment.jpg", "turned.webp", "turned.png", "comment.gif" };
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		AUTO_ARENA a = arena_new();
		const str image = image_file(a, images[i]);
		struct image_made made;
		str bytes = make(im, a, image, (struct image_want){ 800, 600 }, &made, NULL);

		ok(str_contains(image, S("SECRET CAMERA")) || str_contains(image, S("alert(1)")),
		   "%s has nothing to lose", images[i]);
		ok(!str_contains(bytes, S("SECRET CAMERA")) && !str_contains(bytes, S("alert(1)")),
		   "%s keeps its words", images[i]);
	}
	imager_free(&im);
}

/*
 * Bad images
 */
static str png_of_size(struct arena *a, uint32_t width, uint32_t height)
{
	uint8_t head[13] = { (uint8_t)(width >> 24),
			     (uint8_t)(width >> 16),
			     (uint8_t)(width >> 8),
			     (uint8_t)width,
			     (uint8_t)(height >> 24),
			     (uint8_t)(height >> 16),
			     (uint8_t)(height >> 8),
			     (uint8_t)height,
			     8,
			     2 };
	char chunk[21], sum[4];
	uLong crc;

	memcpy(chunk, "\0\0\0\x0dIHDR", 8);
	memcpy(chunk + 8, head, 13);
	crc = crc32(0, (const Bytef *)chunk + 4, 17);
	for (int i = 0; i < 4; i++)
		sum[i] = (char)(crc >> (24 - 8 * i));
	return arena_join3(a, S("\x89PNG\r\n\x1a\n"), (str){ chunk, sizeof(chunk) }, (str){ sum, 4 });
}

/* A few kilobytes that unpack to `size` zeros. */
static str png_bomb(struct arena *a, uint32_t width, uint32_t height, size_t size)
{
	AUTO_BUF b = BUF_INIT(64 << 20);
	uint8_t *zeros = mem_zalloc(size);
	uLongf n = compressBound(size);
	uint8_t *packed = mem_alloc(n);

	assert_true(compress2(packed, &n, zeros, size, 9) == Z_OK);
	buf_add(&b, png_of_size(a, width, height));
	image_png_chunk(&b, "IDAT", packed, n);
	image_png_chunk(&b, "IEND", NULL, 0);
	mem_free(zeros);
	mem_free(packed);
	return arena_keep(a, buf_str(&b));
}

static str gif_of_frames(struct arena *a, unsigned frames, uint16_t frame_size)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	const char lo = (char)frame_size, hi = (char)(frame_size >> 8);
	const char frame[] = { 0x2c, 0, 0, 0, 0, lo, hi, lo, hi, 0, 2, 2, 0x44, 1, 0 };

	buf_add(&b, S("GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\xff"));
	while (frames-- > 0)
		buf_add(&b, (str){ frame, sizeof(frame) });
	buf_add(&b, S(";"));
	return arena_keep(a, buf_str(&b));
}

static void refuses_what_is_too_large_before_it_decodes(void **state)
{
	struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	const struct image_want want = { 96, 96 };
	const int64_t before = counted(starts);

	(void)state;
	fails_with(error_of(im, a, png_of_size(a, 60000, 60000), want), ERR_TOO_LARGE);
	fails_with(error_of(im, a, png_of_size(a, UINT32_MAX >> 1, UINT32_MAX >> 1), want), ERR_TOO_LARGE);
	fails_with(error_of(im, a, S("GIF89a\xff\xff\xff\xff\0\0\0;"), want), ERR_TOO_LARGE);
	fails_with(error_of(im, a, S("\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0"), want), ERR_TOO_LARGE);
	fails_with(error_of(im, a, S("RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\xff\xff\xff\x0f\0\0\0\0\0\0\0\0\0"), want),
		   ERR_TOO_LARGE);
	/* Scans without end: of a bomb of 5,000 each costs a decoder milliseconds. */
	const str jpeg = image_file(a, "progressive.jpg");
	AUTO_BUF b = BUF_INIT(1 << 20);

	buf_add(&b, str_head(jpeg, jpeg.n - 2));
	for (unsigned i = 0; i < 5000; i++)
		buf_add(&b, S("\xff\xda\0\x08\x01\x01\0\x01\x05\0\x00"));
	fails_with(error_of(im, a, buf_str(&b), want), ERR_UNKNOWN);
	ok(counted(starts) == before, "a child was started");
	imager_free(&im);

	opt.max_pixels = 100 * 100;
	im = imager_new(&opt);
	fails_with(error_of(im, a, image_file(a, "photo.jpg"), want), ERR_TOO_LARGE);
	imager_free(&im);
	opt.max_bytes = 1000;
	im = imager_new(&opt);
	fails_with(error_of(im, a, image_file(a, "photo.jpg"), want), ERR_TOO_LARGE);
	imager_free(&im);
}

static void refuses_what_is_no_image(void **state)
{
	static const str others[] = {
		STR(""),
		STR("hello"),
		STR("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"99\" height=\"99\"/>"),
		STR("<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"99\" height=\"99\"/>"),
		STR("%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n"),
		STR("P6 2 2 255 abcdefghijkl"),
		STR("push graphic-context\nimage over 0,0 1,1 'url(https://127.0.0.1/x)'\npop graphic-context"),
		STR("GIF89a/*\x01\0\0\0*/=1;alert(1)//"),
	};
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		AUTO_ARENA a = arena_new();
		const err *e = error_of(im, a, others[i], (struct image_want){ 96, 96 });

		ok(e, "case %zu became a thumbnail", i);
		ok(e->code == ERR_UNKNOWN || e->code == ERR_TOO_LARGE, "case %zu: %s", i, err_errcode(e->code));
		ok(e->detail == IMAGER_BAD_IMAGE, "case %zu: tried again", i);
	}
	imager_free(&im);
}

static void bombs_hurt_nobody(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	const struct image_want still = { 96, 96 }, moving = { 96, 96, .animated = true };
	struct image_made made;
	str bytes;
	err *e;

	(void)state;
	/* Allowed, as large as it is: 30 million black pixels in 90 kB. */
	bytes = make(im, a, png_bomb(a, 6000, 5000, (6000 * 3 + 1) * 5000), still, &made, NULL);
	ok(made.width == 96 && made.height == 80 && bytes.n < 1000, "%ux%u", made.width, made.height);
	/* Twenty times more data than the head tells. */
	bytes = make(im, a, png_bomb(a, 100, 100, 50 << 20), still, &made, &e);
	ok(e || bytes.n < 10000, "large");
	/* Ten thousand frames: one of them. */
	bytes = make(im, a, gif_of_frames(a, 10000, 1), moving, &made, NULL);
	ok(strcmp(made.content_type, "image/png") == 0 && made.width == 1, "they were all unpacked");
	/* Few enough to move. */
	(void)make(im, a, gif_of_frames(a, 20, 1), moving, &made, NULL);
	ok(strcmp(made.content_type, "image/webp") == 0, "%s", made.content_type);
	/* A frame of 4 gigapixels on a canvas of one. */
	(void)make(im, a, gif_of_frames(a, 1, 65535), still, &made, &e);
	ok(e || made.width <= 96, "large");
	ok(!error_of(im, a, image_file(a, "photo.jpg"), still), "no good image is made any more");
	imager_free(&im);
}

/* Cut anywhere, bits turned anywhere: an answer, and the next good one is made. */
static void damaged_images_hurt_nobody(void **state)
{
	static const char *const images[] = { "photo.jpg",   "progressive.jpg", "palette.png", "grey16.png",
					      "moving.gif",  "photo.webp",      "clear.webp",  "moving.webp",
					      "profile.png", "turned.jpg" };
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	uint32_t seed = 12345;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(images); i++) {
		for (unsigned n = 0; n < 8; n++) {
			AUTO_ARENA a = arena_new();
			str image = image_file(a, images[i]);
			char *p = arena_alloc(a, image.n);

			memcpy(p, image.p, image.n);
			for (unsigned k = 0; k < n; k++) {
				seed = seed * 1103515245 + 12345;
				p[20 + (seed >> 8) % (image.n - 20)] ^= (char)(1 << (seed >> 4 & 7));
			}
			image = (str){ p, n % 2 ? image.n : image.n - image.n * n / 10 };
			(void)error_of(im, a, image, (struct image_want){ 30, 30, .animated = n % 4 == 3 });
		}
		AUTO_ARENA b = arena_new();

		ok(!error_of(im, b, image_file(b, images[i]), (struct image_want){ 30, 30 }), "%s: good no more",
		   images[i]);
	}
	imager_free(&im);
}

static void giant_metadata_is_no_hindrance(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	AUTO_BUF b = BUF_INIT(64 << 20);
	const str image = image_file(a, "photo.jpg");
	char *exif = arena_zalloc(a, 65000);
	struct image_made made;

	(void)state;
	memcpy(exif,
	       "\xff\xe1\xfd\xe6"
	       "Exif\0\0MM\0*\0\0\0\x08\xff\xff",
	       20);
	buf_add(&b, str_head(image, 2));
	for (unsigned i = 0; i < 300; i++)
		buf_add(&b, (str){ exif, 65000 });
	buf_add(&b, str_from(image, 2));
	(void)make(im, a, buf_str(&b), (struct image_want){ 50, 50 }, &made, NULL);
	ok(made.width == 50 && made.bytes.n < 4000, "%u", made.width);
	imager_free(&im);
}

/*
 * Workers that were taken over
 */
static void stops_who_does_what_it_must_not(void **state)
{
	struct imager_options opt = options();
	const int64_t started = counted(starts);
	struct imager *im;

	(void)state;
	opt.time_ms = 1000;
	im = imager_new(&opt);
	for (uint32_t how = WORKER_FIRST; how < WORKER_CRASHES_WHEN_IT_MOVES; how++) {
		AUTO_ARENA a = arena_new();
		const int64_t before = counted(died);
		const str image = image_file(a, "photo.jpg");
		const err *e = error_of(im, a, image, (struct image_want){ how, 40 });

		ok(e, "misdeed %u succeeded", how - WORKER_FIRST);
		ok(e->code == ERR_UNKNOWN && e->detail == IMAGER_TOO_HARD, "misdeed %u: detail %u", how - WORKER_FIRST,
		   e->detail);
		ok(counted(died) == before + 1, "misdeed %u was not counted", how - WORKER_FIRST);
		ok(!error_of(im, a, image, (struct image_want){ WORKER_BEHAVES, 40 }),
		   "after misdeed %u no good image is made", how - WORKER_FIRST);
		ok(counted(starts) == started + 1, "misdeed %u was others' end, too", how - WORKER_FIRST);
	}
	imager_free(&im);
}

static void what_cannot_move_stands_still(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	struct image_made made;

	(void)state;
	(void)make(im, a, image_file(a, "moving.gif"),
		   (struct image_want){ WORKER_CRASHES_WHEN_IT_MOVES, 40, .animated = true }, &made, NULL);
	ok(strcmp(made.content_type, "image/png") == 0, "%s", made.content_type);
	imager_free(&im);
}

struct asker {
	struct imager *im;
	struct thread *thread;
	uint32_t width;
	enum err_code code;
};

static void ask(void *arg)
{
	struct asker *k = arg;
	AUTO_ARENA a = arena_new();
	const err *e = error_of(k->im, a, image_file(a, "photo.jpg"), (struct image_want){ k->width, 40 });

	k->code = e ? e->code : ERR_NONE;
}

static void asks_at_once(struct imager *im, uint32_t width, struct asker *askers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		askers[i] = (struct asker){ .im = im, .width = width };
		askers[i].thread = thread_start("asker", ask, &askers[i]);
	}
	for (size_t i = 0; i < n; i++)
		thread_join(&askers[i].thread);
}

static void few_are_at_work_at_once_and_the_others_wait(void **state)
{
	struct imager_options opt = options();
	struct imager *im;
	struct asker askers[8];
	size_t busy = 0;

	(void)state;
	opt.children = 2;
	opt.time_ms = 1000;
	im = imager_new(&opt);
	asks_at_once(im, 40, askers, ARRAY_LEN(askers));
	for (size_t i = 0; i < ARRAY_LEN(askers); i++)
		ok(askers[i].code == ERR_NONE, "%zu: %s", i, err_errcode(askers[i].code));
	imager_free(&im);

	/* Two that take a second, and a third that has no patience. */
	opt.wait_ms = 100;
	im = imager_new(&opt);
	asks_at_once(im, WORKER_WAITS, askers, 3);
	for (size_t i = 0; i < 3; i++)
		busy += askers[i].code == ERR_BUSY;
	ok(busy == 1, "%zu were told that it is busy", busy);
	imager_free(&im);
}

static void proc_says(struct arena *a, pid_t pid, const char *name, const char *want)
{
	char line[64] = "";
	FILE *f = fopen(arena_cstr(a, arena_printf(a, "/proc/%d/%s", (int)pid, name)), "r");

	assert_non_null(f);
	(void)!fgets(line, sizeof(line), f);
	fclose(f);
	assert_string_equal(line, want);
}

static void starts_the_keeper_again_when_it_is_gone(void **state)
{
	const struct imager_options opt = options();
	struct imager *im = imager_new(&opt);
	AUTO_ARENA a = arena_new();
	const str image = image_file(a, "photo.jpg");
	const int64_t before = counted(starts);
	pid_t keeper;

	(void)state;
	ok(child_of_this() == 0, "it starts before there is an image");
	good(error_of(im, a, image, (struct image_want){ 40, 40 }));
	keeper = child_of_this();
	ok(keeper > 0 && counted(starts) == before + 1, "no keeper");
	/* Where memory ends, it ends first. */
	proc_says(a, keeper, "oom_score_adj", "1000\n");
	assert_int_equal(kill(keeper, SIGKILL), 0);
	good(error_of(im, a, image, (struct image_want){ 40, 40 }));
	ok(counted(starts) == before + 2, "not started again");
	ok(child_of_this() != keeper, "the old one is still there");
	imager_free(&im);
	ok(child_of_this() == 0, "it outlives the service");
}

static void does_without_libvips(void **state)
{
	struct imager_options opt = options();
	AUTO_ARENA a = arena_new();
	struct imager *im;
	struct image_seen seen;
	const str image = image_file(a, "turned.jpg");
	const int fd = image_fd(image);
	const err *e;

	(void)state;
	opt.program = "/nonexistent/hearth";
	im = imager_new(&opt);
	for (int i = 0; i < 2; i++) {
		e = error_of(im, a, image, (struct image_want){ 40, 40 });
		ok(e && e->code == ERR_UNKNOWN && e->detail == IMAGER_NOT_NOW, "another error");
	}
	good(imager_probe(im, a, fd, &seen));
	ok(seen.width == 120 && seen.height == 200 && strcmp(seen.content_type, "image/jpeg") == 0, "%ux%u", seen.width,
	   seen.height);
	close(fd);
	imager_free(&im);
}

TEST_MAIN(cmocka_unit_test(starts_the_keeper_again_when_it_is_gone), cmocka_unit_test(makes_thumbnails_of_every_kind),
	  cmocka_unit_test(shows_pixels_as_their_file_means_them), cmocka_unit_test(takes_nothing_over_but_pixels),
	  cmocka_unit_test(refuses_what_is_too_large_before_it_decodes), cmocka_unit_test(refuses_what_is_no_image),
	  cmocka_unit_test(bombs_hurt_nobody), cmocka_unit_test(damaged_images_hurt_nobody),
	  cmocka_unit_test(giant_metadata_is_no_hindrance), cmocka_unit_test(stops_who_does_what_it_must_not),
	  cmocka_unit_test(what_cannot_move_stands_still),
	  cmocka_unit_test(few_are_at_work_at_once_and_the_others_wait), cmocka_unit_test(does_without_libvips))
