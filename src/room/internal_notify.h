/* internal_notify.h - the inside of struct notify: evaluation in notify.c, counting in unread.c. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "room/notify.h"

struct unread_cache {
	struct lock lock;
	struct map entries; /* (room, user) */
	struct list lru;    /* newest first */
	size_t n, n_places; /* tallies, and threads in them */
	struct map rooms;   /* room -> struct group */
	int64_t newest;     /* the highest stream position that passed unread_note_stored */
};
struct notify {
	struct rooms *rooms;
	struct users *users;
	struct unread_cache unread;
};

void unread_cache_init(struct unread_cache *c);
void unread_cache_done(struct unread_cache *c);
/* rooms_on_stored hook: the room has something new. */
void unread_note_stored(void *ctx, const struct rooms_stored *ev);
