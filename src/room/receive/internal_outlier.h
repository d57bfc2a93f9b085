/*
 * internal_outlier.h - a set of outliers on its way into the store: collected, ordered, authorised, written.
 *
 * Events are added as they come, in any order, and kept as bytes (spool.h); of each only what the order needs is in
 * memory. outliers_settle does the rest in one pass, parents first.
 */
#pragma once

#include <stdatomic.h>

#include "base/map.h"
#include "base/pool.h"
#include "matrix/auth_index.h"
#include "room/internal_room.h"
#include "room/receive/outlier.h"
#include "room/receive/pieces.h"
#include "room/receive/spool.h"

/* An event id that was met: an event of the set, or one that others name. */
struct outlier_name {
	str event_id;
	uint32_t rec;       /* 1 + its place in the set; 0: not in it */
	int64_t nid;        /* the store's, or the one it is to get */
	bool stored;        /* ... in this room */
	bool usable;        /* its number counts: stored, or placed by this pass */
	bool rejected;      /* by its auth_events */
	bool elsewhere;     /* another room's event has this name */
	bool popular;       /* many name it: read once, and kept */
	struct event *read; /* popular: in outliers.readings, or NULL */
};
struct outlier_rec {
	uint32_t name;
	uint32_t auth_at, n_auth; /* in outliers.auth */
	uint32_t n_needed;        /* the same and the create event, where no event names it (v12) */
	uint32_t size;
	uint64_t at;         /* in the spool */
	struct event *event; /* the caller's, where it lives as long as the set; or NULL */
	bool is_state;
	int64_t type, key, sender; /* once settled and usable */
};
struct outliers {
	struct rooms *rs;
	struct pool *pool;
	int64_t room;
	str room_id;
	const struct room_version *rv;
	str create_id;  /* of the room's m.room.create; STR_NONE: not known: any that the rules let pass */
	bool none_here; /* the store has none of the room's events, nor of these names: nothing is looked up */
	struct arena *a;
	struct spool *spool;
	struct map by_id; /* event id -> 1 + name */
	VEC(struct outlier_name) names;
	VEC(struct outlier_rec) recs;
	VEC(uint32_t) auth; /* names */
	/* of settling */
	struct arena *readings; /* popular parents */
	uint32_t *order;        /* recs, parents first */
	size_t n_order;
	size_t *level_end; /* ends of levels in it: none of a level names another of it */
	size_t n_levels;
	struct pieces pieces;
	const _Atomic bool *stop; /* the server stops: settling ends with ERR_BUSY. NULL: never */
	bool raced;               /* somebody else stored one of them meanwhile */
};
/* The spool belongs to the set from here on. Everything else is borrowed. */
struct outliers *outliers_new(struct rooms *rs, struct pool *pool, int64_t room, str room_id,
			      const struct room_version *rv, struct spool *spool);
void outliers_free(struct outliers **o);
/* Of a room that is stored: what its create event is. Before the set is settled. */
NODISCARD err *outliers_find_create(struct outliers *o, struct arena *a);
/* A copy of the event's bytes is kept; `borrow`: the event itself, as long as the set. *out_rec: its place, also where
 * it came before. */
NODISCARD err *outliers_add(struct outliers *o, struct arena *a, struct event *ev, bool borrow, uint32_t *out_rec);
/* Finds which are stored (outlier_order.c), in what order they stand; those whose auth_events are not all known, or
 * that stand on themselves, are left out. */
NODISCARD err *outliers_order(struct outliers *o, struct arena *a);
/* Orders, authorises, writes what is not stored yet. */
NODISCARD err *outliers_settle(struct outliers *o, struct arena *a);
/* The name's number; 0: it has none. */
static inline int64_t outliers_nid(const struct outliers *o, uint32_t rec)
{
	const struct outlier_name *name = &o->names.p[o->recs.p[rec].name];

	return name->usable ? name->nid : 0;
}
/* An event of the set, read. */
NODISCARD err *outliers_read(struct outliers *o, struct arena *a, uint32_t rec, struct event **out);

/* One slice of a level: read and authorised, on any thread. */
struct outlier_ready {
	uint32_t rec;
	struct event *ev;
	struct auth_entry entry;
	str auths; /* packed */
};
/* Reads and judges list[0..n) (all of one level; rec is set), in arenas that are added to `arenas`, which has room for
 * as many as there are slices. */
enum { OUTLIER_SLICE = 32 };
NODISCARD err *outliers_judge(struct outliers *o, struct arena *a, struct outlier_ready *list, size_t n,
			      struct arena **arenas);
/* Writing (outlier_write.c). */
struct outlier_writer;
struct outlier_writer *outlier_writer_new(struct outliers *o);
void outlier_writer_free(struct outlier_writer **w);
/* Takes over the arenas that the events live in. */
NODISCARD err *outlier_writer_add(struct outlier_writer *w, struct arena *a, const struct outlier_ready *list, size_t n,
				  struct arena **arenas, size_t n_arenas);
NODISCARD err *outlier_writer_flush(struct outlier_writer *w, struct arena *a);
