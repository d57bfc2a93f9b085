/* media_item.h - what the endpoints that show files begin with. */
#pragma once

#include "api/internal_api.h"
#include "media/media.h"

/*
 * The item of the path's serverName and mediaId, as this reader may see it: without a login (`legacy`) nothing that is
 * younger than the freeze. Waits as long as timeout_ms says for one that is being uploaded: then *out_parked is true,
 * and the handler returns NULL at once, to be run again.
 */
NODISCARD err *media_item(struct req *rq, bool legacy, struct media_item *out, bool *out_parked);
/* Its entity tag, quotes included. */
str media_item_etag(struct arena *a, const struct media_item *item);
/* The answer that shows it (media_download.c): whole, a part of it, or that it has not changed. */
NODISCARD err *media_reply(struct req *rq, const struct media_item *item, str filename);
