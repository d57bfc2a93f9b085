/* thumbnails.c - which thumbnails are made. */
#include "config/internal_options.h"

enum { MAX_SIDE = 4096, MAX_SIZES = 32 };

static const char *const methods[] = { "scale", "crop", NULL };
static const struct option size_options[] = {
	{ "thumbnail_sizes.width", .type = OPT_INT, .at = offsetof(struct config_thumbnail, width), .min = 1,
	  .max = MAX_SIDE, .doc = "In pixels." },
	{ "thumbnail_sizes.height", .type = OPT_INT, .at = offsetof(struct config_thumbnail, height), .min = 1,
	  .max = MAX_SIDE, .doc = "In pixels." },
	{ "thumbnail_sizes.method", .type = OPT_CHOICE, .at = offsetof(struct config_thumbnail, method),
	  .choices = methods, .doc = "crop fills the size, scale fits into it." },
};
/* "Servers SHOULD produce thumbnails with the following dimensions and methods". Client-Server API, "Thumbnails". */
static const struct config_thumbnail usual[] = {
	{ 32, 32, CONFIG_CROP },    { 96, 96, CONFIG_CROP },    { 320, 240, CONFIG_SCALE },
	{ 640, 480, CONFIG_SCALE }, { 800, 600, CONFIG_SCALE },
};

void default_thumbnails(struct config_media *m)
{
	m->thumbnails = usual;
	m->n_thumbnails = ARRAY_LEN(usual);
}

void read_thumbnails(struct reader *r, const struct option *o, const struct ynode *n)
{
	VEC(struct config_thumbnail) out = { 0 };

	if (n->kind != Y_LIST || n->n > MAX_SIZES) {
		note_expected(r, o, n, "a list of 32 at most, such as [{width: 96, height: 96, method: crop}]");
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct ynode *item = n->items[i];
		struct config_thumbnail size = { 0 };
		const size_t before = r->notes->n_fatal;

		if (item->kind != Y_MAP) {
			note_expected(r, o, item, "a map such as {width: 96, height: 96, method: crop}");
			continue;
		}
		read_map(r, size_options, ARRAY_LEN(size_options), &size, item, S("thumbnail_sizes."));
		if (r->notes->n_fatal == before && (size.width == 0 || size.height == 0))
			note(r, true, item->line, S("thumbnail_sizes"), "expected a width and a height");
		vec_push(r->a, &out, size);
	}
	r->conf->media.thumbnails = out.p;
	r->conf->media.n_thumbnails = out.n;
}

bool thumbnails_equal(const struct config_media *x, const struct config_media *y)
{
	if (x->n_thumbnails != y->n_thumbnails)
		return false;
	for (size_t i = 0; i < x->n_thumbnails; i++) {
		const struct config_thumbnail *p = &x->thumbnails[i], *q = &y->thumbnails[i];

		if (p->width != q->width || p->height != q->height || p->method != q->method)
			return false;
	}
	return true;
}
