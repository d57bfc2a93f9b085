/* internal_media.h - the content repository's own parts. */
#pragma once

#include "base/map.h"
#include "base/thread.h"
#include "media/files.h"
#include "media/media.h"
#include "store/media.h"

struct media {
	struct media_options opt;
	struct files *files;
	struct lock lock;
	struct cond changed;
	bool stopping, kicked;
	struct map uploading; /* users, and how many uploads of theirs are under way */
	struct map accessed;  /* numbers of items asked for since the last keeping */
	struct thread *keeper;
	struct media_remote *remote; /* remote.c; NULL: other servers are not asked */
};
void media_remote_free(struct media *m);
/* They live for ever, services do not have to. */
struct media_metrics {
	struct metric *uploads, *uploaded_bytes, *copies, *copied_bytes, *swept;
};
extern struct media_metrics media_metrics;

/* "mxc://server/id" */
str media_mxc(const struct media *m, struct arena *a, str media_id);
/* [A-Za-z0-9_-]{1,255} */
bool media_id_valid(str media_id);
/* The row of an item; NULL: there is none here. */
NODISCARD err *media_row_get(struct media *m, struct arena *a, str server_name, str media_id,
			     const struct media_row **out);
void media_note_access(struct media *m, int64_t media);

/* keeper.c */
void media_keeper_start(struct media *m);
void media_keeper_stop(struct media *m);
void media_keeper_kick(struct media *m);

/* quota.c: ERR_USER_LIMIT where `size` bytes more would be too many. */
NODISCARD err *quota_check(const struct media *m, struct tx *tx, struct arena *a, int64_t user, int64_t size,
			   int64_t now);

/* find.c: the bus's key of those who wait for an item's upload, or for what is made of a content; below zero, where no
 * user's number is. */
static inline int64_t media_wait_key(int64_t number) { return -number; }
/* Watches it from now on. */
void media_begin_wait(struct media *m, int64_t number, struct media_wait *wait);
