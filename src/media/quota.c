/*
 * quota.c - how much a user may upload.
 *
 * Checked in the transaction that stores an item, where it is exact however many uploads run at once (all of them are
 * on one writer); and before the bytes come, where their number is known, to spare both sides the trouble.
 */
#include "media/internal_media.h"

#include "json/writer.h"

enum { EXTRA_MAX = 4096 };

static err *exceeded(const struct media *m, struct arena *a, const struct media_limit *limit)
{
	err *e = err_new(a, ERR_USER_LIMIT, "You have uploaded as much as you may for now");
	AUTO_BUF b = BUF_INIT(EXTRA_MAX);
	struct jw w = jw_to(&b);
	str whole;

	/* "The error response MUST have an info_uri field": with nothing else to show, the server's own address. */
	jw_object(&w, NULL);
	jw_str(&w, "info_uri",
	       str_is_none(limit->info_uri) ? arena_printf(a, "https://%.*s/", STR_ARG(m->opt.server_name))
					    : limit->info_uri);
	jw_bool(&w, "can_upgrade", limit->can_upgrade);
	jw_end(&w);
	whole = arena_keep(a, buf_str(&b));
	e->extra = (str){ whole.p + 1, whole.n - 2 };
	return e;
}

err *quota_check(const struct media *m, struct tx *tx, struct arena *a, int64_t user, int64_t size, int64_t now)
{
	for (size_t i = 0; user && i < m->opt.n_limits; i++) {
		const struct media_limit *limit = &m->opt.limits[i];
		int64_t bytes;

		TRY(store_media_uploaded_since(tx, user, now - limit->period_ms, &bytes));
		if (size > limit->max_bytes - bytes)
			return exceeded(m, a, limit);
	}
	return NULL;
}
