/*
 * preview_cache.c - previews that were made, while they last.
 *
 * Clients keep what they were shown, with the URI of its picture, so that a picture stays for some days longer than the
 * preview is believed.
 */
#include "media/internal_preview.h"

#include "base/clock.h"
#include "crypto/crypto.h"
#include "media/media.h"
#include "store/previews.h"

enum { PRUNE_AT_ONCE = 50 };
static const int64_t stays_ms = INT64_C(2) * 24 * 3600 * 1000;

static str hash_of(struct arena *a, str url)
{
	uint8_t *hash = arena_alloc(a, 32);

	sha256(url, hash);
	return (str){ (const char *)hash, 32 };
}

err *preview_recall(struct previews *pv, struct arena *a, str url, int64_t ts, str *out_json)
{
	const int64_t at = MIN(ts, clock_ms());
	struct preview_row *row;
	AUTO_TX tx = NULL;

	*out_json = STR_NONE;
	TRY(store_read(pv->opt.store, a, &tx));
	TRY(store_preview_find(tx, hash_of(a, url), at, &row));
	if (row)
		*out_json = row->answer;
	return NULL;
}

static err *save(struct tx *tx, void *arg) { return store_preview_save(tx, arg); }

err *preview_remember(struct previews *pv, struct arena *a, str url, const struct preview *p)
{
	const int64_t now = clock_ms();
	struct preview_row row = {
		.url_hash = hash_of(a, url),
		.fetched_at = now,
		.expires_at = now + p->lifetime_ms,
		.answer = p->json,
		.image = p->image,
	};

	return store_do(pv->opt.store, a, save, &row);
}

static err *delete (struct tx *tx, void *arg) { return store_previews_delete(tx, arg); }

/* Its bytes may be somebody else's, too: media/ knows. */
static err *drop_image(struct previews *pv, struct arena *a, str mxc)
{
	const str rest = str_from(mxc, MIN(mxc.n, (size_t)6));
	const size_t slash = str_find(rest, '/');
	err *e;

	if (str_is_none(mxc) || slash == rest.n)
		return NULL;
	e = media_delete(pv->opt.media, a, str_head(rest, slash), str_from(rest, slash + 1));
	return e && e->code == ERR_NOT_FOUND ? NULL : e;
}

err *preview_prune(struct previews *pv, struct arena *a)
{
	struct preview_rows old;

	do {
		AUTO_TX tx = NULL;

		TRY(store_read(pv->opt.store, a, &tx));
		TRY(store_previews_old(tx, clock_ms() - stays_ms, PREVIEW_KEEP, PRUNE_AT_ONCE, &old));
		store_read_end(&tx);
		for (size_t i = 0; i < old.n; i++)
			TRY(drop_image(pv, a, old.p[i].image));
		if (old.n > 0)
			TRY(store_do(pv->opt.store, a, delete, &old));
	} while (old.n == PRUNE_AT_ONCE);
	return NULL;
}
