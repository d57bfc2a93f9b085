/* internal_preview.h - the service of previews' own parts. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "http/client_url.h"
#include "media/preview.h"
#include "media/preview_oembed.h"
#include "media/preview_rules.h"

enum {
	PREVIEW_WORKERS = 6,
	PREVIEW_PER_USER = 2,       /* at work at once, while others wait */
	PREVIEW_USER_WAITING = 50,  /* addresses of one user that wait */
	PREVIEW_WAITING = 500,      /* of all */
	PREVIEW_FAILURES = 1000,    /* remembered */
	PREVIEW_KEYS = 256,         /* numbers on which those who wait sleep */
	PREVIEW_MAX_HTML = 2 << 20, /* bytes of a page that are looked at */
	PREVIEW_REDIRECTS = 5,
	PREVIEW_KEEP = 20000, /* rows */
};

struct previews {
	struct previews_options opt;
	struct arena *a;
	struct url_rules *rules;
	struct oembed_providers providers;

	struct lock lock;
	struct cond work;
	struct map jobs;     /* by address */
	struct list waiting; /* oldest first */
	struct list running;
	struct list failures; /* oldest first */
	size_t n_waiting, n_failures;
	struct thread *workers[PREVIEW_WORKERS];
	unsigned n_workers, n_idle;
	bool stopping;
	int64_t pruned_us;
};

/* What an address answered. */
struct fetched {
	struct client_url url; /* after redirects; not set for data: */
	bool is_data;
	str content_type, filename; /* filename: STR_NONE, none */
	str bytes;
};
/* preview_fetch.c: with data: an address may hold the bytes itself. */
NODISCARD err *preview_fetch(struct previews *pv, struct arena *a, str url, bool with_data, int64_t deadline_us,
			     struct fetched *out);

/* preview_make.c */
struct preview {
	str json;
	str image; /* its URI; STR_NONE: none */
	int64_t lifetime_ms;
};
NODISCARD err *preview_make(struct previews *pv, struct arena *a, const struct client_url *url, struct preview *out);

/* preview_cache.c */
NODISCARD err *preview_recall(struct previews *pv, struct arena *a, str url, int64_t ts, str *out_json);
NODISCARD err *preview_remember(struct previews *pv, struct arena *a, str url, const struct preview *p);
/* Old ones go, with their images. */
NODISCARD err *preview_prune(struct previews *pv, struct arena *a);
