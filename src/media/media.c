/* media.c - the service: what it stands on, and what many of its parts ask. */
#include "media/internal_media.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <assert.h>

struct media_metrics media_metrics;

static void add_metrics(void)
{
	struct media_metrics *x = &media_metrics;

	if (x->uploads)
		return;
	x->uploads = metric_counter("hearth_media_uploads_total", "Files taken from users.", "");
	x->uploaded_bytes = metric_counter("hearth_media_uploaded_bytes_total", "Bytes of these files.", "");
	x->copies = metric_counter("hearth_media_copies_total", "Files fetched from other servers.", "");
	x->copied_bytes = metric_counter("hearth_media_copied_bytes_total", "Bytes of these files.", "");
	x->swept = metric_counter("hearth_media_swept_total", "Contents removed that nothing refered to.", "");
}

err *media_new(struct arena *a, const struct media_options *opt, struct media **out)
{
	struct media *m;
	struct files *files;
	err *e;

	assert(opt->store && opt->bus && opt->max_upload_size > 0);
	TRY(files_new(a, opt->dir, &files));
	e = files_settle(files, a, opt->store);
	if (e) {
		files_free(&files);
		return e;
	}
	m = MEM_NEW(struct media);
	m->opt = *opt;
	m->files = files;
	lock_init(&m->lock, RANK_SERVICE);
	cond_init(&m->changed);
	map_init(&m->uploading, NULL);
	map_init(&m->accessed, NULL);
	add_metrics();
	if (!opt->no_keeper)
		media_keeper_start(m);
	*out = m;
	return NULL;
}

void media_free(struct media **mp)
{
	struct media *m = *mp;

	if (!m)
		return;
	media_keeper_stop(m);
	media_remote_free(m);
	assert(m->uploading.n == 0);
	map_done(&m->uploading);
	map_done(&m->accessed);
	cond_done(&m->changed);
	lock_done(&m->lock);
	files_free(&m->files);
	mem_free(m);
	*mp = NULL;
}

const struct media_options *media_options(const struct media *m) { return &m->opt; }
bool media_is_local(const struct media *m, str server_name) { return str_eq(server_name, m->opt.server_name); }

str media_mxc(const struct media *m, struct arena *a, str media_id)
{
	return arena_printf(a, "mxc://%.*s/%.*s", STR_ARG(m->opt.server_name), STR_ARG(media_id));
}

/* "The media-id segment MUST consist of only alphanumeric (A-Za-z0-9), _ and - characters." */
bool media_id_valid(str id)
{
	for (size_t i = 0; i < id.n; i++) {
		const char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
		      c == '-'))
			return false;
	}
	return id.n > 0 && id.n <= 255;
}

err *media_row_get(struct media *m, struct arena *a, str server_name, str media_id, const struct media_row **out)
{
	int64_t origin = 0;
	AUTO_TX tx = NULL;

	*out = NULL;
	if (!media_id_valid(media_id))
		return NULL;
	if (!media_is_local(m, server_name)) {
		TRY(store_intern_find(m->opt.store, a, server_name, &origin));
		if (!origin)
			return NULL;
	}
	TRY(store_read(m->opt.store, a, &tx));
	return store_media_get(tx, origin, media_id, out);
}
