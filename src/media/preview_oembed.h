/* preview_oembed.h - pages that tell about themselves at another address (https://oembed.com/). */
#pragma once

#include "base/err.h"
#include "media/preview_opengraph.h"

struct html;

struct oembed_provider {
	str scheme;   /* addresses of its pages, with * for any text */
	str endpoint; /* where they are asked for */
};
struct oembed_providers {
	VEC(struct oembed_provider) list;
};
void oembed_add_known(struct arena *a, struct oembed_providers *p);
/* A list in the form of https://oembed.com/providers.json. ERR_CONFIG. */
NODISCARD err *oembed_add_list(struct arena *a, struct oembed_providers *p, str json);

/* Where to ask for the page at url, instead of reading it; STR_NONE: nowhere. */
str oembed_endpoint(struct arena *a, const struct oembed_providers *p, str url);
/* Where the page says that it can be asked for; STR_NONE: nowhere. As it stands there. */
str oembed_discover(struct arena *a, const struct html *h);

struct oembed {
	struct og og;
	str author;       /* STR_NONE: not told */
	int64_t cache_ms; /* -1: not told */
};
/* The answer about the page at url. False: it is none. */
bool oembed_read(struct arena *a, str url, str json, struct oembed *out);
