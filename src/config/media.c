/* media.c - how much may be uploaded. */
#include "config/internal_options.h"

static void check_uri(struct reader *r, const struct option *o, const struct ynode *n)
{
	if (str_find(n->text, ':') == n->text.n)
		note_expected(r, o, n, "an address such as https://example.org/limits");
}

static const struct option limit_options[] = {
	{ "media_upload_limits.time_period", .type = OPT_DURATION, .at = offsetof(struct config_upload_limit, period),
	  .min = 1000, .max = INT64_C(1000) * 3600 * 24 * 366 * 10, .doc = "How far back uploads count." },
	{ "media_upload_limits.max_size", .type = OPT_SIZE, .at = offsetof(struct config_upload_limit, max_size),
	  .min = 1, .max = INT64_C(1) << 50, .doc = "How many bytes one user may upload in it." },
	{ "media_upload_limits.info_uri", .type = OPT_TEXT, .at = offsetof(struct config_upload_limit, info_uri),
	  .read = check_uri, .doc = "Told to whom it stops." },
	{ "media_upload_limits.can_upgrade", .type = OPT_BOOL, .at = offsetof(struct config_upload_limit, can_upgrade),
	  .doc = "Can it be raised for a user?" },
};

void read_upload_limits(struct reader *r, const struct option *o, const struct ynode *n)
{
	VEC(struct config_upload_limit) out = { 0 };

	if (n->kind != Y_LIST) {
		note_expected(r, o, n, "a list such as [{time_period: 1w, max_size: 1G}]");
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct ynode *item = n->items[i];
		struct config_upload_limit limit = { 0 };
		const size_t before = r->notes->n_fatal;

		if (item->kind != Y_MAP) {
			note_expected(r, o, item, "a map such as {time_period: 1w, max_size: 1G}");
			continue;
		}
		read_map(r, limit_options, ARRAY_LEN(limit_options), &limit, item, S("media_upload_limits."));
		if (r->notes->n_fatal == before && (limit.period == 0 || limit.max_size == 0))
			note(r, true, item->line, S("media_upload_limits"), "expected a time_period and a max_size");
		vec_push(r->a, &out, limit);
	}
	r->conf->media.limits = out.p;
	r->conf->media.n_limits = out.n;
}

bool upload_limits_equal(const struct config_media *x, const struct config_media *y)
{
	if (x->n_limits != y->n_limits)
		return false;
	for (size_t i = 0; i < x->n_limits; i++) {
		const struct config_upload_limit *p = &x->limits[i], *q = &y->limits[i];

		if (p->period != q->period || p->max_size != q->max_size || !str_eq(p->info_uri, q->info_uri) ||
		    p->can_upgrade != q->can_upgrade)
			return false;
	}
	return true;
}
