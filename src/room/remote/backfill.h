/*
 * backfill.h - a room's history that other servers have: fetched where somebody reads it.
 *
 * Server-Server API, "Backfilling and retrieving missing events". At a gap (store/gaps.h) the servers of the room are
 * asked for what is below it, the likeliest first; what comes is checked and stands in the room's timeline then, so
 * that readers look there again.
 */
#pragma once

#include "federation/event_check.h"
#include "federation/fed.h"
#include "room/room.h"

struct backfill;
struct fetch_hooks;
struct backfill_options { /* borrowed for the life of the service */
	struct rooms *rooms;
	struct store *store;
	struct fed *fed;
	struct key_ring *keys;
	struct pool *pool;
	const struct log *log;
	str spool_folder;                /* where what does not fit memory is kept meanwhile; STR_NONE: nowhere */
	const struct fetch_hooks *hooks; /* NULL, but in tests */
	int64_t (*now)(void);            /* clock_mono_us, but in tests */
};
NODISCARD err *backfill_new(struct arena *a, const struct backfill_options *opt, struct backfill **out);
void backfill_free(struct backfill **b);

/* May it be worth while to ask for what is below this event? Not where all servers failed a while ago. No I/O. */
bool backfill_hopeful(struct backfill *b, int64_t above);

enum backfill_outcome {
	BACKFILL_MORE,    /* there is something new: read again */
	BACKFILL_NOTHING, /* nobody has more, or nobody was asked for it lately */
	BACKFILL_LATE,    /* the time was over: it may come all the same */
};
/*
 * Fetches what is below an event with a gap. One at a time for a room: who comes meanwhile waits for the same outcome.
 * Asks nobody where all servers failed a while ago. Blocks until `deadline_us` at most (clock_mono_us), no lock may be
 * held. Errors are the store's.
 */
NODISCARD err *backfill_below(struct backfill *b, struct arena *a, str room_id, int64_t above, int64_t deadline_us,
			      enum backfill_outcome *out);

/*
 * The event of the gap below `above` that was sent nearest to a time, if another server has one that is nearer than
 * `known_ts` (known: is there such an event here?): it stands there alone afterwards, with a gap on both sides.
 * *out_event is its number, 0: nobody has one. As for the rest as backfill_below.
 */
struct backfill_time {
	str room_id;
	int64_t above, ts;
	bool forwards; /* the soonest at or after ts; else the latest at or before it */
	bool known;
	int64_t known_ts;
	int64_t deadline_us;
};
NODISCARD err *backfill_at_time(struct backfill *b, struct arena *a, const struct backfill_time *q, int64_t *out_event);
