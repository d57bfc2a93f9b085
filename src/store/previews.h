/* previews.h - what was found behind addresses, and when. */
#pragma once

#include "store/store.h"

struct preview_row {
	str url_hash; /* 32 bytes */
	int64_t fetched_at, expires_at;
	str answer;
	str image; /* STR_NONE: none */
};
/* The newest that was fetched at `ts` or before it and had not expired then, else the oldest after it. *out NULL: there
 * is none. */
NODISCARD err *store_preview_find(struct tx *tx, str url_hash, int64_t ts, struct preview_row **out);
NODISCARD err *store_preview_save(struct tx *tx, const struct preview_row *row);
/* Some that expired before `expired`, or that are none of the `keep` which expire last. Without their answers. */
struct preview_rows {
	struct preview_row *p;
	size_t n;
};
NODISCARD err *store_previews_old(struct tx *tx, int64_t expired, int64_t keep, size_t limit, struct preview_rows *out);
NODISCARD err *store_previews_delete(struct tx *tx, const struct preview_rows *rows);
