/*
 * media.h - contents of files, how many things refer to each, and the mxc:// URIs that lead to them.
 *
 * A content has a number beside its hash, given before its file is written and never used again: so that a content
 * which is swept away and one that comes again at the same moment have different files, and this table alone decides
 * which of them is there.
 */
#pragma once

#include "store/store.h"

struct store_content {
	int64_t content;
	str hash; /* 32 bytes */
	int64_t size;
};
/* One reference more to the content with this hash: *out_content is its number, that of `c` where it is new. */
NODISCARD err *store_content_ref(struct tx *tx, const struct store_content *c, int64_t *out_content);
/* One less. */
NODISCARD err *store_content_unref(struct tx *tx, int64_t content);
/* Which of these numbers are contents; their hashes. */
struct store_contents {
	struct store_content *p;
	size_t n;
};
NODISCARD err *store_contents_find(struct tx *tx, const int64_t *contents, size_t n, struct store_contents *out);
/* Some that nothing refers to, with numbers above `after`, in order of their numbers. */
NODISCARD err *store_contents_unused(struct tx *tx, int64_t after, size_t limit, struct store_contents *out);
/* The rows of these go, where still nothing refers to them. */
NODISCARD err *store_contents_forget(struct tx *tx, const int64_t *contents, size_t n);

struct media_row {
	int64_t media;
	int64_t origin; /* interned name of another server; 0: this one */
	str media_id;
	int64_t uploader; /* 0: nobody here */
	int64_t created_at, expires_at /* 0: it is uploaded */, uploaded_at;
	int64_t content; /* 0: not uploaded yet */
	int64_t size;
	str content_type, filename; /* filename: STR_NONE, none */
	bool authenticated, is_protected;
	str quarantined_by; /* STR_NONE: it is not */
	str hash;           /* read only; STR_NONE: not uploaded yet */
};
/* A row with the content `c` (one reference more) or, with NULL, one that waits for its upload. It is quarantined where
 * the content is blocked. *out_content (or NULL with c): as of store_content_ref. */
NODISCARD err *store_media_add(struct tx *tx, const struct media_row *row, const struct store_content *c,
			       int64_t *out_content);
/* The upload of a row that waits: content_type, filename, authenticated and uploaded_at are set from `row`, found
 * by its number. ERR_CANNOT_OVERWRITE_MEDIA: it has a content already, has expired by uploaded_at, or is gone; the
 * transaction must fail with it, lest the content stay with no file. */
NODISCARD err *store_media_fill(struct tx *tx, const struct media_row *row, const struct store_content *c,
				int64_t *out_content);
/* NULL: there is none. */
NODISCARD err *store_media_get(struct tx *tx, int64_t origin, str media_id, const struct media_row **out);
/* Of one uploader: rows that still may be uploaded, and when the first of them expires. */
NODISCARD err *store_media_pending(struct tx *tx, int64_t uploader, int64_t now, int64_t *out_n, int64_t *out_first);
/* Bytes uploaded by one user after `since`. */
NODISCARD err *store_media_uploaded_since(struct tx *tx, int64_t uploader, int64_t since, int64_t *out_bytes);
/* Rows that were never uploaded in time: at most `limit` of them go. */
NODISCARD err *store_media_drop_expired(struct tx *tx, int64_t now, size_t limit, int64_t *out_n);
NODISCARD err *store_media_accessed(struct tx *tx, const int64_t *media, size_t n, int64_t at);
/* The rows go, and a reference of their contents each. False: there was none with this number. */
NODISCARD err *store_media_delete(struct tx *tx, int64_t media, bool *out_deleted);
/* Numbers of one user's rows above `after`, in order. */
NODISCARD err *store_media_of(struct tx *tx, int64_t uploader, int64_t after, size_t limit, int64_t **out,
			      size_t *out_n);

/* This row and, where it has a content, all of the same content that are not protected; later uploads of it, too. */
NODISCARD err *store_media_quarantine(struct tx *tx, const struct media_row *row, str by, int64_t at);
NODISCARD err *store_media_unquarantine(struct tx *tx, const struct media_row *row);
NODISCARD err *store_media_protect(struct tx *tx, int64_t media, bool is_protected);
