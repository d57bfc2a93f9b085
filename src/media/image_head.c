/*
 * image_head.c - walks over an image file's blocks, decoding nothing.
 *
 * What the walk is for: the kind is decided before a decoder of 20,000 lines is chosen by it; the size is known before
 * memory is taken for the pixels; frames are counted before they are unpacked; and a file that is an image and a script
 * (or an archive, or a page) at once is told from one that is an image alone. Each format has its own walk below; all
 * read through a window, forward only, and every one ends, for each step takes at least a byte.
 *
 * A decoder may see the same bytes otherwise than this walk. So the child that decodes checks sizes again, by the
 * decoder's own words, and nothing is shown as it is but what is `bare`.
 */
#include "media/image_head.h"

#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

enum {
	WINDOW = 8192,
	SMALL = 1024, /* of a PNG's chunks that describe pixels none is larger */
	EXIF_ENTRIES = 64,
	MAX_SCANS = 64,  /* of a progressive JPEG; encoders write ten. Each may go over all of its pixels */
	MAX_PACKED = 64, /* chunks of a PNG that unpack to what nobody sees */
	EXIF_READS = 4, /* of one file: directories point anywhere, so that looking costs more than what is looked at */
};

struct walk {
	image_read *read;
	void *ctx;
	uint64_t size, at;
	uint64_t from; /* the window holds [from, from + n) */
	size_t n;
	bool bad; /* the end was passed, or reading failed: sticky */
	unsigned exifs;
	uint8_t window[WINDOW];
};

static bool fill(struct walk *w)
{
	const uint64_t left = w->at < w->size ? w->size - w->at : 0;

	if (w->at >= w->from && w->at - w->from < w->n)
		return true;
	w->n = (size_t)MIN(left, (uint64_t)WINDOW);
	w->from = w->at;
	if (w->bad || w->n == 0 || !w->read(w->ctx, w->from, w->window, w->n)) {
		w->bad = true;
		w->n = 0;
		return false;
	}
	return true;
}

/* 0 beyond the end: look at `bad`. */
static uint8_t byte(struct walk *w) { return fill(w) ? w->window[w->at++ - w->from] : 0; }

static void skip(struct walk *w, uint64_t n)
{
	if (n > w->size - MIN(w->at, w->size))
		w->bad = true;
	else
		w->at += n;
}

static void bytes(struct walk *w, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = byte(w);
}

static uint32_t big(struct walk *w, unsigned n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | byte(w);
	return v;
}

static uint32_t little(struct walk *w, unsigned n)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint32_t)byte(w) << (8 * i);
	return v;
}

static bool at_end(const struct walk *w) { return !w->bad && w->at == w->size; }

/*
 * EXIF is a TIFF file within the file; of it, the orientation (tag 0x112, a short) in its first directory. The walk
 * stands at the TIFF's start and comes back to it.
 */
static unsigned exif_orientation(struct walk *w, uint64_t length)
{
	const uint64_t start = w->at;
	uint8_t order[4];
	unsigned found = 1;

	if (length < 8 || length > w->size - MIN(start, w->size) || ++w->exifs > EXIF_READS)
		return 1;
	bytes(w, order, sizeof(order));
	const bool is_big = memcmp(order, "MM\0*", 4) == 0;
	uint32_t (*const number)(struct walk *, unsigned) = is_big ? big : little;

	if (is_big || memcmp(order, "II*\0", 4) == 0) {
		const uint32_t directory = number(w, 4);

		if (directory >= 8 && directory < length) {
			w->at = start + directory;
			const uint32_t entries = number(w, 2);

			for (uint32_t i = 0; i < MIN(entries, (uint32_t)EXIF_ENTRIES) && !w->bad && found == 1; i++) {
				const uint32_t tag = number(w, 2), type = number(w, 2), count = number(w, 4),
					       value = number(w, 2);

				(void)number(w, 2);
				if (tag == 0x112 && type == 3 && count == 1 && value >= 1 && value <= 8)
					found = value;
			}
		}
	}
	w->at = start;
	w->bad = false; /* a directory that leads out of the file says nothing about the file */
	return found;
}

/*
 * JPEG: ITU T.81, annex B. Segments with lengths; after a start of scan, data up to the next marker.
 */
enum {
	M_TEM = 0x01,
	M_SOF0 = 0xc0,
	M_DHT = 0xc4,
	M_JPG = 0xc8,
	M_DAC = 0xcc,
	M_SOF15 = 0xcf,
	M_RST0 = 0xd0,
	M_RST7 = 0xd7,
	M_SOI = 0xd8,
	M_EOI = 0xd9,
	M_SOS = 0xda,
	M_DQT = 0xdb,
	M_DRI = 0xdd,
	M_APP0 = 0xe0,
	M_APP1 = 0xe1,
	M_APP14 = 0xee,
};

/* The marker at or after the walk, fill bytes passed over; M_TEM where there is none. */
static unsigned jpeg_marker(struct walk *w)
{
	unsigned b;

	if (byte(w) != 0xff)
		return M_TEM;
	do
		b = byte(w);
	while (b == 0xff && !w->bad);
	return w->bad || b == 0 ? M_TEM : b;
}

/* Over entropy-coded data, to the marker's 0xff that ends it. */
static void jpeg_scan(struct walk *w)
{
	while (fill(w)) {
		const uint8_t *p = w->window + (w->at - w->from), *end = w->window + w->n;
		const uint8_t *ff = memchr(p, 0xff, (size_t)(end - p));

		if (!ff) {
			w->at += (uint64_t)(end - p);
			continue;
		}
		w->at += (uint64_t)(ff - p) + 1;
		const uint8_t next = byte(w);

		if (next == 0xff) {
			w->at--;
		} else if (next != 0 && !(next >= M_RST0 && next <= M_RST7) && !w->bad) {
			w->at -= 2;
			return;
		}
	}
}

static bool is_frame(unsigned m) { return m >= M_SOF0 && m <= M_SOF15 && m != M_DHT && m != M_JPG && m != M_DAC; }

/* "Exif\0\0" and the TIFF file. */
static void jpeg_exif(struct walk *w, struct image_head *h, uint64_t length)
{
	uint8_t name[6];

	if (length < sizeof(name))
		return;
	bytes(w, name, sizeof(name));
	if (memcmp(name, "Exif\0", sizeof(name)) == 0 && h->orientation == 1)
		h->orientation = exif_orientation(w, length - sizeof(name));
}

/* What may stand in a bare file: JFIF's header without its own thumbnail, Adobe's, tables, frames and scans. */
static bool jpeg_is_pixels(unsigned marker, uint64_t length)
{
	return is_frame(marker) || marker == M_DHT || marker == M_DQT || marker == M_DRI || marker == M_DAC ||
	       marker == M_SOS || (marker == M_APP0 && length == 14) || (marker == M_APP14 && length == 12);
}

static void jpeg(struct walk *w, struct image_head *h)
{
	bool progressive = false;
	unsigned scans = 0;

	skip(w, 2);
	h->bare = true;
	for (;;) {
		const unsigned marker = jpeg_marker(w);

		if (marker == M_EOI) {
			h->bare = h->bare && at_end(w);
			return;
		}
		if (marker == M_TEM || marker == M_SOI || (marker >= M_RST0 && marker <= M_RST7))
			break;
		const uint32_t length = big(w, 2);
		const uint64_t start = w->at;

		if (w->bad || length < 2)
			break;
		if (is_frame(marker) && h->width == 0 && length >= 8) {
			skip(w, 1);
			h->height = big(w, 2);
			h->width = big(w, 2);
		} else if (marker == M_APP1) {
			jpeg_exif(w, h, length - 2);
		}
		progressive = progressive || (is_frame(marker) && (marker & 3) == 2);
		h->bare = h->bare && jpeg_is_pixels(marker, length - 2);
		w->at = start;
		skip(w, length - 2);
		if (w->bad)
			break;
		if (marker != M_SOS)
			continue;
		h->hard = ++scans > MAX_SCANS;
		if (h->hard)
			break;
		if (!h->bare && !progressive)
			return; /* nothing further is asked of it */
		jpeg_scan(w);
	}
	h->bare = false;
}

/*
 * PNG: chunks of length, type, data, checksum. https://www.w3.org/TR/png-3/
 */
#define CHUNK(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define PNG_IHDR          CHUNK('I', 'H', 'D', 'R')
#define PNG_IDAT          CHUNK('I', 'D', 'A', 'T')
#define PNG_IEND          CHUNK('I', 'E', 'N', 'D')
#define PNG_ACTL          CHUNK('a', 'c', 'T', 'L')
#define PNG_FDAT          CHUNK('f', 'd', 'A', 'T')
#define PNG_EXIF          CHUNK('e', 'X', 'I', 'f')
#define PNG_ICCP          CHUNK('i', 'C', 'C', 'P')
#define PNG_ZTXT          CHUNK('z', 'T', 'X', 't')
#define PNG_ITXT          CHUNK('i', 'T', 'X', 't')

static bool png_is_pixels(uint32_t type, uint32_t length)
{
	static const uint32_t small[] = {
		PNG_IHDR,
		PNG_ACTL,
		CHUNK('f', 'c', 'T', 'L'),
		CHUNK('P', 'L', 'T', 'E'),
		CHUNK('t', 'R', 'N', 'S'),
		CHUNK('s', 'R', 'G', 'B'),
		CHUNK('g', 'A', 'M', 'A'),
		CHUNK('c', 'H', 'R', 'M'),
		CHUNK('p', 'H', 'Y', 's'),
		CHUNK('s', 'B', 'I', 'T'),
		CHUNK('b', 'K', 'G', 'D'),
		CHUNK('h', 'I', 'S', 'T'),
	};

	for (size_t i = 0; i < ARRAY_LEN(small); i++)
		if (type == small[i])
			return length <= SMALL;
	return type == PNG_IDAT || type == PNG_FDAT || (type == PNG_IEND && length == 0);
}

static void png(struct walk *w, struct image_head *h)
{
	unsigned packed = 0;

	skip(w, 8);
	h->bare = true;
	for (bool first = true; !w->bad; first = false) {
		const uint32_t length = big(w, 4), type = big(w, 4);
		const uint64_t start = w->at;

		if (w->bad || (first && (type != PNG_IHDR || length != 13)))
			break;
		if (first) {
			h->width = big(w, 4);
			h->height = big(w, 4);
		} else if (type == PNG_ACTL && length == 8 && h->frames == 1) {
			h->frames = big(w, 4);
		} else if (type == PNG_EXIF) {
			h->orientation = exif_orientation(w, length);
		}
		if ((type == PNG_ICCP || type == PNG_ZTXT || type == PNG_ITXT) && ++packed > MAX_PACKED)
			h->hard = true;
		h->bare = h->bare && png_is_pixels(type, length);
		w->at = start;
		skip(w, (uint64_t)length + 4);
		if (type == PNG_IEND) {
			h->bare = h->bare && at_end(w);
			return;
		}
	}
	h->bare = false;
}

/*
 * GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
static void gif_sub_blocks(struct walk *w)
{
	uint8_t n;

	while ((n = byte(w)) != 0)
		skip(w, n);
}

/* Of the extensions those that pixels need: how long a frame is shown, and how often all of them. */
static bool gif_extension(struct walk *w)
{
	const uint8_t label = byte(w);
	bool known = label == 0xf9;

	if (label == 0xff) {
		uint8_t name[12], loop[5];

		bytes(w, name, sizeof(name));
		if (name[0] != 11) {
			w->at -= sizeof(name);
		} else if (memcmp(name + 1, "NETSCAPE2.0", 11) == 0 || memcmp(name + 1, "ANIMEXTS1.0", 11) == 0) {
			bytes(w, loop, sizeof(loop));
			known = loop[0] == 3 && loop[4] == 0;
			w->at -= sizeof(loop);
		}
	} else if (known) {
		known = byte(w) == 4;
		w->at--;
	}
	gif_sub_blocks(w);
	return known;
}

static void gif_frame(struct walk *w, struct image_head *h, uint32_t *frames)
{
	const uint32_t left = little(w, 2), top = little(w, 2), width = little(w, 2), height = little(w, 2);
	const uint8_t flags = byte(w);

	++*frames;
	if (left + width > h->width || top + height > h->height)
		h->bare = false; /* viewers differ in what they make of it */
	if (flags & 0x80)
		skip(w, 3ULL << ((flags & 7) + 1));
	skip(w, 1);
	gif_sub_blocks(w);
}

static void gif(struct walk *w, struct image_head *h)
{
	uint32_t frames = 0;

	skip(w, 6);
	h->width = little(w, 2);
	h->height = little(w, 2);
	const uint8_t flags = byte(w);

	skip(w, 2);
	if (flags & 0x80)
		skip(w, 3ULL << ((flags & 7) + 1));
	h->bare = true;
	while (!w->bad) {
		const uint8_t block = byte(w);

		if (block == 0x2c) {
			gif_frame(w, h, &frames);
		} else if (block == 0x21) {
			const bool known = gif_extension(w);

			h->bare = h->bare && known;
		} else {
			h->bare = h->bare && block == 0x3b && at_end(w) && frames > 0;
			break;
		}
	}
	h->bare = h->bare && !w->bad;
	h->frames = MAX(frames, 1U);
}

/*
 * WebP: RIFF chunks, padded to even lengths. https://www.rfc-editor.org/rfc/rfc9649
 */
#define WEBP_VP8  CHUNK('V', 'P', '8', ' ')
#define WEBP_VP8L CHUNK('V', 'P', '8', 'L')
#define WEBP_VP8X CHUNK('V', 'P', '8', 'X')
#define WEBP_ALPH CHUNK('A', 'L', 'P', 'H')
#define WEBP_ANIM CHUNK('A', 'N', 'I', 'M')
#define WEBP_ANMF CHUNK('A', 'N', 'M', 'F')
#define WEBP_EXIF CHUNK('E', 'X', 'I', 'F')

static void webp_size(struct walk *w, struct image_head *h, uint32_t type)
{
	if (type == WEBP_VP8) {
		skip(w, 3);
		if (big(w, 3) != 0x9d012a)
			return;
		h->width = little(w, 2) & 0x3fff;
		h->height = little(w, 2) & 0x3fff;
	} else if (type == WEBP_VP8L) {
		if (byte(w) != 0x2f)
			return;
		const uint32_t bits = little(w, 4);

		h->width = (bits & 0x3fff) + 1;
		h->height = (bits >> 14 & 0x3fff) + 1;
	} else if (type == WEBP_VP8X) {
		skip(w, 4);
		h->width = little(w, 3) + 1;
		h->height = little(w, 3) + 1;
	}
}

static bool webp_is_pixels(uint32_t type, uint32_t length)
{
	return type == WEBP_VP8 || type == WEBP_VP8L || type == WEBP_ALPH || type == WEBP_ANMF ||
	       (type == WEBP_VP8X && length == 10) || (type == WEBP_ANIM && length == 6);
}

static void webp(struct walk *w, struct image_head *h)
{
	uint32_t frames = 0;

	skip(w, 4);
	h->bare = (uint64_t)little(w, 4) + 8 == w->size;
	skip(w, 4);
	while (!w->bad && w->at < w->size) {
		const uint32_t type = big(w, 4), length = little(w, 4);
		const uint64_t start = w->at;

		if (w->bad)
			break;
		if (h->width == 0)
			webp_size(w, h, type);
		if (type == WEBP_ANMF)
			frames++;
		else if (type == WEBP_EXIF && length > 6) {
			uint8_t name[6];

			/* Some writers put JPEG's name before it. */
			bytes(w, name, sizeof(name));
			if (memcmp(name, "Exif\0", sizeof(name)) != 0)
				w->at = start;
			h->orientation = exif_orientation(w, length - (w->at - start));
		}
		h->bare = h->bare && webp_is_pixels(type, length);
		w->at = start;
		skip(w, (uint64_t)length + (length & 1));
	}
	h->bare = h->bare && at_end(w);
	h->frames = MAX(frames, 1U);
}

static enum image_kind kind_of(const uint8_t *p, size_t n)
{
	if (n >= 3 && memcmp(p, "\xff\xd8\xff", 3) == 0)
		return IMAGE_JPEG;
	if (n >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
		return IMAGE_PNG;
	if (n >= 6 && (memcmp(p, "GIF87a", 6) == 0 || memcmp(p, "GIF89a", 6) == 0))
		return IMAGE_GIF;
	if (n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
		return IMAGE_WEBP;
	return IMAGE_NONE;
}

bool image_head_read(image_read *read, void *ctx, uint64_t size, struct image_head *out)
{
	static void (*const walks[IMAGE_KINDS])(struct walk *, struct image_head *) = {
		[IMAGE_JPEG] = jpeg, [IMAGE_PNG] = png, [IMAGE_GIF] = gif, [IMAGE_WEBP] = webp
	};
	struct walk w = { .read = read, .ctx = ctx, .size = size };
	struct image_head h = { .frames = 1, .orientation = 1 };

	if (!fill(&w))
		return false;
	h.kind = kind_of(w.window, w.n);
	if (h.kind == IMAGE_NONE)
		return false;
	walks[h.kind](&w, &h);
	if (h.width == 0 || h.height == 0 || h.width > INT32_MAX || h.height > INT32_MAX)
		return false;
	*out = h;
	return true;
}

bool image_read_fd(void *ctx, uint64_t at, void *p, size_t n)
{
	const int fd = *(const int *)ctx;
	char *to = p;

	while (n > 0) {
		const ssize_t got = pread(fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

const char *image_kind_type(enum image_kind kind)
{
	static const char *const types[IMAGE_KINDS] = { [IMAGE_JPEG] = "image/jpeg",
							[IMAGE_PNG] = "image/png",
							[IMAGE_GIF] = "image/gif",
							[IMAGE_WEBP] = "image/webp" };

	assert(kind < IMAGE_KINDS);
	return types[kind];
}
