/*
 * imager_vips.c - libvips, as far as it is used: loaded at run time, so that a server runs without it.
 *
 * Of its hundred readers four are unblocked, those of the kinds that image_head.c knows. Its plugins (ImageMagick, PDF,
 * SVG, OpenSlide) are not loaded at all: it is told to look for them where nothing is.
 *
 * An image is shrunk while it is read (a JPEG is unpacked at a half, quarter or eighth where that does), turned as its
 * orientation says, taken to sRGB and written into memory as plain pixels; a new image is made of these and saved. So
 * nothing passes from the old file to the new one but pixels, and of a moving one the times and the number of rounds.
 *
 * libvips's functions take an open list of "name", value pairs, ended by NULL. A value is passed as what the name says
 * (int for whole numbers, choices and booleans); the compiler checks none of it. Every such name stands in this file.
 */
#include "media/internal_imager.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* libvips's objects; only ever pointed at. */
struct VipsImage;

/* Values of libvips's enumerations. */
enum {
	VIPS_SIZE_DOWN = 2,
	VIPS_INTERESTING_CENTRE = 1,
	VIPS_FAIL_ON_TRUNCATED = 1,
	VIPS_ACCESS_SEQUENTIAL = 1,
	VIPS_FORMAT_UCHAR = 0,
	VIPS_INTERPRETATION_CMYK = 15,
	VIPS_INTERPRETATION_SRGB = 22,
};

#define FUNCTIONS(X)                                                                                                   \
	X(int, vips_init, (const char *argv0))                                                                         \
	X(void, vips_concurrency_set, (int threads))                                                                   \
	X(void, vips_cache_set_max, (int operations))                                                                  \
	X(void, vips_vector_set_enabled, (int enabled))                                                                \
	X(void, vips_operation_block_set, (const char *name, int state))                                               \
	X(const char *, vips_error_buffer, (void))                                                                     \
	X(void *, vips_operation_new, (const char *name))                                                              \
	X(struct VipsImage *, vips_image_new_from_buffer, (const void *p, size_t n, const char *options, ...))         \
	X(struct VipsImage *, vips_image_new_from_memory,                                                              \
	  (const void *p, size_t n, int width, int height, int bands, int format))                                     \
	X(int, vips_thumbnail_buffer, (void *p, size_t n, struct VipsImage **out, int width, ...))                     \
	X(int, vips_thumbnail_image, (struct VipsImage * in, struct VipsImage * *out, int width, ...))                 \
	X(int, vips_jpegload_buffer, (void *p, size_t n, struct VipsImage **out, ...))                                 \
	X(int, vips_image_get_orientation_swap, (struct VipsImage * in))                                               \
	X(int, vips_colourspace, (struct VipsImage * in, struct VipsImage * *out, int space, ...))                     \
	X(int, vips_cast, (struct VipsImage * in, struct VipsImage * *out, int format, ...))                           \
	X(void *, vips_image_write_to_memory, (struct VipsImage * in, size_t * n))                                     \
	X(int, vips_jpegsave_buffer, (struct VipsImage * in, void **p, size_t *n, ...))                                \
	X(int, vips_pngsave_buffer, (struct VipsImage * in, void **p, size_t *n, ...))                                 \
	X(int, vips_webpsave_buffer, (struct VipsImage * in, void **p, size_t *n, ...))                                \
	X(int, vips_image_get_width, (const struct VipsImage *in))                                                     \
	X(int, vips_image_get_height, (const struct VipsImage *in))                                                    \
	X(int, vips_image_get_bands, (const struct VipsImage *in))                                                     \
	X(int, vips_image_get_interpretation, (const struct VipsImage *in))                                            \
	X(int, vips_image_get_page_height, (struct VipsImage * in))                                                    \
	X(int, vips_image_get_int, (const struct VipsImage *in, const char *name, int *out))                           \
	X(int, vips_image_get_array_int, (struct VipsImage * in, const char *name, int **out, int *n))                 \
	X(void, vips_image_set_int, (struct VipsImage * in, const char *name, int v))                                  \
	X(void, vips_image_set_array_int, (struct VipsImage * in, const char *name, const int *p, int n))              \
	X(size_t, vips_image_get_typeof, (const struct VipsImage *in, const char *name))                               \
	X(void, g_object_unref, (void *object))

static struct {
#define X(type, name, args) type(*name) args;
	FUNCTIONS(X)
#undef X
} v;

static bool find_functions(void *library, char *why, size_t size)
{
#define X(type, name, args)                                                                                            \
	*(void **)(&v.name) = dlsym(library, #name);                                                                   \
	if (!v.name) {                                                                                                 \
		(void)snprintf(why, size, "libvips is too old: it has no %s", #name);                                  \
		return false;                                                                                          \
	}
	FUNCTIONS(X)
#undef X
	return true;
}

/* What is prepared once here need not be by each worker. No image is made: that would start threads. */
static void warm_up(void)
{
	static const char *const operations[] = {
		"jpegload_buffer",
		"pngload_buffer",
		"gifload_buffer",
		"webpload_buffer",
		"jpegsave_buffer",
		"pngsave_buffer",
		"webpsave_buffer",
		"thumbnail_buffer",
		"resize",
		"shrinkv",
		"shrinkh",
		"reducev",
		"reduceh",
		"icc_import",
		"icc_export",
		"icc_transform",
		"colourspace",
		"extract_area",
		"autorot",
		"premultiply",
		"unpremultiply",
		"cast",
		"copy",
		"smartcrop",
		"sRGB2scRGB",
	};
	const time_t now = time(NULL);
	struct tm tm;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		void *o = v.vips_operation_new(operations[i]);

		if (o)
			v.g_object_unref(o);
	}
	(void)localtime_r(&now, &tm); /* a colour profile is dated: reads the time zone's file, once */
}

static bool open_vips(char *why, size_t size)
{
	static const char *const readers[] = { "VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadNsgif",
					       "VipsForeignLoadWebp" };
	void *library;

	/* A folder of plugins that is none; no code made at run time, for no page may become executable. */
	if (setenv("VIPSHOME", "/nonexistent", 1) != 0 || setenv("VIPS_NOVECTOR", "1", 1) != 0 ||
	    setenv("ORC_CODE", "backup", 1) != 0 || setenv("VIPS_WARNING", "0", 1) != 0 ||
	    setenv("TZ", "UTC0", 1) != 0 || mallopt(M_ARENA_MAX, 1) != 1) {
		(void)snprintf(why, size, "no memory");
		return false;
	}
	library = dlopen("libvips.so.42", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		(void)snprintf(why, size, "%s", dlerror());
		return false;
	}
	if (!find_functions(library, why, size))
		return false;
	if (v.vips_init("hearth") != 0) {
		(void)snprintf(why, size, "libvips: %s", v.vips_error_buffer());
		return false;
	}
	v.vips_concurrency_set(1);
	v.vips_cache_set_max(0);
	v.vips_vector_set_enabled(0);
	v.vips_operation_block_set("VipsForeignLoad", 1);
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		v.vips_operation_block_set(readers[i], 0);
	warm_up();
	return true;
}

/*
 * One image
 */
struct pixels {
	uint8_t *p; /* rows of width * bands bytes, frames one below the other */
	size_t n;
	uint32_t width, height, frames, bands; /* height: of a frame */
	const int *delays;                     /* a millisecond number for each frame; NULL: not told */
	int loop;
};

static bool refuse(struct imager_reply *out, const char *what)
{
	(void)snprintf(out->why, sizeof(out->why), "%s", what);
	for (char *c = out->why; *c; c++) /* the decoder's words: one line for the log */
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = ' ';
	return false;
}

static bool refuse_vips(struct imager_reply *out) { return refuse(out, v.vips_error_buffer()); }

/* What the decoder makes of the file's head. */
struct head {
	int width, height; /* as it is shown; height: of a frame */
	bool has_profile;  /* the file says what its colours mean, or they are for print */
};

/* The server has seen a size, too; the decoder's own is what memory will be taken for. */
static bool read_head(const struct imager_job *job, const uint8_t *image, struct head *h, struct imager_reply *out)
{
	struct VipsImage *im = v.vips_image_new_from_buffer(image, job->size, "", NULL);

	if (!im)
		return refuse_vips(out);
	const bool turned = v.vips_image_get_orientation_swap(im) != 0;

	h->width = turned ? v.vips_image_get_height(im) : v.vips_image_get_width(im);
	h->height = turned ? v.vips_image_get_width(im) : v.vips_image_get_page_height(im);
	h->has_profile = v.vips_image_get_typeof(im, "icc-profile-data") != 0 ||
			 v.vips_image_get_interpretation(im) == VIPS_INTERPRETATION_CMYK;
	v.g_object_unref(im);
	if (h->width <= 0 || h->height <= 0 || (uint64_t)h->width * (uint64_t)h->height > job->max_pixels)
		return refuse(out, "more pixels than its head tells");
	return true;
}

/* By how much the image becomes smaller, 1 or less. */
static double scale_of(const struct imager_job *job, const struct head *h)
{
	const double across = (double)job->width / h->width, down = (double)job->height / h->height;
	const double scale = (across > down) == job->crop ? across : down;

	return scale < 1 ? scale : 1;
}

/* Converting colours costs 10 ms of tables, so it is asked for only where the file says what its colours mean. */
#define PROFILE(h) (h)->has_profile ? "export_profile" : NULL, "srgb", NULL

/*
 * Unpacking a JPEG at 1/2, 1/4 or 1/8 costs next to nothing of what shrinking its pixels does. Left to itself, libvips
 * stays at twice the wanted size or more, for the finest of edges; nobody sees that in a thumbnail, and it doubles the
 * work.
 */
static struct VipsImage *shrink_jpeg(const struct imager_job *job, const struct head *h, const uint8_t *image)
{
	const double scale = scale_of(job, h);
	struct VipsImage *in = NULL, *got = NULL;
	int shrink = 1;

	while (shrink < 8 && scale * shrink * 2 <= 1)
		shrink *= 2;
	if (v.vips_jpegload_buffer((void *)(uintptr_t)image, job->size, &in, "shrink", shrink, "access",
				   VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED, NULL) == 0)
		(void)v.vips_thumbnail_image(in, &got, (int)job->width, "height", (int)job->height, "size",
					     VIPS_SIZE_DOWN, "crop", job->crop ? VIPS_INTERESTING_CENTRE : 0,
					     PROFILE(h));
	return got;
}

/* What is cut short is refused: libvips would show the rest of it black. It crops no moving images: they are made as
 * large as to cover what is wanted, and cut below. */
static struct VipsImage *shrink(const struct imager_job *job, const struct head *h, const uint8_t *image)
{
	const bool cover = job->animated && job->crop;
	const int width = cover ? (int)(h->width * scale_of(job, h) + 0.999) : (int)job->width;
	struct VipsImage *got = NULL;

	if (job->kind == IMAGE_JPEG)
		return shrink_jpeg(job, h, image);
	(void)v.vips_thumbnail_buffer((void *)(uintptr_t)image, job->size, &got, width, "height",
				      cover ? UINT16_MAX : (int)job->height, "size", VIPS_SIZE_DOWN, "crop",
				      job->crop && !cover ? VIPS_INTERESTING_CENTRE : 0, "option_string",
				      job->animated ? "[n=-1,fail_on=truncated]" : "[fail_on=truncated]", PROFILE(h));
	return got;
}

static bool unpack(struct VipsImage *in, bool animated, struct pixels *px, struct imager_reply *out)
{
	struct VipsImage *rgb = NULL, *bytes = NULL;
	uint32_t height;
	int n_delays = 0, *delays = NULL;

	if (v.vips_colourspace(in, &rgb, VIPS_INTERPRETATION_SRGB, NULL) != 0 ||
	    v.vips_cast(rgb, &bytes, VIPS_FORMAT_UCHAR, NULL) != 0)
		return refuse_vips(out);
	height = (uint32_t)v.vips_image_get_height(bytes);
	*px = (struct pixels){ .width = (uint32_t)v.vips_image_get_width(bytes),
			       .bands = (uint32_t)v.vips_image_get_bands(bytes) };
	px->height = animated ? (uint32_t)v.vips_image_get_page_height(bytes) : height;
	px->frames = px->height > 0 ? height / px->height : 0;
	px->p = v.vips_image_write_to_memory(bytes, &px->n);
	if (!px->p)
		return refuse_vips(out);
	if ((px->bands != 3 && px->bands != 4) || px->frames == 0 || px->height * px->frames != height ||
	    px->n != (size_t)px->width * height * px->bands)
		return refuse(out, "no picture in colours");
	if (animated && v.vips_image_get_typeof(in, "delay") != 0 &&
	    v.vips_image_get_array_int(in, "delay", &delays, &n_delays) == 0 && (uint32_t)n_delays >= px->frames)
		px->delays = delays;
	if (animated && v.vips_image_get_typeof(in, "loop") != 0)
		(void)v.vips_image_get_int(in, "loop", &px->loop);
	return true; /* the images stay: the process ends soon */
}

/* Of each frame the middle, at most as large as wanted; in place, for the target is never behind the source. */
static void cut(const struct imager_job *job, struct pixels *px)
{
	const uint32_t w = px->width < job->width ? px->width : job->width,
		       h = px->height < job->height ? px->height : job->height;
	const size_t left = (px->width - w) / 2, top = (px->height - h) / 2, row = (size_t)px->width * px->bands;
	uint8_t *to = px->p;

	for (size_t frame = 0; frame < px->frames; frame++)
		for (size_t y = 0; y < h; y++, to += (size_t)w * px->bands)
			memmove(to, px->p + (frame * px->height + top + y) * row + left * px->bands,
				(size_t)w * px->bands);
	px->width = w;
	px->height = h;
	px->n = (size_t)(to - px->p);
}

/* An alpha channel that hides nothing goes. True where one is left. */
static bool see_through(struct pixels *px)
{
	if (px->bands != 4)
		return false;
	for (size_t i = 3; i < px->n; i += 4)
		if (px->p[i] != UINT8_MAX)
			return true;
	for (size_t i = 0; i < px->n / 4; i++)
		memmove(px->p + i * 3, px->p + i * 4, 3);
	px->bands = 3;
	px->n = px->n / 4 * 3;
	return false;
}

static enum image_kind kind_to_make(const struct imager_job *job, bool clear)
{
	if (job->animated)
		return IMAGE_WEBP;
	/* What was a photograph stays one; the others hold drawings and letters more often. */
	return !clear && (job->kind == IMAGE_JPEG || job->kind == IMAGE_WEBP) ? IMAGE_JPEG : IMAGE_PNG;
}

/*
 * libvips adds EXIF to every WebP, also when told to add nothing. It stands at the end (RFC 9649, 2.7); the flag that
 * announces it is the fourth of VP8X's first byte.
 */
static void drop_exif(uint8_t *p, size_t *n)
{
	for (size_t at = 12; *n >= 30 && at + 8 <= *n;) {
		const size_t length =
			(size_t)p[at + 4] | (size_t)p[at + 5] << 8 | (size_t)p[at + 6] << 16 | (size_t)p[at + 7] << 24;

		if (memcmp(p + at, "EXIF", 4) == 0) {
			*n = at;
			for (unsigned i = 0; i < 4; i++)
				p[4 + i] = (uint8_t)((at - 8) >> (8 * i));
			if (memcmp(p + 12, "VP8X", 4) == 0)
				p[20] &= (uint8_t)~0x08;
			return;
		}
		at += 8 + length + (length & 1);
	}
}

static bool save(enum image_kind kind, const struct pixels *px, void **p, size_t *n, struct imager_reply *out)
{
	struct VipsImage *im = v.vips_image_new_from_memory(
		px->p, px->n, (int)px->width, (int)(px->height * px->frames), (int)px->bands, VIPS_FORMAT_UCHAR);
	int failed;

	if (!im)
		return refuse_vips(out);
	if (px->frames > 1) {
		v.vips_image_set_int(im, "page-height", (int)px->height);
		v.vips_image_set_int(im, "loop", px->loop);
		if (px->delays)
			v.vips_image_set_array_int(im, "delay", px->delays, (int)px->frames);
	}
	if (kind == IMAGE_JPEG)
		failed = v.vips_jpegsave_buffer(im, p, n, "Q", 80, "strip", 1, "optimize_coding", 1, NULL);
	else if (kind == IMAGE_PNG)
		failed = v.vips_pngsave_buffer(im, p, n, "compression", 6, "strip", 1, NULL);
	else
		failed = v.vips_webpsave_buffer(im, p, n, "Q", 80, "strip", 1, "effort", 1, NULL);
	if (failed == 0 && kind == IMAGE_WEBP)
		drop_exif(*p, n);
	return failed == 0 || refuse_vips(out);
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const ssize_t done = write(fd, p, n);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static void make(const struct imager_job *job, const uint8_t *image, int out_fd, struct imager_reply *out)
{
	struct VipsImage *got;
	struct pixels px;
	struct head head = { 0 };
	enum image_kind kind;
	void *bytes = NULL;
	size_t n = 0;

	if (!read_head(job, image, &head, out))
		return;
	got = shrink(job, &head, image);
	if (!got) {
		(void)refuse_vips(out);
		return;
	}
	if (!unpack(got, job->animated, &px, out))
		return;
	if (job->animated && job->crop)
		cut(job, &px);
	kind = kind_to_make(job, see_through(&px));
	if (!save(kind, &px, &bytes, &n, out))
		return;
	if (n > job->max_out || !write_all(out_fd, bytes, n)) {
		(void)refuse(out, "the thumbnail is too large");
		out->answer = IMAGER_TOO_MUCH;
		return;
	}
	*out = (struct imager_reply){
		.answer = IMAGER_MADE, .kind = kind, .width = px.width, .height = px.height, .size = n
	};
}

const struct imager_work imager_vips = { open_vips, make };
