/* forget.c - what administrators and leaving users do to items: quarantine, protection, deletion. */
#include "media/internal_media.h"

#include "base/clock.h"

enum { DELETE_BATCH = 200 };

static err *row_of(struct media *m, struct arena *a, str server_name, str media_id, const struct media_row **out)
{
	TRY(media_row_get(m, a, server_name, media_id, out));
	return *out ? NULL : err_new(a, ERR_NOT_FOUND, "Unknown media ID");
}

struct quarantine {
	const struct media_row *row;
	str by;
	int64_t at;
};
static err *write_quarantine(struct tx *tx, void *arg)
{
	const struct quarantine *q = arg;

	return store_media_quarantine(tx, q->row, q->by, q->at);
}

err *media_quarantine(struct media *m, struct arena *a, str server_name, str media_id, str by)
{
	struct quarantine q = { .by = by, .at = clock_ms() };

	TRY(row_of(m, a, server_name, media_id, &q.row));
	return store_do(m->opt.store, a, write_quarantine, &q);
}

static err *write_unquarantine(struct tx *tx, void *row) { return store_media_unquarantine(tx, row); }

err *media_unquarantine(struct media *m, struct arena *a, str server_name, str media_id)
{
	const struct media_row *row;

	TRY(row_of(m, a, server_name, media_id, &row));
	return store_do(m->opt.store, a, write_unquarantine, (void *)row);
}

struct protect {
	int64_t media;
	bool is_protected;
};
static err *write_protect(struct tx *tx, void *arg)
{
	const struct protect *p = arg;

	return store_media_protect(tx, p->media, p->is_protected);
}

err *media_protect(struct media *m, struct arena *a, str media_id, bool is_protected)
{
	struct protect p = { .is_protected = is_protected };
	const struct media_row *row;

	TRY(row_of(m, a, m->opt.server_name, media_id, &row));
	p.media = row->media;
	return store_do(m->opt.store, a, write_protect, &p);
}

struct deletion {
	const int64_t *media;
	size_t n;
	int64_t deleted;
};
static err *write_deletion(struct tx *tx, void *arg)
{
	struct deletion *d = arg;

	d->deleted = 0;
	for (size_t i = 0; i < d->n; i++) {
		bool deleted;

		TRY(store_media_delete(tx, d->media[i], &deleted));
		d->deleted += deleted;
	}
	return NULL;
}

static err *delete_all(struct media *m, struct arena *a, struct deletion *d)
{
	TRY(store_do(m->opt.store, a, write_deletion, d));
	media_keeper_kick(m);
	return NULL;
}

err *media_delete(struct media *m, struct arena *a, str server_name, str media_id)
{
	struct deletion d = { .n = 1 };
	const struct media_row *row;

	TRY(row_of(m, a, server_name, media_id, &row));
	d.media = &row->media;
	TRY(delete_all(m, a, &d));
	return d.deleted ? NULL : err_new(a, ERR_NOT_FOUND, "Unknown media ID");
}

static err *items_of(struct media *m, struct arena *a, int64_t user, int64_t after, int64_t **out, size_t *out_n)
{
	AUTO_TX tx = NULL;

	TRY(store_read(m->opt.store, a, &tx));
	return store_media_of(tx, user, after, DELETE_BATCH, out, out_n);
}

err *media_delete_user(struct media *m, struct arena *a, int64_t user, int64_t *out_n)
{
	int64_t after = 0, total = 0, *numbers;
	size_t n;

	do {
		TRY(items_of(m, a, user, after, &numbers, &n));
		if (n > 0) {
			struct deletion d = { .media = numbers, .n = n };

			TRY(delete_all(m, a, &d));
			total += d.deleted;
			after = numbers[n - 1];
		}
	} while (n == DELETE_BATCH);
	*out_n = total;
	return NULL;
}
