/*
 * fuzz_image.c - the walk over image files. Whatever the bytes: it asks for none beyond the end; what it calls an image
 * has the kind's first bytes, a size and a frame; what it calls bare is so no more with a byte behind it or one cut off
 * its end; and what a thumbnail of it would measure is neither larger than the image nor than what was wanted.
 */
#include "fuzz.h"
#include "media/imager.h"

struct file {
	str bytes;
	uint64_t read; /* bytes, over and over */
};

static bool read_file(void *ctx, uint64_t at, void *p, size_t n)
{
	struct file *f = ctx;

	assert(n > 0 && at < f->bytes.n && n <= f->bytes.n - at);
	memcpy(p, f->bytes.p + at, n);
	f->read += n;
	return true;
}

static bool walk(str bytes, struct image_head *h)
{
	struct file f = { bytes, 0 };
	const bool is = image_head_read(read_file, &f, bytes.n, h);

	/* A window is filled again when the walk steps back, but never for each byte. */
	assert(f.read <= 8192 * (16 + bytes.n / 64));
	return is;
}

static void check(const struct image_head *h, str bytes)
{
	static const str begins[IMAGE_KINDS] = { [IMAGE_JPEG] = STR("\xff\xd8\xff"),
						 [IMAGE_PNG] = STR("\x89PNG\r\n\x1a\n"),
						 [IMAGE_GIF] = STR("GIF8"),
						 [IMAGE_WEBP] = STR("RIFF") };

	assert(h->kind > IMAGE_NONE && h->kind < IMAGE_KINDS && image_kind_type(h->kind));
	assert(str_starts(bytes, begins[h->kind]));
	assert(h->width > 0 && h->height > 0 && h->width <= INT32_MAX && h->height <= INT32_MAX);
	assert(h->orientation >= 1 && h->orientation <= 8);
	assert(!h->bare || h->orientation == 1);
}

static void check_sizes(const struct image_head *h, struct feed *f)
{
	const struct image_seen seen = { image_kind_type(h->kind), h->width, h->height, h->frames, h->bare };
	const struct image_want want = { 1 + feed_below(f, 65535), 1 + feed_below(f, 65535),
					 .crop = feed_once_in(f, 2) };
	uint32_t width, height;

	imager_size(&seen, &want, &width, &height);
	assert(width > 0 && width <= h->width && width <= want.width);
	assert(height > 0 && height <= h->height && height <= want.height);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	const str bytes = { (const char *)data, size };
	struct feed f = feed_of(data, size);
	struct image_head h, other;

	if (!walk(bytes, &h))
		return 0;
	check(&h, bytes);
	check_sizes(&h, &f);
	if (h.bare) {
		assert(!walk(str_head(bytes, size - 1), &other) || !other.bare);
		assert(walk(arena_join2(a, bytes, S("\n")), &other) && !other.bare);
		assert(other.width == h.width && other.height == h.height && other.kind == h.kind);
	}
	return 0;
}
