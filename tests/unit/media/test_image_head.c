/* test_image_head.c - what a file is, by its bytes alone. */
#include "media/image_head.h"

#include "images.h"

struct memory {
	str bytes;
	bool beyond;
};

static bool read_memory(void *ctx, uint64_t at, void *p, size_t n)
{
	struct memory *m = ctx;

	if (at > m->bytes.n || n > m->bytes.n - at) {
		m->beyond = true;
		return false;
	}
	memcpy(p, m->bytes.p + at, n);
	return true;
}

static bool head_of(str bytes, struct image_head *h)
{
	struct memory m = { bytes, false };
	const bool is = image_head_read(read_memory, &m, bytes.n, h);

	ok(!m.beyond, "read beyond the file's end");
	return is;
}

static const struct {
	const char *file;
	enum image_kind kind;
	uint32_t width, height, frames;
	unsigned orientation;
	bool bare;
} files[] = {
	{ "photo.jpg", IMAGE_JPEG, 200, 120, 1, 1, true },     { "progressive.jpg", IMAGE_JPEG, 200, 120, 1, 1, true },
	{ "grey.jpg", IMAGE_JPEG, 200, 120, 1, 1, true },      { "cmyk.jpg", IMAGE_JPEG, 200, 120, 1, 1, true },
	{ "turned.jpg", IMAGE_JPEG, 200, 120, 1, 6, false },   { "comment.jpg", IMAGE_JPEG, 200, 120, 1, 1, false },
	{ "opaque.png", IMAGE_PNG, 200, 120, 1, 1, true },     { "clear.png", IMAGE_PNG, 200, 120, 1, 1, true },
	{ "palette.png", IMAGE_PNG, 200, 120, 1, 1, true },    { "profile.png", IMAGE_PNG, 64, 64, 1, 1, false },
	{ "turned.png", IMAGE_PNG, 200, 120, 1, 6, false },    { "moving.png", IMAGE_PNG, 100, 60, 4, 1, true },
	{ "still.gif", IMAGE_GIF, 200, 120, 1, 1, true },      { "moving.gif", IMAGE_GIF, 100, 60, 4, 1, true },
	{ "comment.gif", IMAGE_GIF, 60, 40, 1, 1, false },     { "photo.webp", IMAGE_WEBP, 200, 120, 1, 1, true },
	{ "lossless.webp", IMAGE_WEBP, 200, 120, 1, 1, true }, { "clear.webp", IMAGE_WEBP, 200, 120, 1, 1, true },
	{ "turned.webp", IMAGE_WEBP, 200, 120, 1, 6, false },  { "moving.webp", IMAGE_WEBP, 100, 60, 4, 1, true },
};

static void tells_kind_size_and_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_ARENA a = arena_new();
		struct image_head h;

		ok(head_of(image_file(a, files[i].file), &h), "%s: no image", files[i].file);
		ok(h.kind == files[i].kind, "%s: kind", files[i].file);
		ok(h.width == files[i].width && h.height == files[i].height, "%s: size", files[i].file);
		ok(h.frames == files[i].frames, "%s: %u frames", files[i].file, h.frames);
		ok(h.orientation == files[i].orientation, "%s: orientation %u", files[i].file, h.orientation);
		ok(h.bare == files[i].bare, "%s: bare %d", files[i].file, h.bare);
	}
}

static void with_anything_behind_it_nothing_is_bare(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_ARENA a = arena_new();
		const str longer = arena_join2(a, image_file(a, files[i].file), S("PK"));
		struct image_head h;

		ok(head_of(longer, &h), "%s: no image", files[i].file);
		ok(!h.bare && h.width == files[i].width, "%s: bare, with two bytes behind it", files[i].file);
	}
}

static void cut_short_nothing_is_bare(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_ARENA a = arena_new();
		const str whole = image_file(a, files[i].file);

		for (size_t n = 0; n < whole.n; n++) {
			struct image_head h;

			ok(!head_of(str_head(whole, n), &h) || !h.bare, "%s: bare, cut at %zu", files[i].file, n);
		}
	}
}

static void other_kinds_are_none(void **state)
{
	static const str others[] = {
		STR(""),
		STR("\xff"),
		STR("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>"),
		STR("%PDF-1.7\n"),
		STR("<html><body>GIF89a</body></html>"),
		STR("II*\0\x08\0\0\0"),
		STR("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0"),
		STR("\0\0\0\x20"
		    "ftypavif\0\0\0\0avifmif1"),
		STR("RIFF\x24\0\0\0WAVEfmt "),
		STR("\x89PNG\r\n\x1a\n"),                                               /* no size */
		STR("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\x05\x08\x02\0\0\0"), /* none across */
		STR("GIF89a"),
		STR("\xff\xd8\xff\xd9"),
		STR("RIFF\x04\0\0\0WEBP"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct image_head h;

		ok(!head_of(others[i], &h), "case %zu is an image", i);
	}
}

/* Directories that lead to others of their own: the walk looks at a few, and of each at few entries. */
static void exif_costs_no_more_than_the_file(void **state)
{
	static const char segment[] = "\xff\xe1\0\x1a"
				      "Exif\0\0II*\0\x08\0\0\0\xff\xff\0\0\0\0\0\0\0\0";
	AUTO_BUF b = BUF_INIT(8 << 20);
	struct image_head h;

	(void)state;
	buf_add(&b, S("\xff\xd8"));
	while (b.n < 1 << 20)
		buf_add(&b, (str){ segment, sizeof(segment) - 1 });
	buf_add(&b, S("\xff\xc0\0\x0b\x08\0\x10\0\x20\x01\x01\x11\0"));
	ok(head_of(buf_str(&b), &h), "no image");
	ok(h.width == 32 && h.height == 16 && h.orientation == 1, "another size");
}

/* The file with the same piece so often before its end. */
static str with_many(struct arena *a, str file, size_t end, str piece, unsigned n)
{
	AUTO_BUF b = BUF_INIT(8 << 20);

	buf_add(&b, str_head(file, file.n - end));
	while (n-- > 0)
		buf_add(&b, piece);
	buf_add(&b, str_from(file, file.n - end));
	return arena_keep(a, buf_str(&b));
}

/* Each scan may go over all pixels and have a few bytes; each text may unpack to gigabytes. */
static void what_was_made_to_be_work_is_hard(void **state)
{
	static const str scan = STR("\xff\xda\0\x08\x01\x01\0\x01\x05\0\x00"), comment = STR("\xff\xfe\0\x04hi"),
			 text = STR("\0\0\0\x01zTXtx1234");
	AUTO_ARENA a = arena_new();
	const str jpeg = image_file(a, "progressive.jpg"), png = image_file(a, "palette.png");
	struct image_head h;

	(void)state;
	ok(head_of(with_many(a, jpeg, 2, scan, 40), &h) && !h.hard && h.bare, "some scans more");
	ok(head_of(with_many(a, jpeg, 2, scan, 100), &h) && h.hard && !h.bare, "many scans");
	/* A comment before them hides nothing. */
	const str commented = arena_join3(a, str_head(jpeg, 2), comment, str_from(jpeg, 2));

	ok(head_of(with_many(a, commented, 2, scan, 100), &h) && h.hard && !h.bare, "many scans behind a comment");
	ok(head_of(with_many(a, png, 12, text, 60), &h) && !h.hard, "some texts");
	ok(head_of(with_many(a, png, 12, text, 100), &h) && h.hard && !h.bare, "many texts");
}

TEST_MAIN(cmocka_unit_test(tells_kind_size_and_frames), cmocka_unit_test(with_anything_behind_it_nothing_is_bare),
	  cmocka_unit_test(cut_short_nothing_is_bare), cmocka_unit_test(other_kinds_are_none),
	  cmocka_unit_test(exif_costs_no_more_than_the_file), cmocka_unit_test(what_was_made_to_be_work_is_hard))
